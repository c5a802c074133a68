"""What is archived, as the database knows it: the only SQL of table `archive_part`.

A *copy* is a part whose rows are in the database still; it answers for nothing. `released` parts answer for theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.rows import class_row

if TYPE_CHECKING:
    from ringfence.storage.archive.file import WrittenFile

Connection: TypeAlias = psycopg.Connection[Any]

_COLUMNS = "table_name, day, part, place, file, rows, bytes, sha256, first_at, last_at, archived_at, released_at"


@dataclass(frozen=True)
class Part:
    """One file of the archive."""

    table_name: str
    day: date
    part: int
    place: str
    file: str
    rows: int
    bytes: int
    sha256: str
    first_at: datetime
    last_at: datetime
    archived_at: datetime
    released_at: datetime | None


def copy_of(connection: Connection, table: str, day: date) -> Part | None:
    """The part that is a copy of the day's partition."""
    return _one(connection, "table_name = %s AND day = %s AND released_at IS NULL", (table, day))


def copied_days(connection: Connection) -> set[tuple[str, date]]:
    """Table and day of every copy."""
    rows = connection.execute("SELECT table_name, day FROM archive_part WHERE released_at IS NULL").fetchall()
    return {(table, day) for table, day in rows}


def released_between(connection: Connection, table: str, start: datetime, end: datetime) -> tuple[Part, ...]:
    """The parts that answer for calls in [start, end), oldest first."""
    with connection.cursor(row_factory=class_row(Part)) as cursor:
        statement = (
            f"SELECT {_COLUMNS} FROM archive_part WHERE table_name = %s AND released_at IS NOT NULL "  # noqa: S608
            "AND last_at >= %s AND first_at < %s ORDER BY day, part"
        )
        return tuple(cursor.execute(statement.encode(), (table, start, end)).fetchall())


def all_parts(connection: Connection) -> tuple[Part, ...]:
    """Every part, oldest first."""
    with connection.cursor(row_factory=class_row(Part)) as cursor:
        return tuple(cursor.execute(f"SELECT {_COLUMNS} FROM archive_part ORDER BY day, table_name, part".encode()))  # noqa: S608


def next_part(connection: Connection, table: str, day: date) -> int:
    """Number of the part that a new copy of the day gets."""
    row = connection.execute(
        "SELECT coalesce(max(part) FILTER (WHERE released_at IS NOT NULL), 0) + 1 FROM archive_part "
        "WHERE table_name = %s AND day = %s",
        (table, day),
    ).fetchone()
    return int(row[0]) if row else 1


def record_copy(
    connection: Connection, table: str, day: date, part: int, place: str, written: WrittenFile, now: datetime
) -> None:
    """Note a verified file as the day's copy, in place of an older copy."""
    connection.execute(
        "DELETE FROM archive_part WHERE table_name = %s AND day = %s AND released_at IS NULL", (table, day)
    )
    connection.execute(
        "INSERT INTO archive_part (table_name, day, part, place, file, rows, bytes, sha256, first_at, last_at, "
        "archived_at) VALUES (%(table)s, %(day)s, %(part)s, %(place)s, %(file)s, %(rows)s, %(bytes)s, %(sha256)s, "
        "%(first_at)s, %(last_at)s, %(now)s)",
        {"table": table, "day": day, "part": part, "place": place, "now": now, **asdict(written)},
    )


def release(connection: Connection, part: Part, now: datetime) -> None:
    """From the commit on the part answers for its rows."""
    connection.execute(
        "UPDATE archive_part SET released_at = %s WHERE table_name = %s AND day = %s AND part = %s",
        (now, part.table_name, part.day, part.part),
    )


def replace_file(connection: Connection, part: Part, written: WrittenFile) -> bool:
    """The part is the new file from the commit on; False: it had another one meanwhile, and keeps it."""
    changed = connection.execute(
        "UPDATE archive_part SET file = %s, bytes = %s, sha256 = %s "
        "WHERE table_name = %s AND day = %s AND part = %s AND file = %s",
        (written.file, written.bytes, written.sha256, part.table_name, part.day, part.part, part.file),
    )
    return changed.rowcount == 1


def forget_copy(connection: Connection, table: str, day: date) -> Part | None:
    """The day's partition has no copy any more; the one that it had."""
    copy = copy_of(connection, table, day)
    if copy is not None:
        connection.execute(
            "DELETE FROM archive_part WHERE table_name = %s AND day = %s AND part = %s", (table, day, copy.part)
        )
    return copy


def _one(connection: Connection, condition: str, values: tuple[Any, ...]) -> Part | None:
    with connection.cursor(row_factory=class_row(Part)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM archive_part WHERE {condition}".encode(), values).fetchone()  # noqa: S608
