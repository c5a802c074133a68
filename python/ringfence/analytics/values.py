"""Calls by the value of one thing: country, response code, codec, rule …; the parts that a whole falls into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringfence.analytics.counting import SLOT, count, kept_conditions, raw_conditions, read_calls
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.spans import Span, spans_of
from ringfence.numbering.countries import country_of
from ringfence.vocabulary import (
    LATENCY_BOUNDS_NS,
    MAX_VALUE,
    Action,
    Attestation,
    CallResult,
    CallSide,
    CallType,
    Dataset,
    Direction,
    Part,
)

# Filters, beside device and site, that the counts by value can answer.
OF_VALUES = frozenset(("direction",))
LATENCY_BOUNDS_US = tuple(bound / 1000 for bound in LATENCY_BOUNDS_NS)
# A call of exactly a bound belongs to the class below it.
_LATENCY_CLASS = " + ".join(f"(latency_ns > {bound})::integer" for bound in LATENCY_BOUNDS_NS)


@dataclass(frozen=True)
class Facet:
    """A thing that calls are told apart by: how rows hold it, as what it is kept, and the word for a value."""

    part: Part
    raw: dict[Dataset, str]
    word: Callable[[Any], str | int]


FACETS = {
    "country": Facet(
        Part.COUNTRY,
        {Dataset.ENUM: "country", Dataset.SIP: "country"},
        lambda value: country_of(int(value)) or "unknown",
    ),
    "code": Facet(Part.CODE, {Dataset.ENUM: "rcode", Dataset.SIP: "status"}, int),
    "released_by": Facet(Part.RELEASED_BY, {Dataset.SIP: "released_by"}, lambda value: CallSide.word_of(int(value))),
    "attestation": Facet(Part.ATTESTATION, {Dataset.SIP: "attestation"}, lambda value: Attestation.word_of(int(value))),
    "codec": Facet(Part.CODEC, {Dataset.SIP: f"left(codec, {MAX_VALUE})"}, lambda value: value or "none"),
    "latency": Facet(Part.LATENCY, {Dataset.ENUM: _LATENCY_CLASS}, int),
    "rule": Facet(Part.RULE, {Dataset.ENUM: "rule_id"}, int),
    "monitored": Facet(Part.MONITORED, {Dataset.ENUM: "matched"}, int),
}

_RAW = """
SELECT {slot}, coalesce(({value})::text, ''), count(*) FROM {table}
WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1, 2
"""
_KEPT = """
SELECT (%(slots)s::integer[])[width_bucket({bucket}, %(bounds)s::timestamptz[])], value, sum(calls)::bigint
FROM part_{bucket}
WHERE dataset = %(dataset)s AND part = %(part)s AND {bucket} >= %(start)s AND {bucket} < %(end)s{conditions}
GROUP BY 1, 2
"""
# By hour: what is packed and has as many calls now as then, and the rest as above.
_PACKED = """
WITH now AS MATERIALIZED (
    SELECT hour, CASE WHEN %(devices)s::smallint[] IS NULL THEN 0 ELSE device_id END AS device_id,
           sum(calls)::bigint AS calls
    FROM hour_total
    WHERE dataset = %(dataset)s AND hour >= %(start)s AND hour < %(end)s
      AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
    GROUP BY 1, 2
), packed AS MATERIALIZED (
    SELECT hour, device_id, (%(slots)s::integer[])[width_bucket(hour, %(bounds)s::timestamptz[])] AS slot,
           directions, texts, counts
    FROM hour_part JOIN now USING (hour, device_id, calls)
    WHERE dataset = %(dataset)s AND part = %(part)s AND hour >= %(start)s AND hour < %(end)s
      AND device_id = ANY (coalesce(%(devices)s::smallint[], ARRAY[0::smallint]))
), missing AS MATERIALIZED (
    SELECT hour, device_id FROM now EXCEPT SELECT hour, device_id FROM packed
)
SELECT slot, value, sum(calls)::bigint FROM (
    SELECT slot, value, of_value.calls
    FROM packed, unnest(directions, texts, counts) AS of_value (direction, value, calls)
    WHERE %(is_direction)s::smallint IS NULL OR direction = %(is_direction)s
    UNION ALL
    SELECT (%(slots)s::integer[])[width_bucket(hour, %(bounds)s::timestamptz[])], value, calls
    FROM part_hour
    WHERE dataset = %(dataset)s AND part = %(part)s AND hour = ANY (ARRAY(SELECT hour FROM missing))
      AND EXISTS (SELECT 1 FROM missing WHERE missing.hour = part_hour.hour
                    AND missing.device_id IN (0, part_hour.device_id))
      AND (%(is_direction)s::smallint IS NULL OR direction = %(is_direction)s)
) AS found GROUP BY 1, 2
"""
_RULES = "SELECT rule_id, name FROM policy_rule WHERE rule_id = ANY(%s)"


def count_values(asked: Asked, facet: str) -> Counter[tuple[int, str]]:
    """(slot, value as text) → calls."""
    raw_conditions(asked)  # refuses a filter that the dataset does not have
    is_kept = asked.query.filter.given - {"site"} <= OF_VALUES
    found: Counter[tuple[int, str]] = Counter()
    for span in spans_of(asked.buckets, asked.query.grouping, asked.kept, is_kept=is_kept):
        if span.store == "calls":
            for slot, value, calls in _read_calls(asked, span, facet):
                found[slot, value] += calls
        else:  # each value once; a Counter adds them to what is there
            found.update({(slot, value): calls for slot, value, calls in _read_kept(asked, span, facet)})
    return found


def _read_calls(asked: Asked, span: Span, facet: str) -> list[Row]:
    where, values = raw_conditions(asked)
    table = TABLES[asked.query.dataset]
    statement = _RAW.format(
        slot=SLOT,
        value=FACETS[facet].raw[asked.query.dataset],
        table=f"{table}, unnest(monitored) AS of_call (matched)" if facet == "monitored" else table,
        conditions=where + (" AND rule_id <> 0" if facet == "rule" else ""),
    )
    return read_calls(asked, statement, {**values, "start": span.start, "end": span.end})


def _read_kept(asked: Asked, span: Span, facet: str) -> list[Row]:
    where, values = kept_conditions(asked)
    values |= {"start": span.start, "end": span.end, "part": int(FACETS[facet].part)}
    if span.store == "hour":
        values.setdefault("is_direction", None)
        return asked.connection.execute(_PACKED, values).fetchall()
    statement = _KEPT.format(bucket=span.store, conditions=where)
    return asked.connection.execute(statement.encode(), values).fetchall()


def by_value(facet: str) -> Callable[[Asked], list[Row]]:
    """A view with a row (bucket, word, calls) for each value that a bucket has, the most frequent first."""

    def fetch(asked: Asked) -> list[Row]:
        counts = count_values(asked, facet)
        words = {value: FACETS[facet].word(value) for value in {value for _, value in counts}}
        return _ordered(asked, [(slot, words[value], calls) for (slot, value), calls in counts.items()])

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
    hits, monitored = (count_values(asked, facet) for facet in ("rule", "monitored"))
    keys = [(slot, int(rule)) for slot, rule in hits | monitored]
    names: dict[int, str] = dict(asked.connection.execute(_RULES, [sorted({rule for _, rule in keys})]).fetchall())
    return _ordered(
        asked,
        [(slot, names.get(rule, f"#{rule}"), hits[slot, str(rule)], monitored[slot, str(rule)]) for slot, rule in keys],
    )


def _ordered(asked: Asked, rows: list[Row]) -> list[Row]:
    """By bucket, then by calls, then by word; with the bucket's key in place of its number."""
    keys = asked.buckets.keys
    ordered = sorted(rows, key=lambda row: (row[0], *[-count for count in row[2:]], str(row[1])))
    return [(keys[slot], *rest) for slot, *rest in ordered]
