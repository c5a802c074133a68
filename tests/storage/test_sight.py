"""Who is limited in what he sees of the database is limited as much in the archive: the same rows, the same masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection
from tests.storage.conftest import Make, fill

from ringfence.database.connection import Database
from ringfence.database.sight import FULL, Sight, seeing
from ringfence.errors import UnavailableError
from ringfence.mediation.sites import site_ids
from ringfence.storage.reach import fetch_both, fetch_everywhere

COUNT = "SELECT device_id, count(*) AS calls FROM enum_event GROUP BY 1 ORDER BY 1"
ROWS = "SELECT sequence, source, destination, source_raw, destination_raw FROM enum_event ORDER BY sequence"


@pytest.fixture
def mixed(database: Database) -> Database:
    fill(database, "enum_event", 9, 100)
    fill(database, "enum_event", 1, 50, first=500)
    with database.connection() as connection:
        for number in (1, 2):
            connection.execute("INSERT INTO site (name, country) VALUES (%s, 'US')", [f"site-{number}"])
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT %s, 'enum', site_id, %s FROM site WHERE name = %s",
                [f"enum-{number}", bytes([number]), f"site-{number}"],
            )
        connection.execute("UPDATE enum_event SET source = 0 WHERE sequence % 3 = 0")
        connection.execute(
            "UPDATE enum_event SET source_raw = 'sip:1234567' || sequence::text || '@10.0.0.1' WHERE sequence < 9"
        )
    return database


def ask(database: Database, sight: Sight, statement: str) -> list[Any]:
    with seeing(sight), database.connection() as connection:
        return fetch_everywhere(connection, statement, {}, "enum_event", *_whole(connection))


def _whole(connection: Connection) -> Any:
    return connection.execute("SELECT now() - interval '3000 days', now() + interval '3000 days'").fetchone()


def test_the_archive_shows_no_more_than_the_database(mixed: Database, storage: Make, tmp_path: Path) -> None:
    with mixed.connection() as connection:
        one_site, masked = Sight(frozenset(site_ids(connection, ["site-1"]) or ())), Sight(is_masked=True)
    before = [ask(mixed, sight, COUNT) for sight in (FULL, one_site)]
    rows = ask(mixed, masked, ROWS)
    assert [len(found) for found in before] == [2, 1]
    assert rows[0][1:4] == (0, 0, "+1210555••••")
    assert {"sip:1234••••@••.•.•.•", "sip:••@example.com"} < {row[3] for row in rows}
    storage(tmp_path, enum={"days": 5}).round()
    assert [ask(mixed, sight, COUNT) for sight in (FULL, one_site)] == before
    assert ask(mixed, masked, ROWS) == rows
    with seeing(one_site), mixed.connection() as connection:
        (live, archived) = fetch_both(connection, COUNT, {}, "enum_event", None, None)
        assert {live[0], archived[0]} == {1}
    with mixed.connection() as connection:
        connection.execute("SET LOCAL citus.enable_ddl_propagation TO off")  # only here, where there is Citus
        connection.execute("CREATE SCHEMA elsewhere CREATE VIEW enum_event AS SELECT * FROM ringfence.enum_event")
        connection.execute("SELECT set_config('search_path', 'elsewhere, ringfence', true)")
        with pytest.raises(UnavailableError, match="elsewhere"):
            fetch_both(connection, COUNT, {}, "enum_event", None, None)
        connection.rollback()
