"""Day partitions: ahead, on demand, within bounds, beside readers and writers, dropped whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest

from ringfence.database.connection import Database
from ringfence.database.partitions import (
    DAYS_AHEAD,
    NEWEST_DAYS,
    OLDEST_DAYS,
    drop_before,
    ensure_ahead,
    ensure_between,
    list_partitions,
)
from ringfence.errors import InvalidInputError

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
TODAY = NOW.date()
TABLE = "enum_event"


def write_event(connection: psycopg.Connection[Any], time: datetime) -> None:
    numbers = ["source", "destination", "target", "sequence", "stream_id", "rule_id", "policy_version", "latency_ns"]
    numbers += ["device_id", "peer_port", "transport", "direction", "action", "reason", "rcode"]
    numbers += ["source_class", "destination_class", "source_origin"]
    names, values = ", ".join(numbers), ", 1" * len(numbers)
    connection.execute(f"INSERT INTO {TABLE} (time, peer, {names}) VALUES (%s, '127.0.0.1' {values})".encode(), [time])


def days(database: Database) -> list[date]:
    with database.connection() as connection:
        return [partition.day for partition in list_partitions(connection, TABLE)]


def test_today_and_the_next_days_exist_ahead(database: Database) -> None:
    with database.connection() as connection:
        ensure_ahead(connection, NOW)
    assert days(database) == [TODAY + timedelta(days=number) for number in range(DAYS_AHEAD + 1)]


def test_a_late_event_gets_its_partition_in_the_transaction_that_writes_it(database: Database) -> None:
    late = NOW - timedelta(days=40)
    with database.connection() as connection:
        ensure_between(connection, TABLE, late, late, NOW)
        write_event(connection, late)
    assert days(database) == [late.date()]


def test_days_are_utc_whatever_the_zone_of_the_event(database: Database) -> None:
    local = datetime.fromisoformat("2026-11-22T20:00:00-06:00")
    with database.connection() as connection:
        ensure_between(connection, TABLE, local, local, NOW)
        write_event(connection, local)
    assert days(database) == [date(2026, 11, 23)]


def test_partitions_have_the_indexes_of_their_table(database: Database) -> None:
    with database.connection() as connection:
        ensure_between(connection, TABLE, NOW, NOW, NOW)
        indexes = dict(
            connection.execute(
                "SELECT tablename, count(*) FROM pg_indexes WHERE tablename = ANY (%s) GROUP BY tablename",
                [[TABLE, f"{TABLE}_20261122"]],
            ).fetchall()
        )
    assert indexes[f"{TABLE}_20261122"] == indexes[TABLE] > 0


@pytest.mark.parametrize("offset", [timedelta(days=-OLDEST_DAYS - 1), timedelta(days=NEWEST_DAYS + 1)])
def test_a_clock_far_off_makes_no_partition(database: Database, offset: timedelta) -> None:
    with (
        pytest.raises(InvalidInputError, match="check the device's clock"),
        database.connection() as connection,
    ):
        ensure_between(connection, TABLE, NOW, NOW + offset, NOW)
    assert days(database) == []


def test_callers_at_once_make_each_partition_once(database: Database) -> None:
    barrier = Barrier(6)

    def ingest(number: int) -> None:
        barrier.wait()
        with database.connection() as connection:
            ensure_between(connection, TABLE, NOW - timedelta(days=4), NOW, NOW)
            write_event(connection, NOW - timedelta(days=number % 5))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ingest, range(6)))
    assert days(database) == [TODAY - timedelta(days=number) for number in (4, 3, 2, 1, 0)]
    with database.connection() as connection:
        assert connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (6,)


def test_a_new_partition_waits_for_no_reader_or_writer(database: Database) -> None:
    with database.connection() as connection:
        ensure_between(connection, TABLE, NOW, NOW, NOW)
    with database.connection() as busy:
        busy.execute(f"SELECT count(*) FROM {TABLE}")
        write_event(busy, NOW)
        with database.connection() as other:
            other.execute("SET LOCAL lock_timeout = '2s'")
            ensure_between(other, TABLE, NOW + timedelta(days=1), NOW + timedelta(days=1), NOW)
    assert len(days(database)) == 2


def test_old_days_are_dropped_whole_and_the_rest_stays(database: Database) -> None:
    with database.connection() as connection:
        ensure_between(connection, TABLE, NOW - timedelta(days=3), NOW, NOW)
        write_event(connection, NOW - timedelta(days=3))
        write_event(connection, NOW)
    assert drop_before(database, TABLE, TODAY - timedelta(days=1)) == [
        TODAY - timedelta(days=3),
        TODAY - timedelta(days=2),
    ]
    assert days(database) == [TODAY - timedelta(days=1), TODAY]
    with database.connection() as connection:
        assert connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (1,)


def test_a_drop_that_was_cut_short_is_finished(database: Database) -> None:
    with database.connection() as connection:
        ensure_between(connection, TABLE, NOW - timedelta(days=1), NOW, NOW)
        connection.execute(f"ALTER TABLE {TABLE} DETACH PARTITION enum_event_20261121")
    assert drop_before(database, TABLE, TODAY) == [TODAY - timedelta(days=1)]
    with database.connection() as connection:
        assert connection.execute("SELECT to_regclass('enum_event_20261121')").fetchone() == (None,)


def test_a_dropped_day_can_come_back(database: Database) -> None:
    for _ in range(2):
        with database.connection() as connection:
            ensure_between(connection, TABLE, NOW, NOW, NOW)
            write_event(connection, NOW)
        assert drop_before(database, TABLE, TODAY + timedelta(days=1)) == [TODAY]
