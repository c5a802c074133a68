"""Rollups past their time: days of partitioned ones are dropped, rows of the others deleted a few at a time.

Before anything goes it is noted from when on counts are whole (`KeptSince`): an earlier time is counted from the calls,
which may have been archived long ago, and never from counts of which a part is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ringfence.database.catalogue import CATALOGUE, Kept, StoredTable
from ringfence.database.citus import is_distributed
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.partitions import drop_before
from ringfence.settings import StorageSettings

# Rows of one transaction, and of one round: a year that is let go at once may not hold up anything else.
ROWS_AT_ONCE = 20_000
ROWS_A_ROUND = 1_000_000
_SINCE = "storage.rollups_since"

# By ctid: it needs no key, and finds the old rows of a table that is written in order of time at its beginning.
_DELETE = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {time} < {before} LIMIT {limit}))
"""


# Shards have no ctid that the coordinator could name.
_DELETE_ALL = "DELETE FROM {table} WHERE {time} < {before}"


@dataclass(frozen=True)
class KeptSince:
    """From when on counts by minute and quarter, and those by hour, are whole."""

    minutes: datetime
    hours: datetime


ALWAYS = KeptSince(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))


def kept_since(connection: psycopg.Connection[Any]) -> KeptSince:
    """What is noted; ALWAYS before anything was let go."""
    row = connection.execute("SELECT value FROM setting WHERE key = %s", [_SINCE]).fetchone()
    if row is None:
        return ALWAYS
    return KeptSince(datetime.fromisoformat(row[0]["minutes"]), datetime.fromisoformat(row[0]["hours"]))


def expire_rollups(database: Database, settings: StorageSettings, now: datetime) -> dict[str, int]:
    """Let go what is past its time; by table, how many rows (partitioned: days) went."""
    _note_since(database, settings, now)
    ours = [table for table in CATALOGUE if table.kept in (Kept.MINUTES, Kept.HOURS)]
    gone = {table.name: _expire(database, table, _before(settings, table.kept, now)) for table in ours}
    return {name: count for name, count in gone.items() if count}


def _before(settings: StorageSettings, kept: Kept, now: datetime) -> datetime:
    days = settings.minute_days if kept is Kept.MINUTES else settings.hour_days
    return datetime.combine(now.astimezone(UTC).date() - timedelta(days=days), time(), UTC)


def _note_since(database: Database, settings: StorageSettings, now: datetime) -> None:
    with database.connection() as connection:
        known = kept_since(connection)
        minutes, hours = (_before(settings, kept, now) for kept in (Kept.MINUTES, Kept.HOURS))
        since = KeptSince(max(known.minutes, minutes), max(known.hours, hours))
        if since == known:
            return
        value = {"minutes": since.minutes.isoformat(), "hours": since.hours.isoformat()}
        connection.execute(
            "INSERT INTO setting (key, value, changed_at) VALUES (%s, %s, %s) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
            (_SINCE, Jsonb(value), now),
        )


def _expire(database: Database, table: StoredTable, before: datetime) -> int:
    if table.is_partitioned:
        return len(drop_before(database, table.name, before.date()))
    with database.connection() as connection:
        text = _DELETE_ALL if is_distributed(connection, table.name) else _DELETE
    statement = sql.SQL(text).format(
        table=sql.Identifier(SCHEMA, table.name),
        time=sql.Identifier(table.time),
        before=sql.Literal(before),
        limit=sql.Literal(ROWS_AT_ONCE),
    )
    gone = 0
    while gone < ROWS_A_ROUND:
        with database.connection() as connection:
            count = connection.execute(statement).rowcount
        gone += count
        if count < ROWS_AT_ONCE:
            break
    return gone
