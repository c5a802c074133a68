"""A period cut into buckets of a time zone; and the time limit that every analytics query runs under.

PostgreSQL computes the boundaries, so that its zone data alone decides: a day of a zone with daylight saving has 23, 24
or 25 hours, an hour that is lived twice gives two buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from ringfence.errors import InvalidInputError, UnavailableError

# `hour_of_week` lays all weeks of the period over each other; `period` is one bucket for all of it.
GROUPINGS = ("second", "minute", "15_minutes", "hour", "day", "week", "hour_of_week", "period")

# A month of minutes; more rows than any chart can show.
MAX_BUCKETS = 50_000
# Seconds are counted from the calls themselves.
MAX_SECONDS = timedelta(hours=2)
QUERY_TIMEOUT_S = 30.0

_LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "15_minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "hour_of_week": timedelta(hours=1),
    "period": timedelta.max,
}

# Candidates are close enough together to hit every bucket of every zone (offsets are multiples of 15 minutes);
# `date_trunc` keeps the two hours apart that a clock set back lives twice. An hour of the week is 0 for Monday from
# midnight to one, 167 for Sunday from 23 hours on.
_BOUNDS = """
SELECT bound, (extract(isodow FROM bound AT TIME ZONE %(zone)s)::integer - 1) * 24
              + extract(hour FROM bound AT TIME ZONE %(zone)s)::integer
FROM (
    SELECT DISTINCT date_trunc(%(unit)s, candidate, %(zone)s) AS bound
    FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz + %(step)s::interval, %(step)s::interval)
         AS candidate
) AS cut ORDER BY bound
"""
# A statement that has been asked often is planned for any values: its buckets, hundreds of them, are then cast anew for
# every row, and no plan is made for the period that is asked for. Compiling takes longer than a good plan runs.
_LIMITS = sql.SQL(
    "SET LOCAL statement_timeout = {}; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off"
)
_UNITS = {"hour_of_week": "hour"}
_STEPS = {"hour": timedelta(minutes=15), "day": timedelta(hours=12), "week": timedelta(hours=12)}
_IS_ZONE = "SELECT now() AT TIME ZONE %s"
_QUARTER = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Buckets:
    """The time from `start` to `end`, cut at `bounds`; the first bucket may begin before `start`.

    `slots` says to which row each piece belongs, from 0; `keys` what stands before that row: the bucket's start, or the
    hour of the week.
    """

    start: datetime
    end: datetime
    bounds: list[datetime]
    slots: list[int] = field(default_factory=list)
    keys: list[datetime | int] = field(default_factory=list)

    def piece_seconds(self, index: int, now: datetime) -> float:
        """How much of a piece the period covers; the part after `now` has not happened yet."""
        begin = max(self.bounds[index], self.start)
        following = self.bounds[index + 1] if index + 1 < len(self.bounds) else self.end
        finish = min(following, self.end, now) if begin < now else min(following, self.end)
        return max((finish - begin).total_seconds(), 1.0)

    def seconds(self, now: datetime) -> list[float]:
        """How much time each row stands for."""
        total = [0.0] * len(self.keys)
        for index, slot in enumerate(self.slots):
            total[slot] += self.piece_seconds(index, now)
        return total


def cut_period(connection: psycopg.Connection, grouping: str, zone: str, start: datetime, end: datetime) -> Buckets:
    """Cut [start, end), widened to whole minutes (counts are kept by minute; to seconds by second), into buckets.

    InvalidInputError names the field: unknown grouping or zone, empty period, more than MAX_BUCKETS buckets.
    """
    if grouping not in GROUPINGS:
        raise InvalidInputError(f"grouping: {grouping!r} is not one of {', '.join(GROUPINGS)}")
    start, end = _utc(start, "start"), _utc(end, "end")
    if start >= end:
        raise InvalidInputError(f"start: {start.isoformat()} must be before end {end.isoformat()}")
    if grouping == "second" and end - start > MAX_SECONDS:
        raise InvalidInputError(f"grouping: seconds are for at most {MAX_SECONDS}, choose a coarser one")
    if (end - start) / _LENGTHS[grouping] > MAX_BUCKETS:
        raise InvalidInputError(f"grouping: {grouping} gives more than {MAX_BUCKETS} rows, choose a coarser one")
    _check_zone(connection, zone)
    start, end = _widen(start, end, timedelta(seconds=1) if grouping == "second" else timedelta(minutes=1))
    pieces = _pieces(connection, grouping, zone, start, end)
    bounds = [bound for bound, _ in pieces]
    if grouping != "hour_of_week":
        return Buckets(start, end, bounds, list(range(len(bounds))), list(bounds))
    hours = sorted({hour for _, hour in pieces})
    place = {hour: index for index, hour in enumerate(hours)}
    return Buckets(start, end, bounds, [place[hour] for _, hour in pieces], list(hours))


@contextmanager
def time_limit(connection: psycopg.Connection, seconds: float = QUERY_TIMEOUT_S) -> Iterator[None]:
    """Bound the statements inside. One that takes longer ends as UnavailableError, never as an empty result."""
    # SET, which unlike a SELECT does not fix the state that a transaction sees.
    connection.execute(_LIMITS.format(sql.Literal(max(1, int(seconds * 1000)))))
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise UnavailableError(
            f"query timed out after {seconds:g} s: choose a shorter period, fewer devices or a coarser grouping"
        ) from None


def _pieces(
    connection: psycopg.Connection, grouping: str, zone: str, start: datetime, end: datetime
) -> list[tuple[datetime, int]]:
    """(begin, hour of the week) of each piece, ascending. What no zone shifts is counted here."""
    if grouping == "period":
        return [(start, 0)]
    length = _LENGTHS[grouping]
    if length <= _QUARTER:
        first = start - (start - _EPOCH) % length
        return [(first + length * index, 0) for index in range(-((first - end) // length))]
    unit = _UNITS.get(grouping, grouping)
    values = {"unit": unit, "zone": zone, "start": start, "end": end, "step": _STEPS[unit]}
    cut = [(_utc(bound, "bound"), hour) for bound, hour in connection.execute(_BOUNDS, values)]
    return [(bound, hour) for bound, hour in cut if bound < end]


def _check_zone(connection: psycopg.Connection, zone: str) -> None:
    try:
        connection.execute(_IS_ZONE, [zone])
    except psycopg.errors.InvalidParameterValue:
        raise InvalidInputError(f"zone: {zone!r} is not a time zone, must be one such as America/Chicago") from None


def _widen(start: datetime, end: datetime, unit: timedelta) -> tuple[datetime, datetime]:
    return start - (start - _EPOCH) % unit, end + (_EPOCH - end) % unit


def _utc(value: datetime, field_name: str) -> datetime:
    if value.tzinfo is None:
        raise InvalidInputError(f"{field_name}: {value.isoformat()} has no time zone, must have one")
    return value.astimezone(UTC)
