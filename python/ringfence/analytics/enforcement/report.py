"""The proof of enforcement as people read it: counts by verdict and over time, and the calls behind them.

What is not in the database cannot be proven: `cautions` name what is known to be missing (an ENUM server that has not
delivered its events makes calls look unasked).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ringfence.analytics.buckets import QUERY_TIMEOUT_S, time_limit
from ringfence.analytics.calls import AnyCall, Call, read_calls
from ringfence.analytics.enforcement.matching import COLUMNS, PLANNED, PLANNING, STATEMENT, period_of, values_of
from ringfence.analytics.enforcement.question import VERDICTS, EnforcementQuery, Place, Verdict
from ringfence.analytics.sip_calls import SipCall
from ringfence.database.sight import require_full_numbers, whole_numbers
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.storage.lost import lost_days
from ringfence.storage.reach import brought
from ringfence.vocabulary import Dataset

# Bars that a chart shows well.
_MOST_BUCKETS = 120
_BUCKETS_S = (10, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)

# By what a decision was found to belong to its call: `nearness` of the statement.
_MATCHED_BY = ("call_id", "numbers", "destination")

_BEHIND = """
SELECT name, last_seen_at FROM device
WHERE kind = 'enum' AND revoked_at IS NULL AND last_seen_at IS NOT NULL AND last_seen_at < %s
  AND (SELECT count(*) FROM device_stream AS s WHERE s.device_id = device.device_id) > 0
ORDER BY name
"""
_LOST = """
SELECT name, sum(lost)::bigint FROM device_stream JOIN device USING (device_id)
WHERE lost > 0 GROUP BY name ORDER BY name
"""


@dataclass(frozen=True)
class Decision:
    """A decision about a call: by what it was matched, and what became of it."""

    call: Call
    matched_by: str
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """The query as the call log has it, with `matched_by` and `verdict` beside."""
        return {**self.call.as_json(), "matched_by": self.matched_by, "verdict": self.verdict}


@dataclass(frozen=True)
class ProvenCall:
    """One call: its legs in order, the decisions about it in order, and the verdict."""

    time: datetime
    correlation: int
    verdict: str
    answered: bool
    rang: bool
    legs: tuple[SipCall, ...]
    decisions: tuple[Decision, ...]

    @property
    def place(self) -> Place:
        """Where the page after this call begins."""
        return Place(self.time, self.correlation)

    @property
    def decision(self) -> Decision | None:
        """The one to name: the last of those that have the call's verdict."""
        same = [decision for decision in self.decisions if decision.verdict == self.verdict]
        named = same or self.decisions
        return named[-1] if named else None

    def as_json(self) -> dict[str, Any]:
        """Plain values: what stands in a list, then all legs and decisions."""
        first, decision = self.legs[0], self.decision
        return {
            "time": self.time.isoformat(timespec="microseconds"),
            "correlation": f"{self.correlation & (1 << 64) - 1:016x}",
            "verdict": self.verdict,
            "source": first.as_json()["source"],
            "destination": first.destination,
            "direction": first.direction,
            "device": first.device,
            "result": first.result,
            "answered": self.answered,
            "rang": self.rang,
            "call_id": first.call_id,
            "action": decision.call.action if decision else None,
            "rule": decision.call.rule if decision else None,
            "target": decision.call.target if decision else None,
            "enum_device": decision.call.device if decision else None,
            "matched_by": decision.matched_by if decision else None,
            "legs": [leg.as_json() for leg in self.legs],
            "decisions": [one.as_json() for one in self.decisions],
        }


@dataclass(frozen=True)
class EnforcementReport:
    """The answer. `series` has, for each bucket in order, the calls of each verdict in the order of VERDICTS."""

    query: EnforcementQuery
    bucket_s: int
    buckets: tuple[datetime, ...]
    series: tuple[tuple[int, int, int, int], ...]
    queries: int
    queries_without_call: int
    calls: tuple[ProvenCall, ...]
    cautions: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Calls of the period by verdict."""
        return {word: sum(row[place] for row in self.series) for place, word in enumerate(VERDICTS)}

    @property
    def next(self) -> str | None:
        """The place where the following page begins; None at the end."""
        return str(self.calls[-1].place) if self.query.limit and len(self.calls) == self.query.limit else None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "start": self.query.start.isoformat(),
            "end": self.query.end.isoformat(),
            "window": {"before_s": self.query.window.before_s, "after_s": self.query.window.after_s},
            "total": sum(self.counts.values()),
            "counts": self.counts,
            "queries": self.queries,
            "queries_without_call": self.queries_without_call,
            "bucket_s": self.bucket_s,
            "buckets": [bucket.isoformat() for bucket in self.buckets],
            "series": {word: [row[place] for row in self.series] for place, word in enumerate(VERDICTS)},
            "calls": [call.as_json() for call in self.calls],
            "next": self.next,
            "cautions": list(self.cautions),
        }


def prove(
    connection: psycopg.Connection, query: EnforcementQuery, *, timeout_s: float = QUERY_TIMEOUT_S
) -> EnforcementReport:
    """Match decisions to calls and say what became of them.

    InvalidInputError names the field, NotFoundError the probe, UnavailableError says that it timed out.
    """
    query.check()
    bucket_s = _bucket_s(query.end - query.start)
    values = values_of(query, _probe(connection, query.device), _digits(query.number), bucket_s, query.limit)
    with time_limit(connection, timeout_s):
        # What comes out are places of events, read with the asker's own sight.
        with whole_numbers(connection), brought(connection, COLUMNS, *period_of(query)):
            connection.execute(PLANNING)
            rows = connection.execute(STATEMENT.encode(), values).fetchall()
            connection.execute(PLANNED)
        calls = _calls(connection, rows)
    buckets, series = _series(rows[0][0], query, bucket_s)
    cautions = _cautions(connection, query)
    return EnforcementReport(query, bucket_s, buckets, series, rows[0][1], rows[0][2], calls, cautions)


def _bucket_s(period: timedelta) -> int:
    return next((one for one in _BUCKETS_S if period.total_seconds() / one <= _MOST_BUCKETS), _BUCKETS_S[-1])


def _series(
    counts: list[list[int]], query: EnforcementQuery, bucket_s: int
) -> tuple[tuple[datetime, ...], tuple[tuple[int, int, int, int], ...]]:
    first = int(query.start.timestamp() // bucket_s)
    last = int((query.end - timedelta(microseconds=1)).timestamp() // bucket_s)
    by_bucket = {(bucket, verdict): calls for bucket, verdict, calls in counts}
    places = range(first, last + 1)
    rows = tuple(
        (by_bucket.get((p, 0), 0), by_bucket.get((p, 1), 0), by_bucket.get((p, 2), 0), by_bucket.get((p, 3), 0))
        for p in places
    )
    return tuple(datetime.fromtimestamp(place * bucket_s, UTC) for place in places), rows


def _calls(connection: psycopg.Connection, rows: list[tuple[Any, ...]]) -> tuple[ProvenCall, ...]:
    """The page's calls with their legs and decisions, each read once."""
    found = [row for row in rows if row[3] is not None]
    legs = _read(connection, Dataset.SIP, [leg for row in found for leg in row[10]])
    queries = _read(connection, Dataset.ENUM, [one for row in found for one in row[9] or []])
    calls = []
    for row in found:
        decisions = tuple(
            Decision(query, _MATCHED_BY[nearness], Verdict(verdict).word)
            for _, stream, sequence, nearness, verdict in row[9] or []
            if isinstance(query := queries.get((stream, sequence)), Call)
        )
        own = tuple(leg for _, *key in row[10] if isinstance(leg := legs.get((key[0], key[1])), SipCall))
        calls.append(ProvenCall(row[4].astimezone(UTC), row[3], Verdict(row[5]).word, row[7], row[8], own, decisions))
    return tuple(calls)


def _read(connection: psycopg.Connection, dataset: Dataset, named: list[list[Any]]) -> dict[tuple[int, int], AnyCall]:
    """Calls by stream and sequence, of [time, stream, sequence, …]."""
    keys = [(datetime.fromisoformat(one[0]), one[1], one[2]) for one in named]
    return {(call.stream, call.sequence): call for call in read_calls(connection, dataset, keys)}


def _probe(connection: psycopg.Connection, name: str | None) -> int | None:
    if name is None:
        return None
    row = connection.execute("SELECT device_id FROM device WHERE name = %s", [name]).fetchone()
    if row is None:
        raise NotFoundError(f"device: there is none named {name!r}")
    return int(row[0])


def _digits(number: str | None) -> int | None:
    if number is None:
        return None
    require_full_numbers("number: looking for one")
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18) or digits.startswith("0"):
        raise InvalidInputError(f"number: {number!r} is not E.164, must be such as +12105550123")
    return int(digits)


def _cautions(connection: psycopg.Connection, query: EnforcementQuery) -> tuple[str, ...]:
    behind = connection.execute(_BEHIND, [query.end]).fetchall()
    told = [
        f"{name} was last heard from at {seen.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: calls after that may look "
        "unasked until it delivers its events"
        for name, seen in behind
    ]
    told += [
        f"{name} lost {lost:,} events that were never delivered: what they said is not here"
        for name, lost in connection.execute(_LOST)
    ]
    gone = sorted({day for table in COLUMNS for day in lost_days(connection, table, *period_of(query))})
    if gone:
        told.append(f"calls or queries of {len(gone)} days from {gone[0]} to {gone[-1]} (UTC) are kept no more")
    return tuple(told)
