"""Transactions, failures and the wait for a database that may never come (R11)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from ringfence.database.connection import Database, describe, lasting, open_database
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.settings import DatabaseSettings, Settings


def count_settings(database: Database) -> int:
    with database.connection() as connection:
        row = connection.execute("SELECT count(*) FROM setting").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A listener that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_block_is_one_transaction(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO setting (key, value) VALUES ('kept', '1')")
    with pytest.raises(psycopg.errors.DivisionByZero), database.connection() as connection:  # noqa: PT012
        connection.execute("INSERT INTO setting (key, value) VALUES ('lost', '1')")
        connection.execute("SELECT 1 / 0")
    assert count_settings(database) == 1


def test_every_connection_speaks_utc_and_sees_our_schema(database: Database) -> None:
    with database.connection() as one, database.connection() as other:
        for connection in (one, other):
            assert connection.execute("SELECT current_schema(), current_setting('timezone')").fetchone() == (
                "ringfence",
                "UTC",
            )


def test_a_mistake_in_sql_stays_a_mistake_in_sql(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), database.connection() as connection:
        connection.execute("SELECT * FROM no_such_table")


def test_an_ended_connection_is_unavailable_then_replaced(database: Database) -> None:
    with pytest.raises(UnavailableError), database.connection() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert count_settings(database) == 0


def test_a_server_that_takes_no_changes_any_more_is_left(database: Database) -> None:
    """As behind a name or a proxy that leads to the new primary, while our connections are still the old one's."""
    behind_a_proxy = Database(database.url, pool_size=2)
    try:
        with behind_a_proxy.connection() as connection, behind_a_proxy.connection() as other:
            for one in (connection, other):  # all that the pool may ever have
                one.execute("SET default_transaction_read_only TO on")
        with pytest.raises(UnavailableError, match="read-only"), behind_a_proxy.connection() as connection:
            connection.execute("INSERT INTO setting (key, value) VALUES ('lost', '1')")
        for key in ("one", "two"):
            with behind_a_proxy.connection() as connection:
                connection.execute("INSERT INTO setting (key, value) VALUES (%s, '1')", (key,))
        assert count_settings(behind_a_proxy) == 2
    finally:
        behind_a_proxy.close()


def test_of_several_hosts_the_one_that_takes_changes_is_used(database: Database, closed_port: int) -> None:
    parts = conninfo.conninfo_to_dict(database.url)
    several = Database(
        conninfo.make_conninfo(
            database.url, host=f"127.0.0.1,{parts['host']}", port=f"{closed_port},{parts.get('port', 5432)}"
        ),
        pool_size=2,
    )
    try:
        assert conninfo.conninfo_to_dict(several.url)["target_session_attrs"] == "read-write"
        assert count_settings(several) == 0
    finally:
        several.close()


def test_what_the_url_says_itself_is_kept() -> None:
    said = conninfo.conninfo_to_dict(lasting("postgresql://one,two/x?target_session_attrs=any&connect_timeout=30"))
    assert (said["target_session_attrs"], said["connect_timeout"], said["tcp_user_timeout"]) == ("any", "30", "10000")


def test_autocommit_is_over_when_the_block_ends(database: Database) -> None:
    with database.autocommit() as connection:
        connection.execute("VACUUM setting")
    for _ in range(3):
        with database.connection() as connection:
            assert not connection.autocommit


def test_a_closed_database_is_unavailable(database: Database) -> None:
    database.close()
    with pytest.raises(UnavailableError), database.connection():
        pass


def test_refuses_in_one_line_within_the_timeout_when_nothing_listens(tmp_path: Path, closed_port: int) -> None:
    settings = Settings(
        data=tmp_path,
        database=DatabaseSettings(url=f"postgresql://me:secret@127.0.0.1:{closed_port}/x", connect_timeout_s=0.5),
    )
    started = time.monotonic()
    with pytest.raises(UnavailableError, match=f"x@127.0.0.1:{closed_port} cannot be reached") as caught:
        open_database(settings)
    assert time.monotonic() - started < 3
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message


def test_refuses_within_the_timeout_when_the_server_is_silent(tmp_path: Path, silent_port: int) -> None:
    settings = Settings(
        data=tmp_path,
        database=DatabaseSettings(url=f"postgresql://127.0.0.1:{silent_port}/x", connect_timeout_s=1),
    )
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        open_database(settings)
    assert time.monotonic() - started < 5
    assert "\n" not in caught.value.message


def test_refuses_a_url_that_is_none_at_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database=DatabaseSettings(url="postgresql://me:secret@[/x"))
    with pytest.raises(ConfigurationError, match=r"^database\.url: not a libpq URL") as caught:
        open_database(settings)
    assert "secret" not in caught.value.message


def test_says_what_to_do_when_the_data_folder_has_no_database(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database=DatabaseSettings(connect_timeout_s=0.2))
    with pytest.raises(UnavailableError, match=r"start `ringfence up`, or set database\.url"):
        open_database(settings)


def test_opens_what_the_url_names(tmp_path: Path, database: Database) -> None:
    opened = open_database(Settings(data=tmp_path, database=DatabaseSettings(url=database.url)))
    try:
        assert count_settings(opened) == 0
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:secret@db.example:5433/calls", "calls@db.example:5433"),
        ("postgresql://one,two/calls", "calls@one,two"),
        ("postgresql://one:5433,two:5434/calls", "calls@one:5433,two:5434"),
        ("host=/run/x dbname=calls user=me", "calls@/run/x"),
    ],
)
def test_places_are_described_without_secrets(url: str, place: str) -> None:
    assert describe(url) == place
