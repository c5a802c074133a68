"""Which part of a period is answered from which store: calls themselves, quarters of an hour, or hours. Pure.

    start      quarter       hour                         hour       quarter     end
      │  calls    │  quarters  │  hours …                   │  quarters  │  calls   │

Quarters fit the buckets of every time zone, hours those whose bounds are whole hours of UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from ringfence.analytics.buckets import Buckets
from ringfence.storage.rollups import ALWAYS, KeptSince

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


Run: TypeAlias = tuple[datetime, datetime]  # [begin, end)


@dataclass(frozen=True)
class Span:
    """A part of the period, and where it is read: `calls`, `quarter` or `hour`."""

    store: str
    start: datetime
    end: datetime


def spans_of(buckets: Buckets, grouping: str, kept: KeptSince = ALWAYS, *, is_kept: bool) -> list[Span]:
    """The period in spans, ascending. `is_kept`: the filters allow what is kept; else all of it is read from calls.

    So is the time of which counts are kept no more.
    """
    whole = [Span("calls", buckets.start, buckets.end)]
    if not is_kept or grouping in ("second", "minute"):
        return whole
    first, last = _up(buckets.start, QUARTER), _down(buckets.end, QUARTER)
    if first >= last:
        return whole
    spans = [Span("calls", buckets.start, first), *_between(buckets, first, last), Span("calls", last, buckets.end)]
    return [part for span in spans for part in _as_kept(span, kept) if part.start < part.end]


def _as_kept(span: Span, kept: KeptSince) -> tuple[Span, ...]:
    """The part of a span from before its store is whole is read from the calls."""
    if span.store == "calls":
        return (span,)
    since = min(max(kept.hours if span.store == "hour" else kept.minutes, span.start), span.end)
    return Span("calls", span.start, since), Span(span.store, since, span.end)


def _between(buckets: Buckets, first: datetime, last: datetime) -> list[Span]:
    begin, end = _up(first, HOUR), _down(last, HOUR)
    if begin >= end or any(bound.minute or bound.second for bound in buckets.bounds[1:]):
        return [Span("quarter", first, last)]
    return [Span("quarter", first, begin), Span("hour", begin, end), Span("quarter", end, last)]


def _down(moment: datetime, unit: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % unit


def _up(moment: datetime, unit: timedelta) -> datetime:
    return moment + (_EPOCH - moment) % unit


def whole_hours(buckets: Buckets) -> dict[datetime, int]:
    """Hours of UTC that lie wholly in one bucket → its slot."""
    found: dict[datetime, int] = {}
    for index, slot in enumerate(buckets.slots):
        begin, end = piece(buckets, index)
        hour = _up(begin, HOUR)
        while hour + HOUR <= end:
            found[hour] = slot
            hour += HOUR
    return found


def piece(buckets: Buckets, index: int) -> tuple[datetime, datetime]:
    """The part of a piece that the period covers."""
    following = buckets.bounds[index + 1] if index + 1 < len(buckets.bounds) else buckets.end
    return max(buckets.bounds[index], buckets.start), min(following, buckets.end)


def gaps_between(start: datetime, end: datetime, hours: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The parts of [start, end) that none of these hours covers, ascending."""
    gaps: list[tuple[datetime, datetime]] = []
    at = start
    for hour in sorted(hours):
        if at < hour:
            gaps.append((at, min(hour, end)))
        at = max(at, hour + HOUR)
    if at < end:
        gaps.append((at, end))
    return gaps


def connected(parts: Iterable[Run]) -> list[Run]:
    """Parts of time in order, with those that follow each other put together."""
    runs: list[Run] = []
    for begin, end in parts:
        runs.append((runs.pop()[0] if runs and runs[-1][1] == begin else begin, end))
    return runs


def joined(runs: list[Run], most: int) -> list[Run]:
    """At most `most` runs: those with the least time between them are put together."""
    if len(runs) <= most:
        return runs
    between = sorted(range(1, len(runs)), key=lambda index: runs[index][0] - runs[index - 1][1], reverse=True)
    first = [0, *sorted(between[: most - 1])]
    return [(runs[begin][0], runs[end - 1][1]) for begin, end in zip(first, [*first[1:], len(runs)], strict=True)]
