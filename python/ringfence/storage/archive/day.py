"""One closed day of an event table: copied to the archive, and later let go.

    partition ──copy──► file, verified ──► archive_part (a copy)
        │ late calls make the copy too short: it is made anew before the day goes
        └─ one transaction: lock ─► count = rows of the copy? ─► DROP ─► the part answers (released) ─► COMMIT
A reader sees the rows in one place or the other, never in both or in none. Calls that come after that get a partition
of their own again, and a part of their own when it goes. Whatever stops this midway leaves the partition as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg import sql

from ringfence.accounts import audit
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.partitions import Partition, drop_in_transaction
from ringfence.storage.archive import parts
from ringfence.storage.archive.place import ArchivePlace
from ringfence.storage.retention import Drop

# Nobody else can read or write the event table while the drop waits for those who do: so it waits in short turns.
LOCK_TIMEOUT_MS = 300
ACTOR = "retention"

log = structlog.get_logger()


class CopyIsStaleError(Exception):
    """The partition has other rows than its copy."""


def copy_day(
    database: Database, place: ArchivePlace, partition: Partition, now: datetime, beat: Callable[[int], None]
) -> parts.Part | None:
    """Copy a closed day to the archive; None when it has no calls. UnavailableError: nothing is archived of it."""
    from ringfence.storage.archive.file import remove_file, write_day  # Parquet is loaded when a day is archived

    begin = datetime(partition.day.year, partition.day.month, partition.day.day, tzinfo=UTC)
    query = sql.SQL("SELECT * FROM {} WHERE time >= {} AND time < {}").format(
        sql.Identifier(SCHEMA, partition.table), sql.Literal(begin), sql.Literal(begin + timedelta(days=1))
    )
    with database.connection() as connection:
        number = parts.next_part(connection, partition.table, partition.day)
        older = parts.copy_of(connection, partition.table, partition.day)
    with columnar_reader(database.url) as reader:
        batches = reader.read(query.as_string(None))
        written = write_day(place, partition.table, partition.day, number, batches, beat)
    if written is None:
        return None
    with database.connection() as connection:
        parts.record_copy(connection, partition.table, partition.day, number, place.url, written, now)
        made = parts.copy_of(connection, partition.table, partition.day)
    if older is not None:
        remove_file(place, older.file)
    log.info("storage.archived", table=partition.table, day=str(partition.day), rows=written.rows, bytes=written.bytes)
    return made


def release_day(database: Database, drop: Drop, now: datetime) -> int:
    """Drop a day's partition and let its copy answer, in one transaction; the rows that it had.

    CopyIsStaleError when the copy lacks calls (or there is none and the day has some); psycopg.errors.LockNotAvailable
    when readers or writers did not let go in time.
    """
    partition = drop.partition
    name = sql.Identifier(SCHEMA, partition.name)
    with database.connection() as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [str(LOCK_TIMEOUT_MS)])
        # Late calls wait from here on; readers do not.
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(name))
        rows = _count(connection, name)
        part = parts.copy_of(connection, partition.table, partition.day)
        if rows != (part.rows if part else 0):
            raise CopyIsStaleError(f"{partition.name} has {rows} rows, its copy {part.rows if part else 0}")
        if part is not None:
            parts.release(connection, part, now)
        record_drop(connection, drop, rows, None if part is None else part.file)
        drop_in_transaction(connection, partition)
    return rows


def record_drop(connection: psycopg.Connection[Any], drop: Drop, rows: int | None, file: str | None) -> None:
    """The drop of a day in the audit trail; `file` is where its calls are now, None: nowhere."""
    detail = {
        "table": drop.partition.table,
        "day": str(drop.partition.day),
        "why": drop.why.value,
        "bytes": drop.partition.bytes,
        "rows": rows,
        "archived_as": file,
    }
    audit.record(connection, ACTOR, "storage.drop", drop.partition.name, detail)


def _count(connection: psycopg.Connection[Any], name: sql.Identifier) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return int(row[0]) if row else 0
