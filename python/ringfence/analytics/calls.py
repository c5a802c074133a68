"""Single calls, newest first: the call log, and the rows behind every chart.

Order and paging are by (time, stream, sequence) descending. Rows have no index in that order (a BRIN index on time
costs ingest nothing, a B-tree would), so a page is searched for in growing periods back from its upper end: the newest
second, the eight before it, … until the page is full. The work is bounded by what the page needs, not by what a day
holds. Of a rule only the hours are searched that have calls of it (`rule_hours`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import dict_row

from ringfence.analytics.buckets import QUERY_TIMEOUT_S, time_limit
from ringfence.analytics.cursor import Cursor
from ringfence.analytics.enum_calls import ENUM_PAGE, Call, enum_call
from ringfence.analytics.filters import FILTERS, Choice, EventFilter, any_of, choices
from ringfence.analytics.rule_hours import hours_without
from ringfence.analytics.sip_calls import SIP_PAGE, SipCall, sip_call
from ringfence.analytics.spans import HOUR, Run, gaps_between, joined
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.storage.places import archived_parts
from ringfence.storage.reach import ask_archive
from ringfence.vocabulary import (
    Action,
    Attestation,
    CallResult,
    CallSide,
    CallType,
    Dataset,
    Direction,
)

__all__ = ["AnyCall", "Call", "CallFilter", "find_calls", "follow_calls", "read_call", "read_calls", "stream_of"]

MAX_LIMIT = 10_000  # of one page
MAX_EXPORT = 10_000_000  # of one export, page after page

# First period searched, and by how much each following one is longer; the last reaches back to `start`.
_FIRST_PERIOD = timedelta(seconds=1)
_GROWTH = 8
_LONGEST_PERIOD = timedelta(days=400)
_INSTANT = timedelta(microseconds=1)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
# Runs of time of one statement: of a rule with calls in many hours that do not follow each other.
_MOST_RUNS = 40


@dataclass(frozen=True)
class CallFilter:
    """Which calls. None matches all. The fields that views have too mean the same here (`filters.EventFilter`)."""

    dataset: Dataset = Dataset.ENUM
    device: str | None = None
    number: str | None = None
    source: str | None = None
    destination: str | None = None
    action: Action | None = None
    rule: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 100
    before: Cursor | None = None
    # Of dataset SIP, as `action` and `rule` are of dataset ENUM.
    result: CallResult | None = None
    call_id: str | None = None
    site: str | None = None
    direction: Direction | None = None
    call_type: CallType | None = None
    country: str | None = None
    code: int | None = None
    released_by: CallSide | None = None
    attestation: Attestation | None = None
    codec: str | None = None

    @classmethod
    def of(cls, wanted: EventFilter, dataset: Dataset, **more: Any) -> CallFilter:
        """The calls that a filter of views lets through."""
        return cls(dataset, **{name: getattr(wanted, name) for name in FILTERS}, **more)

    @property
    def events(self) -> EventFilter:
        """What views have too."""
        return EventFilter(**{name: getattr(self, name) for name in FILTERS})


AnyCall: TypeAlias = Call | SipCall
_Key: TypeAlias = tuple[datetime, int, int]  # time, stream, sequence

_AT_SITE = "device_id IN (SELECT device_id FROM device JOIN site USING (site_id) WHERE site.name = %(site)s)"

_SEARCHED = "SELECT * FROM {table} WHERE {conditions} ORDER BY {order} LIMIT %(limit)s"
# A day's calls by their times, which its BRIN index finds; the few others of the same microsecond are left out later.
_NAMED = """
SELECT * FROM {table}
WHERE time BETWEEN %(first_{day})s AND %(last_{day})s AND time = ANY(%(times_{day})s::timestamptz[])
"""
_TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}
_NEWEST_FIRST = "time DESC, stream_id DESC, sequence DESC"
_AS_ARRIVED = "stream_id, sequence"

_ADVANCED = """
SELECT stream_id, last_sequence FROM device_stream
WHERE %(device)s::text IS NULL OR device_id = (SELECT device_id FROM device WHERE name = %(device)s)
ORDER BY stream_id
"""


def find_calls(
    connection: psycopg.Connection,
    wanted: CallFilter,
    *,
    now: datetime | None = None,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> list[AnyCall]:
    """The newest calls that match, at most `limit`; the next page is `before` the last one's cursor.

    InvalidInputError for a bad filter, UnavailableError when the search times out.
    """
    conditions, values = _conditions(wanted)
    start = wanted.start or _EARLIEST
    # A device's clock may run a little ahead: without an end the newest calls may lie after `now`.
    until = min(wanted.end or _LATEST, wanted.before.time + _INSTANT if wanted.before else _LATEST)
    calls: list[AnyCall] = []
    with time_limit(connection, timeout_s):
        idle = hours_without(connection, wanted.rule, start, until) if wanted.rule else []
        for since, before in _periods(min(now or datetime.now(UTC), until), start, until):
            hours = [hour for hour in idle if since - HOUR < hour < before]
            if runs := joined(gaps_between(since, before, hours), _MOST_RUNS):
                within, period = _within(runs)
                period["limit"] = wanted.limit - len(calls)
                calls += _fetch(connection, wanted.dataset, [*conditions, *within], values | period, _NEWEST_FIRST)
            if len(calls) >= wanted.limit:
                break
    return calls


def follow_calls(
    connection: psycopg.Connection,
    wanted: CallFilter,
    position: dict[int, int] | None,
    *,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> tuple[list[AnyCall], dict[int, int]]:
    """Calls that arrived since `position`, in order of arrival, and the new position; None begins now, with no calls.

    A position is the last sequence seen of each stream, so a call that an edge delivers late is not missed as long as
    its own time is not before `wanted.start`. At most `limit` calls of each stream at once.
    """
    conditions, values = _conditions(wanted)
    with time_limit(connection, timeout_s):
        advanced = {row[0]: row[1] for row in connection.execute(_ADVANCED, {"device": wanted.device})}
        if position is None:
            return [], advanced
        calls: list[AnyCall] = []
        for stream, last in advanced.items():
            seen = position.get(stream, 0)
            if last <= seen:
                continue
            # The position advances over what the filter hides, unless the page is full.
            span = {"stream_id": stream, "seen": seen, "last": last, "limit": wanted.limit}
            of_stream = ("stream_id = %(stream_id)s AND sequence > %(seen)s AND sequence <= %(last)s",)
            since = [("time >= %(start)s",)] if wanted.start else []
            fresh = _fetch(connection, wanted.dataset, [*conditions, of_stream, *since], values | span, _AS_ARRIVED)
            calls += fresh
            if len(fresh) == wanted.limit:
                advanced[stream] = fresh[-1].sequence
    return sorted(calls, key=lambda call: (call.time, call.stream, call.sequence)), advanced


def read_call(connection: psycopg.Connection, stream: int, sequence: int) -> Call:
    """One call by what its JSON names `stream` and `sequence`. NotFoundError: never was, or is kept no more."""
    named = [("stream_id = %(stream)s",), ("sequence = %(sequence)s",)]
    values = {"stream": stream, "sequence": sequence, "limit": 1}
    # Its time is not known: the whole archive is looked through, and only for what the database does not have.
    found = _fetch(connection, Dataset.ENUM, named, values, _AS_ARRIVED) or _fetch(
        connection, Dataset.ENUM, named, values, _NEWEST_FIRST
    )
    call = found[0] if found else None
    if not isinstance(call, Call):
        raise NotFoundError(f"call {stream}/{sequence} is not recorded, or is kept no more")
    return call


def read_calls(connection: psycopg.Connection, dataset: Dataset, keys: Sequence[_Key]) -> list[AnyCall]:
    """The calls with these (time, stream, sequence), newest first; those that are kept no more are left out."""
    if not keys:
        return []
    wanted, table = set(keys), _TABLES[dataset]
    days: dict[date, list[datetime]] = defaultdict(list)
    for time, _, _ in sorted(wanted):
        days[time.astimezone(UTC).date()].append(time)
    values: dict[str, Any] = {}
    for day, times in enumerate(days.values()):
        values |= {f"first_{day}": times[0], f"last_{day}": times[-1], f"times_{day}": times}
    rows = " UNION ALL ".join(_NAMED.format(table=table, day=day) for day in range(len(days)))
    found = _of_keys(_read(connection, dataset, rows, values, _NEWEST_FIRST), wanted)
    parts = archived_parts(connection, table, min(wanted)[0], max(wanted)[0] + _INSTANT)
    if parts and len(found) < len(wanted):
        page, made = _SHAPES[dataset]
        archived = ask_archive(connection, page.format(rows=rows, order=_NEWEST_FIRST), values, table, parts)
        found |= _of_keys(map(made, archived), wanted)
    return [found[key] for key in sorted(found, reverse=True)]


def _of_keys(calls: Iterable[AnyCall], wanted: Set[_Key]) -> dict[_Key, AnyCall]:
    named = {(call.time, call.stream, call.sequence): call for call in calls}
    return {key: named[key] for key in wanted & named.keys()}


def stream_of(connection: psycopg.Connection, device: str, journal: int, number: int) -> int:
    """The stream of a device's journal as calls name it. NotFoundError."""
    row = connection.execute(
        """
        SELECT stream_id FROM device_stream JOIN device USING (device_id)
        WHERE device.name = %s AND journal_id = %s AND stream = %s
        """,
        (device, journal, number),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"device {device!r} has no stream {number} of a journal {journal}")
    return int(row[0])


def _periods(upper: datetime, start: datetime, until: datetime) -> Iterator[Run]:
    """Periods that together are [start, until), newest first; the first reaches a second back from `upper`."""
    length = _FIRST_PERIOD
    while length <= _LONGEST_PERIOD and (since := upper - length) > start:
        yield since, until
        until = since
        length *= _GROWTH
    if start < until:
        yield start, until


def _within(runs: Sequence[Run]) -> tuple[list[Choice], dict[str, Any]]:
    """Conditions and values: the time is in one of these runs, which are in order. Archive: `since`, `until` of all."""
    values: dict[str, Any] = {"since": runs[0][0], "until": runs[-1][1]}
    conditions: list[Choice] = [("time >= %(since)s AND time < %(until)s",)]
    if len(runs) > 1:
        each = [f"time >= %(since_{place})s AND time < %(until_{place})s" for place in range(len(runs))]
        conditions.append((any_of(tuple(each)),))
        for place, (begin, end) in enumerate(runs):
            values |= {f"since_{place}": begin, f"until_{place}": end}
    return conditions, values


def _conditions(wanted: CallFilter) -> tuple[list[Choice], dict[str, Any]]:
    """SQL conditions (constant text) and their values; periods of time come on top."""
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit: {wanted.limit} must be from 1 to {MAX_LIMIT}")
    if wanted.call_id is not None and wanted.dataset is not Dataset.SIP:
        raise InvalidInputError(f"call_id: calls of dataset {wanted.dataset.word} have none")
    for field in ("start", "end"):
        moment: datetime | None = getattr(wanted, field)
        if moment is not None and moment.tzinfo is None:
            raise InvalidInputError(f"{field}: {moment.isoformat()} has no time zone, must have one")
    conditions, values = choices(wanted.events, wanted.dataset)
    values["start"] = wanted.start
    for condition, name, value in (
        ("device_id = (SELECT device_id FROM device WHERE name = %(device)s)", "device", wanted.device),
        (_AT_SITE, "site", wanted.site),
        ("call_id = %(call_id)s", "call_id", wanted.call_id),
        ("time < %(end)s", "end", wanted.end),
    ):
        if value is not None:
            conditions.append((condition,))
            values[name] = value
    if wanted.before is not None:
        conditions.append(("(time, stream_id, sequence) < (%(before_time)s, %(before_stream)s, %(before_sequence)s)",))
        values |= {
            "before_time": wanted.before.time,
            "before_stream": wanted.before.stream,
            "before_sequence": wanted.before.sequence,
        }
    return conditions, values


def _fetch(
    connection: psycopg.Connection,
    dataset: Dataset,
    conditions: Sequence[Choice],
    values: dict[str, Any],
    order: str,
) -> list[AnyCall]:
    """Calls of the conditions, in `order`.

    The archive is asked for each combination of what may hold, with the newest of each: it passes over row groups and
    pages by conditions on single columns that all must hold, and by no others.
    """

    def rows(one: Sequence[str]) -> str:
        return _SEARCHED.format(table=_TABLES[dataset], conditions=" AND ".join(one), order=order)

    # What just arrived (`_AS_ARRIVED`) is never of a day that only the archive has.
    reaching = [rows(one) for one in product(*conditions)] if order == _NEWEST_FIRST else []
    return _read(connection, dataset, rows([any_of(choice) for choice in conditions]), values, order, reaching)


def _read(
    connection: psycopg.Connection,
    dataset: Dataset,
    rows: str,
    values: dict[str, Any],
    order: str,
    reaching: Sequence[str] = (),
) -> list[AnyCall]:
    """Calls in `order`; with `reaching` those too that any of it finds in the archive, newest first, `limit`.

    Of these a call that two find is there once.
    """
    page, made = _SHAPES[dataset]
    table, since, until = _TABLES[dataset], values.get("since"), values.get("until")
    parts = archived_parts(connection, table, since, until) if reaching else ()
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(page.format(rows=rows, order=order).encode(), values).fetchall()
    if parts:
        together = " UNION ALL ".join(f"({one})" for one in reaching)
        found += ask_archive(connection, page.format(rows=together, order=order), values, table, parts)
        named = {(row["time"], row["stream_id"], row["sequence"]): row for row in found}
        found = [named[key] for key in sorted(named, reverse=True)][: values["limit"]]
    return [made(row) for row in found]


# How calls of a dataset are read, and what is made of a row.
_SHAPES: dict[Dataset, tuple[str, Callable[[dict[str, Any]], AnyCall]]] = {
    Dataset.ENUM: (ENUM_PAGE, enum_call),
    Dataset.SIP: (SIP_PAGE, sip_call),
}
