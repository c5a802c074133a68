"""Back-test: when a definition would have fired over the past days, by the very windows that would watch. A job.

recorded calls that count, ten minutes at a time ─► Windows ─► firings (bounded), calls and firings over time
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc
from psycopg import sql

from ringfence._native import Windows
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import Database
from ringfence.detection.applying import Crossing, microseconds, moment
from ringfence.detection.calls import as_stream, read_period
from ringfence.detection.compiled import key_words, specification
from ringfence.detection.definition import Definition
from ringfence.detection.sql import condition_sql, usual
from ringfence.detection.surroundings import Surroundings, read_surroundings
from ringfence.detection.watch import MAX_KEYS
from ringfence.errors import InvalidInputError
from ringfence.mediation.jobs import Progress

KIND = "back_test"  # of the job
MAX_DAYS = 60
MAX_FIRINGS = 500  # told one by one; all are counted
BUCKETS = 120
compute: Any = pc


def check_days(days: float) -> timedelta:
    """A period to test over. InvalidInputError."""
    if not 0 < days <= MAX_DAYS:
        raise InvalidInputError(f"days: {days:g} must be more than 0 and at most {MAX_DAYS}")
    return timedelta(days=days)


def back_test(
    database: Database, definition: Definition, span: timedelta, now: datetime, progress: Progress
) -> dict[str, Any]:
    """Firings, newest last, and a series for a chart (docs/detection.md). Raises `jobs.Cancelled` when the job was.

    Silence is not told: it is the absence of calls that a watcher asks for as time passes.
    """
    begun = time.monotonic()
    start = now - span
    with database.connection() as connection:
        around = read_surroundings(connection)
    period = (start - timedelta(seconds=definition.window_s), now)
    windows = Windows(specification([definition], around, period), MAX_KEYS, 1)
    only = condition_sql(definition, around, period)
    series = _Series(start, now)
    found: list[tuple[Crossing, float]] = []
    total = max(int(span.total_seconds()), 1)
    progress.at(0, total, "counting calls")
    with columnar_reader(database.url) as reader:
        for until, calls in read_period(reader, definition.dataset, period[0], now, only=sql.SQL("({})").format(only)):
            series.add_calls(calls.column("time_us"))
            for crossing in (Crossing(*one) for one in windows.feed(definition.dataset, as_stream(calls), _us(now))):
                if crossing.is_new and crossing.at_us >= _us(start):
                    found.extend(_judged(database, definition, around, crossing, windows))
            progress.at(max(0, int((until - start).total_seconds())))
    for crossing, _ in found:
        series.add_firing(crossing.at_us)
    counters = windows.counters()
    return {
        "name": definition.name,
        "start": start.isoformat(),
        "end": now.isoformat(),
        "calls": series.calls_in_all,
        "firings_in_all": len(found),
        "keys": len({crossing.key for crossing, _ in found}),
        "evicted": counters[3],
        "firings": [_firing_json(definition, around, one, threshold) for one, threshold in found[-MAX_FIRINGS:]],
        "series": series.as_json(),
        "took_s": round(time.monotonic() - begun, 3),
    }


class _Series:
    """Calls and firings in equal parts of a period."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start_us = _us(start)
        self._bucket_us = max(1, (_us(end) - _us(start)) // BUCKETS)
        self._calls = [0] * (BUCKETS + 1)
        self._firings = [0] * (BUCKETS + 1)
        self.calls_in_all = 0

    def add_calls(self, times: Any) -> None:
        """A column of times; those before the period only fill the windows."""
        places = compute.divide(compute.subtract(times, self._start_us), self._bucket_us)
        is_within = compute.greater_equal(times, self._start_us)
        for one in compute.value_counts(places.filter(is_within)).to_pylist():
            self._calls[min(one["values"], BUCKETS)] += one["counts"]
            self.calls_in_all += one["counts"]

    def add_firing(self, at_us: int) -> None:
        """One more."""
        self._firings[min((at_us - self._start_us) // self._bucket_us, BUCKETS)] += 1

    def as_json(self) -> dict[str, Any]:
        """Bucket by bucket."""
        return {"bucket_s": self._bucket_us / 1e6, "calls": self._calls, "firings": self._firings}


def _judged(
    database: Database, one: Definition, around: Surroundings, crossing: Crossing, windows: Windows
) -> list[tuple[Crossing, float]]:
    """The crossing with its threshold; nothing where the usual value of its hour is too near."""
    if one.threshold.baseline is None:
        return [(crossing, crossing.threshold)]
    with database.connection() as connection:
        value = usual(connection, one, around, crossing.key, moment(crossing.at_us))
    if value is None:
        return [(crossing, crossing.threshold)]
    threshold = value * one.threshold.baseline.factor
    if crossing.value <= threshold if one.threshold.below else crossing.value >= threshold:
        return [(crossing, threshold)]
    windows.set_threshold(0, crossing.key, threshold, crossing.at_us + 3_600_000_000)
    return []


def _firing_json(one: Definition, around: Surroundings, crossing: Crossing, threshold: float) -> dict[str, Any]:
    return {
        "at": moment(crossing.at_us).isoformat(),
        "key": key_words(one, crossing.key, around),
        "value": crossing.value,
        "threshold": threshold,
        "calls": crossing.calls,
    }


def _us(at: datetime) -> int:
    return microseconds(at)
