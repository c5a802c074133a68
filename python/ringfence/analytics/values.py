"""Calls by the value of one thing: country, response code, codec, rule …; the parts that a whole falls into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ringfence.analytics.counting import SLOT, count, raw_conditions
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.numbering.countries import country_of
from ringfence.vocabulary import Action, Attestation, CallResult, CallSide, CallType, Dataset, Direction

Value: TypeAlias = int | str

# Upper bounds of the classes of decision time, microseconds: the last class is what took longer.
LATENCY_BOUNDS_US = (
    1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10_000, 100_000,
)  # fmt: skip
# A call of exactly a bound belongs to the class below it, hence the half: times are whole nanoseconds.
_LATENCY_CLASS = f"width_bucket(latency_ns - 0.5, ARRAY{[bound * 1000 for bound in LATENCY_BOUNDS_US]}::numeric[])"


@dataclass(frozen=True)
class Facet:
    """A thing that calls are told apart by: how rows hold it, and the word for a value."""

    raw: dict[Dataset, str]
    word: Callable[[Any], str | int]


def _code(value: int) -> int:
    return int(value)


# DNS RCODEs (IANA) that a server of ours answers with.
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS"}

FACETS = {
    "country": Facet({Dataset.ENUM: "country", Dataset.SIP: "country"}, lambda value: country_of(value) or "unknown"),
    "code": Facet({Dataset.ENUM: "rcode", Dataset.SIP: "status"}, _code),
    "released_by": Facet({Dataset.SIP: "released_by"}, CallSide.word_of),
    "attestation": Facet({Dataset.SIP: "attestation"}, Attestation.word_of),
    "codec": Facet({Dataset.SIP: "codec"}, lambda value: value or "none"),
    "latency": Facet({Dataset.ENUM: _LATENCY_CLASS}, _code),
}

_RAW = """
SELECT {slot}, {value}, count(*) FROM {table}
WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1, 2
"""
_RULES = """
SELECT slot, coalesce(name, '#' || rule_id), sum(hits)::bigint, sum(monitored)::bigint FROM (
    SELECT {slot} AS slot, rule_id, count(*) AS hits, 0 AS monitored FROM enum_event
    WHERE rule_id <> 0 AND time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1, 2
    UNION ALL
    SELECT {slot}, matched, 0, count(*) FROM enum_event, unnest(monitored) AS matched
    WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1, 2
) AS matched LEFT JOIN policy_rule USING (rule_id) GROUP BY 1, 2
"""


def count_values(asked: Asked, facet: str) -> dict[tuple[int, Value], int]:
    """(slot, value) → calls."""
    where, values = raw_conditions(asked)
    statement = _RAW.format(
        slot=SLOT, value=FACETS[facet].raw[asked.query.dataset], table=TABLES[asked.query.dataset], conditions=where
    )
    found = asked.connection.execute(statement.encode(), values)
    return {(slot, value): calls for slot, value, calls in found}


def by_value(facet: str) -> Callable[[Asked], list[Row]]:
    """A view with a row (bucket, word, calls) for each value that a bucket has, the most frequent first."""

    def fetch(asked: Asked) -> list[Row]:
        word = FACETS[facet].word
        return _ordered(asked, [(slot, word(value), calls) for (slot, value), calls in
                                count_values(asked, facet).items()])  # fmt: skip

    return fetch


_WORDS: dict[str, Callable[[int], str]] = {
    "direction": Direction.word_of,
    "call_type": CallType.word_of,
    "action": Action.word_of,
    "result": CallResult.word_of,
}


def by_word(name: str) -> Callable[[Asked], list[Row]]:
    """The same for a word that every figure can be split by."""

    def fetch(asked: Asked) -> list[Row]:
        counts = count(asked, ("calls",), ("outcome" if name in ("action", "result") else name,))
        return _ordered(asked, [(slot, _WORDS[name](value), figures["calls"])
                                for (slot, value), figures in counts.items()])  # fmt: skip

    return fetch


def fetch_rules(asked: Asked) -> list[Row]:
    """(bucket, rule, calls it decided, calls it would have decided in monitor mode)."""
    where, values = raw_conditions(asked)
    found = asked.connection.execute(_RULES.format(slot=SLOT, conditions=where).encode(), values)
    return _ordered(asked, [(slot, rule, hits, monitored) for slot, rule, hits, monitored in found])


def _ordered(asked: Asked, rows: list[Row]) -> list[Row]:
    """By bucket, then by calls, then by word; with the bucket's key in place of its number."""
    rows.sort(key=lambda row: (row[0], *(-calls for calls in row[2:]), str(row[1])))
    return [(asked.buckets.keys[row[0]], *row[1:]) for row in rows]
