"""Single calls, newest first: the call log, and the rows behind every chart.

Order and paging are by (time, stream, sequence) descending. Rows have no index in that order (a BRIN index on time
costs ingest nothing, a B-tree would), so a page is searched for in growing periods back from its upper end: the newest
second, the eight before it, … until the page is full. The work is bounded by what the page needs, not by what a day
holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import dict_row

from ringfence.analytics.buckets import QUERY_TIMEOUT_S, time_limit
from ringfence.analytics.cursor import Cursor
from ringfence.analytics.enum_calls import ENUM_PAGE, Call, enum_call
from ringfence.analytics.filters import FILTERS, EventFilter
from ringfence.analytics.filters import conditions as conditions_of
from ringfence.analytics.sip_calls import SIP_PAGE, SipCall, sip_call
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.storage.archive.parts import Part
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

# First period searched, and by how much each following one is longer; the last has no lower end.
_FIRST_PERIOD = timedelta(seconds=1)
_GROWTH = 8
_LONGEST_PERIOD = timedelta(days=400)
_INSTANT = timedelta(microseconds=1)


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

_AT_SITE = "device_id IN (SELECT device_id FROM device JOIN site USING (site_id) WHERE site.name = %(site)s)"

_SEARCHED = "SELECT * FROM {table} WHERE {conditions} ORDER BY {order} LIMIT %(limit)s"
# One by one: with its time each is found in its own partition, through both BRIN indexes.
_NAMED = """
SELECT event.* FROM unnest(%(times)s::timestamptz[], %(streams)s::integer[], %(sequences)s::bigint[])
       AS named (time, stream_id, sequence)
CROSS JOIN LATERAL (
    SELECT * FROM {table} AS event WHERE event.time = named.time AND event.stream_id = named.stream_id
           AND event.sequence = named.sequence OFFSET 0
) AS event
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
    by_side = [_conditions(one) for one in _by_side(wanted)]
    values |= {name: value for _, others in by_side for name, value in others.items()}
    upper = min(edge for edge in (now or datetime.now(UTC), wanted.end, wanted.before and wanted.before.time) if edge)
    calls: list[AnyCall] = []
    with time_limit(connection, timeout_s):
        for since, until in _periods(upper, wanted.start):
            period = {"since": since, "until": until, "limit": wanted.limit - len(calls)}
            limits = ["time >= %(since)s"] if since else []
            limits += ["time < %(until)s"] if until else []
            archived = [[*one, *limits] for one, _ in by_side]
            calls += _fetch(
                connection, wanted.dataset, [*conditions, *limits], values | period, _NEWEST_FIRST, archived
            )
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
            of_stream = "stream_id = %(stream_id)s AND sequence > %(seen)s AND sequence <= %(last)s"
            since = ["time >= %(start)s"] if wanted.start else []
            fresh = _fetch(connection, wanted.dataset, [*conditions, of_stream, *since], values | span, _AS_ARRIVED)
            calls += fresh
            if len(fresh) == wanted.limit:
                advanced[stream] = fresh[-1].sequence
    return sorted(calls, key=lambda call: (call.time, call.stream, call.sequence)), advanced


def read_call(connection: psycopg.Connection, stream: int, sequence: int) -> Call:
    """One call by what its JSON names `stream` and `sequence`. NotFoundError: never was, or is kept no more."""
    named = ["stream_id = %(stream)s", "sequence = %(sequence)s"]
    values = {"stream": stream, "sequence": sequence, "limit": 1}
    # Its time is not known: the whole archive is looked through, and only for what the database does not have.
    found = _fetch(connection, Dataset.ENUM, named, values, _AS_ARRIVED) or _fetch(
        connection, Dataset.ENUM, named, values, _NEWEST_FIRST
    )
    call = found[0] if found else None
    if not isinstance(call, Call):
        raise NotFoundError(f"call {stream}/{sequence} is not recorded, or is kept no more")
    return call


def read_calls(
    connection: psycopg.Connection, dataset: Dataset, keys: Sequence[tuple[datetime, int, int]]
) -> list[AnyCall]:
    """The calls with these (time, stream, sequence), newest first; those that are kept no more are left out."""
    if not keys:
        return []
    times, streams, sequences = zip(*keys, strict=True)
    values = {"times": list(times), "streams": list(streams), "sequences": list(sequences)}
    table = _TABLES[dataset]
    parts = archived_parts(connection, table, min(times), max(times) + _INSTANT)
    found = _read(connection, dataset, _NAMED.format(table=table), values, _NEWEST_FIRST)
    if parts and len(found) < len(set(keys)):
        found += _read_archived(connection, dataset, set(keys), parts)
        found.sort(key=lambda call: (call.time, call.stream, call.sequence), reverse=True)
    return found


def _read_archived(
    connection: psycopg.Connection, dataset: Dataset, keys: set[tuple[datetime, int, int]], parts: Sequence[Part]
) -> list[AnyCall]:
    """Those of the calls that these parts have."""
    times = [time for time, _, _ in keys]
    rows = (
        f"SELECT * FROM {_TABLES[dataset]} WHERE time BETWEEN %(first)s AND %(last)s"  # noqa: S608 — our name
        " AND time = ANY(%(times)s::timestamptz[])"
    )
    values = {"times": times, "first": min(times), "last": max(times)}
    page, made = _SHAPES[dataset]
    statement = page.format(rows=rows, order=_NEWEST_FIRST)
    found = ask_archive(connection, statement, values, _TABLES[dataset], parts)
    return [made(row) for row in found if (row["time"], row["stream_id"], row["sequence"]) in keys]


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


def _periods(upper: datetime, start: datetime | None) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Periods [since, until) that together cover everything from `start` on; the first has no upper end.

    A device's clock may run a little ahead, so the newest calls may lie after `upper`.
    """
    until: datetime | None = None
    length = _FIRST_PERIOD
    while start is None or until is None or until > start:
        if length > _LONGEST_PERIOD:
            yield start, until
            return
        since = upper - length
        if start is not None and since <= start:
            yield start, until
            return
        yield since, until
        until = since
        length *= _GROWTH


def _by_side(wanted: CallFilter) -> tuple[CallFilter, ...]:
    """Filters that together are this one, each with conditions that the archive can pass over whole row groups by: a
    number on either side is looked for on one side, then on the other.
    """
    if wanted.number is None or wanted.source is not None or wanted.destination is not None:
        return (wanted,)
    return replace(wanted, number=None, source=wanted.number), replace(wanted, number=None, destination=wanted.number)


def _conditions(wanted: CallFilter) -> tuple[list[str], dict[str, Any]]:
    """SQL conditions (constant text) and their values; periods of time come on top."""
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit: {wanted.limit} must be from 1 to {MAX_LIMIT}")
    if wanted.call_id is not None and wanted.dataset is not Dataset.SIP:
        raise InvalidInputError(f"call_id: calls of dataset {wanted.dataset.word} have none")
    for field in ("start", "end"):
        moment: datetime | None = getattr(wanted, field)
        if moment is not None and moment.tzinfo is None:
            raise InvalidInputError(f"{field}: {moment.isoformat()} has no time zone, must have one")
    shared, values = conditions_of(wanted.events, wanted.dataset)
    conditions = ["true", *shared]
    values["start"] = wanted.start
    for condition, name, value in (
        ("device_id = (SELECT device_id FROM device WHERE name = %(device)s)", "device", wanted.device),
        (_AT_SITE, "site", wanted.site),
        ("call_id = %(call_id)s", "call_id", wanted.call_id),
        ("time < %(end)s", "end", wanted.end),
    ):
        if value is not None:
            conditions.append(condition)
            values[name] = value
    if wanted.before is not None:
        conditions.append(
            "time <= %(before_time)s AND (time, stream_id, sequence)"
            " < (%(before_time)s, %(before_stream)s, %(before_sequence)s)"
        )
        values |= {
            "before_time": wanted.before.time,
            "before_stream": wanted.before.stream,
            "before_sequence": wanted.before.sequence,
        }
    return conditions, values


def _fetch(
    connection: psycopg.Connection,
    dataset: Dataset,
    conditions: list[str],
    values: dict[str, Any],
    order: str,
    archived: Sequence[list[str]] = (),
) -> list[AnyCall]:
    """Calls of the conditions; of the archive those of any of `archived`, which together are the same conditions."""

    def rows(one: list[str]) -> str:
        return _SEARCHED.format(table=_TABLES[dataset], conditions=" AND ".join(one), order=order)

    # What just arrived (`_AS_ARRIVED`) is never of a day that only the archive has.
    reaching = [rows(one) for one in archived or [conditions]] if order == _NEWEST_FIRST else []
    return _read(connection, dataset, rows(conditions), values, order, reaching)


def _read(
    connection: psycopg.Connection,
    dataset: Dataset,
    rows: str,
    values: dict[str, Any],
    order: str,
    reaching: Sequence[str] = (),
) -> list[AnyCall]:
    """Calls in `order`; with `reaching` those too that any of it finds in the archive, newest first, `limit`."""
    page, made = _SHAPES[dataset]
    table, since, until = _TABLES[dataset], values.get("since"), values.get("until")
    parts = archived_parts(connection, table, since, until) if reaching else ()
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(page.format(rows=rows, order=order).encode(), values).fetchall()
    if parts:
        for one in reaching:
            found += ask_archive(connection, page.format(rows=one, order=order), values, table, parts)
        named = {(row["time"], row["stream_id"], row["sequence"]): row for row in found}
        found = [named[key] for key in sorted(named, reverse=True)][: values["limit"]]
    return [made(row) for row in found]


# How calls of a dataset are read, and what is made of a row.
_SHAPES: dict[Dataset, tuple[str, Callable[[dict[str, Any]], AnyCall]]] = {
    Dataset.ENUM: (ENUM_PAGE, enum_call),
    Dataset.SIP: (SIP_PAGE, sip_call),
}
