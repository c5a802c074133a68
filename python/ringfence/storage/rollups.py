"""Rollups past their time: days of partitioned ones are dropped, rows of the others deleted a few at a time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from psycopg import sql

from ringfence.database.catalogue import CATALOGUE, Kept, StoredTable
from ringfence.database.citus import is_distributed
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.partitions import drop_before
from ringfence.settings import StorageSettings

# Rows of one transaction, and of one round: a year that is let go at once may not hold up anything else.
ROWS_AT_ONCE = 20_000
ROWS_A_ROUND = 1_000_000

# By ctid: it needs no key, and finds the old rows of a table that is written in order of time at its beginning.
_DELETE = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {time} < {before} LIMIT {limit}))
"""


# Shards have no ctid that the coordinator could name.
_DELETE_ALL = "DELETE FROM {table} WHERE {time} < {before}"


def expire_rollups(database: Database, settings: StorageSettings, now: datetime) -> dict[str, int]:
    """Let go what is past its time; by table, how many rows (partitioned: days) went."""
    gone = {table.name: _expire(database, table, _before(settings, table, now)) for table in CATALOGUE if _ours(table)}
    return {name: count for name, count in gone.items() if count}


def _ours(table: StoredTable) -> bool:
    return table.kept in (Kept.MINUTES, Kept.HOURS)


def _before(settings: StorageSettings, table: StoredTable, now: datetime) -> datetime:
    days = settings.minute_days if table.kept is Kept.MINUTES else settings.hour_days
    return datetime.combine(now.astimezone(UTC).date() - timedelta(days=days), time(), UTC)


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
