"""Days whose calls were dropped and are in no archive: the only SQL of table `lost_day`.

Counts that ingest keeps outlast the calls, so most questions about such a day are answered as ever. A question that has
to count the calls themselves names the days that it lacks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

_LOST = "SELECT day FROM lost_day WHERE table_name = %s AND day >= %s AND day <= %s ORDER BY day"
_LOSE = """
INSERT INTO lost_day (table_name, day, why, dropped_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (table_name, day) DO UPDATE SET why = excluded.why, dropped_at = excluded.dropped_at
"""


def record_lost(connection: psycopg.Connection[Any], table: str, day: date, why: str, now: datetime) -> None:
    """Note that calls of a day are gone for good."""
    connection.execute(_LOSE, (table, day, why, now))


def forget_lost(connection: psycopg.Connection[Any], table: str, day: date) -> None:
    """Take back a note: the day is still there."""
    connection.execute("DELETE FROM lost_day WHERE table_name = %s AND day = %s", (table, day))


def lost_days(connection: psycopg.Connection[Any], table: str, start: datetime, end: datetime) -> list[date]:
    """The days of [start, end), by UTC, of which calls are gone."""
    last = (end - timedelta(microseconds=1)).astimezone(UTC).date()
    return [day for (day,) in connection.execute(_LOST, (table, start.astimezone(UTC).date(), last))]


def count_lost(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """By event table, how many days are gone."""
    return dict(connection.execute("SELECT table_name, count(*) FROM lost_day GROUP BY table_name").fetchall())
