"""Who is limited in what he sees of the database is limited as much in the archive: the same rows, the same masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection
from tests.storage.conftest import Make, fill

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.storage.reach import fetch_both, fetch_everywhere

# Views in front of our tables, as they are made for who is limited to device 1.
_BY_SITE = """
CREATE SCHEMA ringfence_by_site;
CREATE VIEW ringfence_by_site.device AS SELECT * FROM ringfence.device WHERE device_id = 1;
CREATE VIEW ringfence_by_site.enum_event AS SELECT * FROM ringfence.enum_event WHERE device_id = 1;
"""
_MASKED = """
CREATE SCHEMA ringfence_masked;
CREATE VIEW ringfence_masked.enum_event AS
SELECT time, sequence, 0::bigint AS source, 0::bigint AS destination, {source} AS source_raw,
       {destination} AS destination_raw
FROM ringfence.enum_event;
"""
_MASK = """CASE WHEN {side} <> 0 THEN '+' || left({side}::text, -4) || repeat('•', least(4, length({side}::text)))
           ELSE regexp_replace({side}_raw, '[0-9](?=[0-9]{{0,3}}([^0-9]|$))', '•', 'g') END"""

COUNT = "SELECT device_id, count(*) AS calls FROM enum_event GROUP BY 1 ORDER BY 1"
ROWS = "SELECT sequence, source, destination, source_raw, destination_raw FROM enum_event ORDER BY sequence"


@pytest.fixture
def mixed(database: Database) -> Database:
    fill(database, "enum_event", 9, 100)
    fill(database, "enum_event", 1, 50, first=500)
    with database.connection() as connection:
        connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
        for number in (1, 2):
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash) SELECT %s, 'enum', site_id, %s FROM site",
                [f"enum-{number}", bytes([number])],
            )
        connection.execute("UPDATE enum_event SET source = 0 WHERE sequence % 3 = 0")
        connection.execute(
            "UPDATE enum_event SET source_raw = 'sip:1234567' || sequence || '@10.0.0.1' WHERE sequence < 9"
        )
        connection.execute(_BY_SITE)
        masks = {side: _MASK.format(side=side) for side in ("source", "destination")}
        connection.execute(_MASKED.format(**masks).encode())
    return database


def ask(database: Database, path: str, statement: str) -> list[Any]:
    with database.connection() as connection:
        _look_through(connection, path)
        return fetch_everywhere(connection, statement, {}, "enum_event", *_whole(connection))


def _look_through(connection: Connection, path: str) -> None:
    connection.execute("SELECT set_config('search_path', %s, true)", [path])


def _whole(connection: Connection) -> Any:
    return connection.execute("SELECT now() - interval '3000 days', now() + interval '3000 days'").fetchone()


def test_the_archive_shows_no_more_than_the_database(mixed: Database, storage: Make, tmp_path: Path) -> None:
    paths = ("ringfence", "ringfence_by_site, ringfence", "ringfence_masked, ringfence")
    before = [ask(mixed, path, COUNT) for path in paths[:2]]
    rows = ask(mixed, paths[2], ROWS)
    assert [len(found) for found in before] == [2, 1]
    assert rows[0][1:4] == (0, 0, "+1210555••••")
    assert {"sip:1234••••@••.•.•.•", "sip:••@example.com"} < {row[3] for row in rows}
    storage(tmp_path, enum={"days": 5}).round()
    assert [ask(mixed, path, COUNT) for path in paths[:2]] == before
    assert ask(mixed, paths[2], ROWS) == rows
    with mixed.connection() as connection:
        _look_through(connection, paths[1])
        (here, there) = fetch_both(connection, COUNT, {}, "enum_event", None, None)
        assert {here[0], there[0]} == {1}
        connection.execute("CREATE SCHEMA elsewhere CREATE VIEW enum_event AS SELECT * FROM ringfence.enum_event")
        _look_through(connection, "elsewhere, ringfence")
        with pytest.raises(UnavailableError, match="elsewhere"):
            fetch_both(connection, COUNT, {}, "enum_event", None, None)
        connection.rollback()
