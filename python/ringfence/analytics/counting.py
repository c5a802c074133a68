"""Figures that add up over buckets: the SQL of each measure, over the calls themselves and over what ingest keeps.

A view names the measures it needs and the words it splits them by; `count` gives the sums for each bucket and word. All
comes from one statement, so from one committed state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.analytics.filters import OUTCOME_COLUMNS, conditions
from ringfence.analytics.question import TABLES, Asked
from ringfence.vocabulary import CallResult, Dataset

# RFC 6076 section 4.6: neither success nor failure of an attempt, its originator tries again or elsewhere.
_TRY_AGAIN = "(status BETWEEN 300 AND 399 OR status IN (401, 402, 407))"
# RFC 6076 section 4.7: the called end was reached, and said what it wanted.
_REACHED = f"(result = {int(CallResult.ANSWERED)} OR status IN (480, 486, 600, 603))"
# RFC 6076 section 4.8: ineffective attempts.
_INEFFECTIVE = "status IN (408, 500, 503, 504)"
# ITU-T E.425: answer, user busy, ring no answer (480, or 487: given up while it rang), rejection by the terminal.
_EFFECTIVE = f"(result = {int(CallResult.ANSWERED)} OR status IN (480, 486, 487, 600, 603, 607, 608))"
# Streams below MOS 3.6 leave "some users dissatisfied" or worse (ITU-T G.107 Annex B).
_POOR_MOS_100 = 360


@dataclass(frozen=True)
class Measure:
    """A figure: an aggregate over calls, and how partial ones are put together (`sum` or `max`)."""

    raw: str
    together: str = "sum"


MEASURES = {
    "calls": Measure("count(*)"),
    "latency_ns": Measure("sum(latency_ns::bigint)"),
    "latency_ns_max": Measure("max(latency_ns)::bigint", "max"),
    "reached": Measure(f"count(*) FILTER (WHERE {_REACHED})"),
    "try_again": Measure(f"count(*) FILTER (WHERE {_TRY_AGAIN} AND result <> {int(CallResult.ANSWERED)})"),
    "ineffective": Measure(f"count(*) FILTER (WHERE {_INEFFECTIVE})"),
    "effective": Measure(f"count(*) FILTER (WHERE {_EFFECTIVE})"),
    "answered": Measure(f"count(*) FILTER (WHERE result = {int(CallResult.ANSWERED)})"),
    "duration_ms": Measure(f"sum(duration_ms::bigint) FILTER (WHERE result = {int(CallResult.ANSWERED)})"),
    "pdd_calls": Measure("count(pdd_ms)"),
    "pdd_ms": Measure("sum(pdd_ms::bigint)"),
    "pdd_ms_max": Measure("max(pdd_ms)::bigint", "max"),
    "streams": Measure("count(forward_mos_100) + count(backward_mos_100)"),
    "mos_100": Measure(
        "coalesce(sum(forward_mos_100::bigint), 0) + coalesce(sum(backward_mos_100::bigint), 0)",
    ),
    "poor": Measure(
        f"count(*) FILTER (WHERE forward_mos_100 < {_POOR_MOS_100})"
        f" + count(*) FILTER (WHERE backward_mos_100 < {_POOR_MOS_100})"
    ),
    "packets": Measure(
        "coalesce(sum(forward_packets::bigint), 0) + coalesce(sum(backward_packets::bigint), 0)",
    ),
    "lost": Measure("coalesce(sum(forward_lost::bigint), 0) + coalesce(sum(backward_lost::bigint), 0)"),
}

# What the counts by minute can be split and filtered by.
OF_MINUTES = frozenset(("action", "result"))

SLOT = "(%(slots)s::integer[])[width_bucket(time, %(bounds)s::timestamptz[])]"

_RAW = """
SELECT {slot} AS slot, {words}{measures}
FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions}
GROUP BY {places}
"""

_MINUTES = """
SELECT (%(slots)s::integer[])[width_bucket(minute, %(bounds)s::timestamptz[])] AS slot, {words}sum(calls)::bigint
FROM call_minute
WHERE dataset = %(dataset)s AND minute >= %(start)s AND minute < %(end)s
  AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
  AND (%(outcome)s::smallint IS NULL OR action = %(outcome)s)
GROUP BY {places}
"""


def raw_conditions(asked: Asked) -> tuple[str, dict[str, Any]]:
    """` AND …` of the filters and the devices, and all values that a statement over calls takes."""
    found, values = conditions(asked.query.filter, asked.query.dataset)
    if asked.devices is not None:
        found.append("device_id = ANY(%(devices)s::smallint[])")
    return "".join(f" AND {condition}" for condition in found), {**period_values(asked), **values}


def period_values(asked: Asked) -> dict[str, Any]:
    """Values of the period, its buckets and the devices."""
    buckets = asked.buckets
    return {
        "start": buckets.start,
        "end": buckets.end,
        "bounds": buckets.bounds,
        "slots": buckets.slots,
        "devices": asked.devices,
    }


def count(asked: Asked, measures: Sequence[str], words: Sequence[str] = ()) -> dict[tuple[int, ...], dict[str, int]]:
    """(slot, word, …) → figures by name; what no call had is not there.

    A word is a column of the calls whose values are numbers; `outcome` is the action or the result.
    """
    if _is_kept_by_minute(asked, measures, words):
        return _count_minutes(asked, words)
    columns = [OUTCOME_COLUMNS[asked.query.dataset] if word == "outcome" else word for word in words]
    where, values = raw_conditions(asked)
    statement = _RAW.format(
        slot=SLOT,
        words="".join(f"{column}, " for column in columns),
        measures=", ".join(f"({MEASURES[name].raw})::bigint" for name in measures),
        table=TABLES[asked.query.dataset],
        conditions=where,
        places=", ".join(str(place + 1) for place in range(1 + len(columns))),
    )
    found = asked.connection.execute(statement.encode(), values)
    split = 1 + len(columns)
    return {row[:split]: {name: value or 0 for name, value in zip(measures, row[split:], strict=True)} for row in found}


def _is_kept_by_minute(asked: Asked, measures: Sequence[str], words: Sequence[str]) -> bool:
    return (
        asked.query.grouping != "second"
        and tuple(measures) == ("calls",)
        and set(words) <= {"outcome"}
        and asked.query.filter.given - {"site"} <= OF_MINUTES
    )


def _count_minutes(asked: Asked, words: Sequence[str]) -> dict[tuple[int, ...], dict[str, int]]:
    conditions(asked.query.filter, asked.query.dataset)  # refuses a filter that the dataset does not have
    statement = _MINUTES.format(words="action, " if words else "", places="1, 2" if words else "1")
    outcome = asked.query.filter.action if asked.query.dataset is Dataset.ENUM else asked.query.filter.result
    values = {
        **period_values(asked),
        "dataset": int(asked.query.dataset),
        "outcome": None if outcome is None else int(outcome),
    }
    return {row[:-1]: {"calls": row[-1]} for row in asked.connection.execute(statement.encode(), values)}
