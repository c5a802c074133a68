"""Drawn calls in the database and in the archive, as a month of ingest and retention would have left them.

    drawn (an hour) ─┬─► counts ──────────────────────► tables of counts, COPY, a day at a time
                     ├─► of the newest days ──────────► their partitions, COPY
                     └─► of the days before ──────────► the archive's writer, and a released part of the archive
`bench/drawn.py` makes the calls, `bench/counted.py` counts them. The days are drawn the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from bench.counted import Counts, copy_rows
from bench.drawn import DEVICES, FIRST_DEVICE, Calls

from ringfence.database.connection import Database
from ringfence.database.partitions import ensure_between
from ringfence.storage.archive import parts
from ringfence.storage.archive.file import write_day
from ringfence.storage.archive.place import ArchivePlace
from ringfence.vocabulary import Dataset

TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}
RULES = 30
_HEARTBEATS = """
INSERT INTO device_minute (minute, clock_offset_us, unsent, lost, device_id)
SELECT minute, hashint4(extract(epoch FROM minute)::integer / 60 + device_id) %% 4000, 0, 0, device_id
FROM (SELECT date_trunc('day', max(hour), 'UTC') + interval '1 day' AS newest FROM hour_total) AS last,
     generate_series(newest - %(days)s * interval '1 day', newest - interval '1 minute', interval '1 minute') AS minute,
     device
ON CONFLICT DO NOTHING
"""
_DAY = timedelta(days=1)
Told = Callable[[str], None]


def fill(
    database: Database,
    rows: dict[Dataset, int],
    days: int,
    end: datetime,
    told: Told,
    place: ArchivePlace | None = None,
    days_here: int | None = None,
) -> None:
    """Calls of `days` whole days up to `end` (a midnight) with their counts: the newest `days_here` in the database
    (None: all), those before in the archive. Datasets are filled beside each other.
    """
    with database.connection() as connection:
        _add_devices(connection)
    here = end.date() - (days if days_here is None else days_here) * _DAY
    with ThreadPoolExecutor(len(rows)) as pool:
        drawn = [Calls(dataset, wanted, days, end) for dataset, wanted in rows.items()]
        for done in [pool.submit(_Fill(database, one, here, place, told).run) for one in drawn]:
            done.result()
    told("vacuum")
    with database.autocommit() as connection:
        connection.execute("VACUUM ANALYZE")


class _Fill:
    """One dataset's days on their way."""

    def __init__(self, database: Database, calls: Calls, here: date, place: ArchivePlace | None, told: Told) -> None:
        self._database = database
        self._calls = calls
        self._table = TABLES[calls.dataset]
        self._here = here
        self._place = place
        self._told = told
        self._counts = Counts(calls.engine, calls.dataset)

    def run(self) -> None:
        """All days, oldest first."""
        for day in self._calls.days:
            self._told(f"{self._calls.dataset.word} calls of {day}")
            if day < self._here:
                self._archive(day)
            else:
                self._store(day)
            with self._database.connection() as connection:
                self._counts.store(connection)
        with self._database.connection() as connection:
            self._counts.store_last(connection)

    def _hours(self, day: date) -> Iterator[pa.RecordBatch]:
        drawn = []
        for hour in self._calls.of_day(day):
            drawn.append(hour)
            yield hour
        self._counts.add(pa.Table.from_batches(drawn))

    def _store(self, day: date) -> None:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        with self._database.connection() as connection:
            ensure_between(connection, self._table, noon, noon, datetime.now(UTC))
        for hour in self._hours(day):
            with self._database.connection() as connection:
                copy_rows(connection, self._table, pa.table(hour))

    def _archive(self, day: date) -> None:
        assert self._place is not None
        written = write_day(self._place, self._table, day, 1, self._hours(day), lambda _rows: None)
        assert written is not None
        now = datetime.now(UTC)
        with self._database.connection() as connection:
            parts.record_copy(connection, self._table, day, 1, self._place.url, written, now)
            part = parts.copy_of(connection, self._table, day)
            assert part is not None
            parts.release(connection, part, now)


def add_heartbeats(database: Database, days: int) -> None:
    """What each device said of itself in every minute of `days` whole days before the newest call's midnight."""
    with database.autocommit() as connection:
        done = connection.execute(_HEARTBEATS, {"days": days})
        if done.rowcount:
            connection.execute("VACUUM ANALYZE device_minute")


def _add_devices(connection: psycopg.Connection[Any]) -> None:
    connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
    connection.execute("INSERT INTO policy_rule (name) SELECT 'rule ' || n FROM generate_series(1, %s) AS n", [RULES])
    for dataset, kind in ((Dataset.ENUM, "enum"), (Dataset.SIP, "probe")):
        first = FIRST_DEVICE[dataset]
        connection.execute(
            "INSERT INTO device (device_id, name, kind, site_id, credential_hash) OVERRIDING SYSTEM VALUE"
            " SELECT n, %(kind)s || '-' || n, %(kind)s, site_id, sha256(n::text::bytea)"
            " FROM site, generate_series(%(first)s::integer, %(last)s::integer) AS n",
            {"kind": kind, "first": first, "last": first + DEVICES - 1},
        )
