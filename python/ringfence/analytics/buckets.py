"""A period cut into minutes, hours or days of a time zone; and the time limit that every analytics query runs under.

PostgreSQL computes the boundaries, so that its zone data alone decides: a day of a zone with daylight saving has 23, 24
or 25 hours, an hour that is lived twice gives two buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from ringfence.errors import InvalidInputError, UnavailableError

GROUPINGS = ("minute", "hour", "day")

# A month of minutes; more rows than any chart can show.
MAX_BUCKETS = 50_000
QUERY_TIMEOUT_S = 30.0

_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}

# Candidates are close enough together to hit every bucket of every zone (offsets are multiples of 15 minutes);
# `date_trunc` keeps the two hours apart that a clock set back lives twice.
_BOUNDS = """
SELECT DISTINCT date_trunc(%(grouping)s, candidate, %(zone)s) AS bound
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz + %(step)s::interval, %(step)s::interval) AS candidate
ORDER BY bound
"""
_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(minutes=15), "day": timedelta(hours=12)}


@dataclass(frozen=True)
class Buckets:
    """Whole minutes from `start` to `end`, cut at `bounds`; the first bucket may begin before `start`."""

    start: datetime
    end: datetime
    bounds: list[datetime]

    def seconds(self, index: int, now: datetime) -> float:
        """How much of a bucket the period covers; the part after `now` has not happened yet."""
        begin = max(self.bounds[index], self.start)
        following = self.bounds[index + 1] if index + 1 < len(self.bounds) else self.end
        finish = min(following, self.end, now) if begin < now else min(following, self.end)
        return max((finish - begin).total_seconds(), 1.0)


def cut_period(connection: psycopg.Connection, grouping: str, zone: str, start: datetime, end: datetime) -> Buckets:
    """Cut [start, end), widened to whole minutes (counts are kept by minute), into buckets.

    InvalidInputError names the field: unknown grouping or zone, empty period, more than MAX_BUCKETS buckets.
    """
    if grouping not in GROUPINGS:
        raise InvalidInputError(f"grouping: {grouping!r} is not one of {', '.join(GROUPINGS)}")
    start, end = _utc(start, "start"), _utc(end, "end")
    if start >= end:
        raise InvalidInputError(f"start: {start.isoformat()} must be before end {end.isoformat()}")
    if (end - start).total_seconds() / _SECONDS[grouping] > MAX_BUCKETS:
        raise InvalidInputError(f"grouping: {grouping} gives more than {MAX_BUCKETS} rows, choose a coarser one")
    start = start.replace(second=0, microsecond=0)
    if end.second or end.microsecond:
        end = end.replace(second=0, microsecond=0) + timedelta(minutes=1)
    values = {"grouping": grouping, "zone": zone, "start": start, "end": end, "step": _STEPS[grouping]}
    try:
        bounds = [_utc(row[0], "bound") for row in connection.execute(_BOUNDS, values)]
    except psycopg.errors.InvalidParameterValue:
        raise InvalidInputError(f"zone: {zone!r} is not a time zone, must be one such as America/Chicago") from None
    return Buckets(start, end, [bound for bound in bounds if bound < end])


@contextmanager
def time_limit(connection: psycopg.Connection, seconds: float = QUERY_TIMEOUT_S) -> Iterator[None]:
    """Bound the statements inside. One that takes longer ends as UnavailableError, never as an empty result."""
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(max(1, int(seconds * 1000)))])
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise UnavailableError(
            f"query timed out after {seconds:g} s: choose a shorter period, fewer devices or a coarser grouping"
        ) from None


def _utc(value: datetime, field: str) -> datetime:
    if value.tzinfo is None:
        raise InvalidInputError(f"{field}: {value.isoformat()} has no time zone, must have one")
    return value.astimezone(UTC)
