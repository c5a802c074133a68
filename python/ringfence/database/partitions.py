"""Day partitions of the event tables: made ahead and on demand, dropped by age, never deleted from.

A partition is made as a table of its own and then attached, and detached concurrently before it is dropped: both ways
readers and writers of the other days go on. A partition is named for its day in UTC, `enum_event_20261122`.

Callers may be many: an advisory lock per table, held to the end of the transaction, puts them in a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg import sql

from ringfence.database.catalogue import partitioned_tables
from ringfence.database.citus import is_distributed
from ringfence.database.connection import SCHEMA, Database
from ringfence.errors import InvalidInputError

# Partitions that exist before their day begins.
DAYS_AHEAD = 3
# What a device's clock may claim: an edge keeps events for days while cut off; a clock far off must not make a
# partition for every day of a century.
OLDEST_DAYS = 400
NEWEST_DAYS = 2

_LOCK_CLASS = 746433624  # beside migrate.ADVISORY_LOCK
_NAME = re.compile(r"(?P<table>[a-z_]+)_(?P<day>\d{8})")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Partition:
    """One day of one event table."""

    table: str
    day: date
    bytes: int

    @property
    def name(self) -> str:
        """Its table name."""
        return partition_name(self.table, self.day)


def partition_name(table: str, day: date) -> str:
    """Name of the table that holds `day` (UTC) of an event table."""
    return f"{table}_{day:%Y%m%d}"


def bounds(now: datetime) -> tuple[datetime, datetime]:
    """First and last moment for which events are accepted at `now`."""
    return now - timedelta(days=OLDEST_DAYS), now + timedelta(days=NEWEST_DAYS)


def ensure_ahead(connection: psycopg.Connection[Any], now: datetime) -> None:
    """Make today's and the next days' partitions of every partitioned table."""
    for table in partitioned_tables():
        _ensure(connection, table.name, _day(now), _day(now + timedelta(days=DAYS_AHEAD)))


def ensure_between(
    connection: psycopg.Connection[Any], table: str, first: datetime, last: datetime, now: datetime
) -> None:
    """Make the partitions for events from `first` to `last`, before they are written in the same transaction.

    InvalidInputError when a time lies outside `bounds(now)`.
    """
    oldest, newest = bounds(now)
    for time in (first, last):
        if not oldest <= time <= newest:
            raise InvalidInputError(
                f"time: {time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} is not between {oldest:%Y-%m-%d} and "
                f"{newest:%Y-%m-%d}: check the device's clock",
                code="invalid.time",
            )
    _ensure(connection, table, _day(first), _day(last))


def list_partitions(connection: psycopg.Connection[Any], table: str) -> list[Partition]:
    """The attached partitions of an event table, oldest first, with their size on disk (indexes too)."""
    size = "citus_total_relation_size" if is_distributed(connection, table) else "pg_total_relation_size"
    rows = connection.execute(
        f"""SELECT child.relname, {size}(child.oid)
             FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
            WHERE inhparent = to_regclass(%s) AND NOT inhdetachpending ORDER BY child.relname""".encode(),  # noqa: S608
        [f"{SCHEMA}.{table}"],
    ).fetchall()
    return [Partition(table, _day_of(name), size) for name, size in rows]


def drop_before(database: Database, table: str, day: date) -> list[date]:
    """Drop every partition of days before `day`; returns those days. A drop that was cut short is finished."""
    dropped = drop_days(database, table, lambda found: found < day)
    if dropped:
        log.info("database.partitions_dropped", table=table, days=len(dropped), before=day.isoformat())
    return dropped


def drop_days(database: Database, table: str, is_unwanted: Callable[[date], bool]) -> list[date]:
    """Drop the partitions of the days that are not wanted, beside readers and writers of all others; those days."""
    dropped: list[date] = []
    with database.autocommit() as connection:
        # Citus has no DETACH … CONCURRENTLY: there a drop waits for those who read, and they for it.
        drop = _drop_whole if is_distributed(connection, table) else _drop
        # Session-level: DETACH … CONCURRENTLY is several transactions. A second caller has nothing to do.
        if not _lock_session(connection, table):
            return []
        try:
            for name, state in _existing(connection, table):
                if is_unwanted(_day_of(name)) or state != "attached":
                    drop(connection, table, name, state)
                    dropped.append(_day_of(name))
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK_CLASS, f"drop {table}"])
    return dropped


def drop_in_transaction(connection: psycopg.Connection[Any], partition: Partition) -> None:
    """Drop one day's partition in the caller's transaction: nobody reads or writes the table until it ends.

    For a day whose rows must not be missing for a moment, because another place answers for them from the commit on.
    """
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, partition.name)))


def _ensure(connection: psycopg.Connection[Any], table: str, first: date, last: date) -> None:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if not _missing(connection, table, days):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_CLASS, table])
    for day in _missing(connection, table, days):
        # LIKE does not copy indexes here: attaching builds them, and names them after the partition.
        parent, name = sql.Identifier(SCHEMA, table), sql.Identifier(SCHEMA, partition_name(table, day))
        begin, end = (datetime(at.year, at.month, at.day, tzinfo=UTC) for at in (day, day + timedelta(days=1)))
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)").format(
                name, parent
            )
        )
        connection.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                parent, name, sql.Literal(begin), sql.Literal(end)
            )
        )


def _missing(connection: psycopg.Connection[Any], table: str, days: list[date]) -> list[date]:
    # Read from pg_class, not by to_regclass: that answers from a cache which may not know yet what another
    # transaction committed while we waited for the lock.
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY (%s)",
        [SCHEMA, [partition_name(table, day) for day in days]],
    ).fetchall()
    found = {name for (name,) in rows}
    return [day for day in days if partition_name(table, day) not in found]


def _lock_session(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK_CLASS, f"drop {table}"]).fetchone()
    return bool(row and row[0])


def _existing(connection: psycopg.Connection[Any], table: str) -> list[tuple[str, str]]:
    """Name and state (`attached`, `detaching`, `detached`) of every day's table, oldest first."""
    rows = connection.execute(
        """SELECT relname,
                  CASE WHEN inhrelid IS NULL THEN 'detached' WHEN inhdetachpending THEN 'detaching' ELSE 'attached' END
             FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid
            WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname LIKE %s ORDER BY relname""",
        [SCHEMA, table.replace("_", r"\_") + r"\_%"],
    ).fetchall()
    return [(name, state) for name, state in rows if (match := _NAME.fullmatch(name)) and match["table"] == table]


def _drop(connection: psycopg.Connection[Any], table: str, name: str, state: str) -> None:
    parent, child = sql.Identifier(SCHEMA, table), sql.Identifier(SCHEMA, name)
    if state != "detached":
        how = "FINALIZE" if state == "detaching" else "CONCURRENTLY"
        connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(parent, child, sql.SQL(how)))
    connection.execute(sql.SQL("DROP TABLE {}").format(child))


def _drop_whole(connection: psycopg.Connection[Any], _table: str, name: str, _state: str) -> None:
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, name)))


def _day(time: datetime) -> date:
    return time.astimezone(UTC).date()


def _day_of(name: str) -> date:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is not a day's partition")
    return datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC).date()
