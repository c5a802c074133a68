"""Figures that add up over buckets: the SQL of each measure, over the calls themselves and over what ingest keeps.

A view names the measures it needs and the words it splits them by; `count` gives the sums for each bucket and word.
All statements of a question see one committed state (`views`), so it does not matter which store answers a part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from ringfence.analytics.filters import OUTCOME_COLUMNS, conditions
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.spans import Span, spans_of
from ringfence.storage.lost import lost_days
from ringfence.storage.reach import fetch_both, fetch_everywhere
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
    """A figure: an aggregate over calls, and how partial ones are put together (`sum` or `max`).

    What is kept of it stands in a column of its name; `ingest.rollups` fills that.
    """

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
    "total_ms_max": Measure("max(total_ms)::bigint", "max"),
    "lost": Measure("coalesce(sum(forward_lost::bigint), 0) + coalesce(sum(backward_lost::bigint), 0)"),
}

# What the counts by minute can be split and filtered by.
OF_MINUTES = frozenset(("action", "result"))

SLOT = "(%(slots)s::integer[])[width_bucket(time, %(bounds)s::timestamptz[])]"

# Filters, beside device and site, that the counts by quarter and hour can answer.
OF_FIGURES = frozenset(("direction", "action", "result", "call_type"))

Counts: TypeAlias = dict[tuple[Any, ...], dict[str, int]]

_RAW = """
SELECT {slot} AS slot, {words}{measures}
FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions}
GROUP BY {places}
"""
_KEPT = """
SELECT (%(slots)s::integer[])[width_bucket({bucket}, %(bounds)s::timestamptz[])] AS slot, {words}{measures}
FROM {table}_{bucket} WHERE dataset = %(dataset)s AND {bucket} >= %(start)s AND {bucket} < %(end)s{conditions}
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
# Of one second each, where the buckets are seconds: cheaper than to look each call's up among thousands.
_SECOND = "date_bin('1 second'::interval, time, %(start)s::timestamptz)"
_A_SECOND = timedelta(seconds=1)
_SECONDS = """
SELECT minute, place::integer, sum(of_second.calls)::bigint
FROM call_second, unnest(call_second.calls) WITH ORDINALITY AS of_second (calls, place)
WHERE dataset = %(dataset)s AND minute > %(start)s::timestamptz - interval '1 minute' AND minute < %(end)s
  AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
GROUP BY 1, 2 HAVING sum(of_second.calls) > 0
"""


def raw_conditions(asked: Asked) -> tuple[str, dict[str, Any]]:
    """` AND …` of the filters and the devices, and all values that a statement over calls takes."""
    found, values = conditions(asked.query.filter, asked.query.dataset)
    if asked.devices is not None:
        found.append("device_id = ANY(%(devices)s::smallint[])")
    return "".join(f" AND {condition}" for condition in found), {**period_values(asked), **values}


def kept_conditions(asked: Asked) -> tuple[str, dict[str, Any]]:
    """The same for a statement over counts that are kept; only for filters in OF_FIGURES and the site."""
    wanted = asked.query.filter
    found = [] if asked.devices is None else ["device_id = ANY(%(devices)s::smallint[])"]
    values: dict[str, Any] = {**period_values(asked), "dataset": int(asked.query.dataset)}
    for name, column in (
        ("direction", "direction"),
        ("action", "outcome"),
        ("result", "outcome"),
        ("call_type", "call_type"),
    ):
        value = getattr(wanted, name)
        if value is not None:
            found.append(f"{column} = %(is_{name})s")
            values[f"is_{name}"] = int(value)
    return "".join(f" AND {condition}" for condition in found), values


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


def read_calls(asked: Asked, statement: str, values: dict[str, Any]) -> list[Row]:
    """Rows of a statement over the calls from `start` to `end` of the values, here and in the archive.

    What an archived day says and what the database says stand beside each other: the caller adds up the rows of a
    group. UnavailableError when the archive cannot be reached: a view never leaves calls out. Days whose calls are
    gone for good are named in `lost`.
    """
    return fetch_both(asked.connection, statement, values, TABLES[asked.query.dataset], values["start"], values["end"])


def read_calls_together(
    asked: Asked, statement: str, values: dict[str, Any], since: datetime | None = None
) -> list[Row]:
    """The same for statements whose rows do not add up: ranks, busiest seconds. They read calls from `since` on."""
    table, start = TABLES[asked.query.dataset], since or values["start"]
    asked.lost.update(lost_days(asked.connection, table, start, values["end"]))
    return fetch_everywhere(asked.connection, statement, values, table, start, values["end"])


def count(asked: Asked, measures: Sequence[str], words: Sequence[str] = ()) -> Counts:
    """(slot, word, …) → figures by name; what no call had is not there.

    A word is a column of the calls whose values are numbers; `outcome` is the action or the result.
    """
    raw_conditions(asked)  # refuses a filter that the dataset does not have
    given = asked.query.filter.given - {"site"}
    is_of_minutes = tuple(measures) == ("calls",) and set(words) <= {"outcome"} and given <= OF_MINUTES
    if is_of_minutes and asked.query.grouping == "minute" and asked.buckets.start >= asked.kept.minutes:
        return _count_minutes(asked, words)
    is_of_seconds = tuple(measures) == ("calls",) and not words and not given
    if is_of_seconds and asked.query.grouping == "second" and asked.buckets.start >= asked.kept.minutes:
        return _count_seconds(asked)
    found: Counts = defaultdict(lambda: dict.fromkeys(measures, 0))
    for span in spans_of(asked.buckets, asked.query.grouping, asked.kept, is_kept=given <= OF_FIGURES):
        read = _read_calls if span.store == "calls" else _read_kept
        for row in read(asked, span, measures, words):
            figures = found[row[: 1 + len(words)]]
            for name, value in zip(measures, row[1 + len(words) :], strict=True):
                is_most = MEASURES[name].together == "max"
                figures[name] = max(figures[name], value or 0) if is_most else figures[name] + (value or 0)
    return dict(found)


def _count_seconds(asked: Asked) -> Counts:
    """Of all calls of each second, by the sixty counts that are kept of every minute."""
    buckets = asked.buckets
    values = {**period_values(asked), "dataset": int(asked.query.dataset)}
    seconds = (
        (minute + timedelta(seconds=place - 1), calls)
        for minute, place, calls in asked.connection.execute(_SECONDS, values)
    )
    return {
        ((second - buckets.start) // _A_SECOND,): {"calls": calls}
        for second, calls in seconds
        if buckets.start <= second < buckets.end
    }


def _read_calls(asked: Asked, span: Span, measures: Sequence[str], words: Sequence[str]) -> list[Row]:
    columns = [OUTCOME_COLUMNS[asked.query.dataset] if word == "outcome" else word for word in words]
    where, values = raw_conditions(asked)
    is_of_seconds = asked.query.grouping == "second"
    statement = _RAW.format(
        slot=_SECOND if is_of_seconds else SLOT,
        words="".join(f"{column}, " for column in columns),
        measures=", ".join(f"({MEASURES[name].raw})::bigint" for name in measures),
        table=TABLES[asked.query.dataset],
        conditions=where,
        places=_places(words),
    )
    rows = read_calls(asked, statement, {**values, "start": span.start, "end": span.end})
    return [((row[0] - span.start) // _A_SECOND, *row[1:]) for row in rows] if is_of_seconds else rows


def _read_kept(asked: Asked, span: Span, measures: Sequence[str], words: Sequence[str]) -> list[Row]:
    where, values = kept_conditions(asked)
    statement = _KEPT.format(
        bucket=span.store,
        table="call",
        words="".join(f"{word}, " for word in words),
        measures=", ".join(f"{MEASURES[name].together}({name})::bigint" for name in measures),
        conditions=where,
        places=_places(words),
    )
    values |= {"start": span.start, "end": span.end}
    return asked.connection.execute(statement.encode(), values).fetchall()


def _count_minutes(asked: Asked, words: Sequence[str]) -> Counts:
    statement = _MINUTES.format(words="action, " if words else "", places=_places(words))
    outcome = asked.query.filter.action if asked.query.dataset is Dataset.ENUM else asked.query.filter.result
    values = {
        **period_values(asked),
        "dataset": int(asked.query.dataset),
        "outcome": None if outcome is None else int(outcome),
    }
    return {row[:-1]: {"calls": row[-1]} for row in asked.connection.execute(statement.encode(), values)}


def _places(words: Sequence[str]) -> str:
    return ", ".join(str(place + 1) for place in range(1 + len(words)))
