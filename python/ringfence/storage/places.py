"""Where the rows of a period live: in the database, and, for days that were dropped, in parts of the archive.

The answer holds until the caller's transaction ends: a day is dropped, and its part begins to answer, in one commit
that waits for whoever holds the event table (`archive.day`). A transaction that reads one state throughout (REPEATABLE
READ) holds the days before it reads anything: its state might be from before a drop else, and its tables from after it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from ringfence.database.catalogue import event_tables
from ringfence.database.connection import SCHEMA
from ringfence.storage.archive.parts import Part, released_between

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


def hold_days(connection: psycopg.Connection[Any]) -> None:
    """Keep every day where it is until the transaction ends; before its first statement that reads."""
    for table in event_tables():
        _hold(connection, table.name)


def archived_parts(
    connection: psycopg.Connection[Any], table: str, start: datetime | None = None, end: datetime | None = None
) -> tuple[Part, ...]:
    """The parts that answer for [start, end) beside the database; none: everything is in the database."""
    _hold(connection, table)
    return released_between(connection, table, start or _EARLIEST, end or _LATEST)


def _hold(connection: psycopg.Connection[Any], table: str) -> None:
    connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.Identifier(SCHEMA, table)))
