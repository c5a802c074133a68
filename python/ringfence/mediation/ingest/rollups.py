"""A batch's rows → what they add to the counts that analytics reads. Pure; columnar but for the last few values.

Each `Addition` is rows of one table, a row a key: added to what is there (`store` does it, in the calls' transaction).
The definitions of the figures stand in `analytics.counting`, as SQL over calls; a property test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ringfence.mediation.ingest.calls import Column, compute
from ringfence.mediation.ingest.schema import TIME
from ringfence.vocabulary import LATENCY_BOUNDS_NS, MAX_VALUE, CallResult, Dataset, Part

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_QUARTER_US = 15 * _MINUTE_US
_HOUR_US = 60 * _MINUTE_US

_TRY_AGAIN = pa.array([*range(300, 400), 401, 402, 407], pa.int16())
_REACHED = pa.array([480, 486, 600, 603], pa.int16())
_INEFFECTIVE = pa.array([408, 500, 503, 504], pa.int16())
_EFFECTIVE = pa.array([480, 486, 487, 600, 603, 607, 608], pa.int16())
_POOR_MOS_100 = pa.scalar(360, pa.int16())
_ZERO = pa.scalar(0, pa.int64())

_WORDS = ("direction", "outcome", "call_type")
_MAXIMA = frozenset(("latency_ns_max", "pdd_ms_max", "total_ms_max"))
_ENUM_FIGURES = ("latency_ns", "latency_ns_max")
_SIP_FIGURES = (
    "reached", "try_again", "ineffective", "effective", "answered", "duration_ms", "pdd_calls", "pdd_ms", "pdd_ms_max",
    "streams", "mos_100", "poor", "packets", "lost", "total_ms_max",
)  # fmt: skip
_PARTS: dict[Dataset, dict[Part, str]] = {
    Dataset.ENUM: {Part.COUNTRY: "country", Part.CODE: "rcode"},
    Dataset.SIP: {
        Part.COUNTRY: "country",
        Part.CODE: "status",
        Part.RELEASED_BY: "released_by",
        Part.ATTESTATION: "attestation",
        Part.CODEC: "codec",
    },
}


@dataclass(frozen=True)
class Addition:
    """Rows to add to a table: `keys` name a row of the device, `sums` are added to it, `maxima` raise it."""

    table: str
    keys: dict[str, list[Any]]
    sums: dict[str, list[Any]]
    maxima: dict[str, list[Any]]


def additions(rows: pa.RecordBatch, dataset: Dataset, outcome: str) -> list[Addition]:
    """What stored rows of one device add, but the counts by minute and the hits of rules; tables in a fixed order."""
    time = rows.column("time").cast(pa.int64())
    quarter = _floor(time, _QUARTER_US)
    figures = _figures(rows, dataset)
    words = {
        "direction": rows.column("direction"),
        "outcome": rows.column(outcome),
        "call_type": rows.column("call_type"),
    }
    by_quarter = _totals(pa.table({"bucket": quarter, **words, **figures}), ("bucket", *_WORDS))
    parts = _parts(rows, dataset, quarter)
    found = [
        *_both_steps("call", by_quarter, _WORDS),
        *_both_steps("part", parts, ("part", "direction", "value")),
        _hours(by_quarter),
        _seconds(time),
    ]
    return [*found, _in_progress(time, rows.column("total_ms"))] if dataset is Dataset.SIP else found


def _figures(rows: pa.RecordBatch, dataset: Dataset) -> dict[str, Column]:
    """The figures of each row, named as the columns that they are added up in."""
    calls = pa.repeat(pa.scalar(1, pa.int64()), rows.num_rows)
    if dataset is Dataset.ENUM:
        latency = rows.column("latency_ns").cast(pa.int64())
        return {"calls": calls, "latency_ns": latency, "latency_ns_max": latency}
    status = rows.column("status")
    answered = compute.equal(rows.column("result"), pa.scalar(int(CallResult.ANSWERED), pa.int16()))
    pdd = rows.column("pdd_ms").cast(pa.int64())
    both = {name: [rows.column(f"{side}_{name}") for side in ("forward", "backward")] for name in
            ("mos_100", "packets", "lost")}  # fmt: skip

    def within(statuses: Column) -> Any:
        return compute.is_in(status, value_set=statuses)

    duration = compute.if_else(answered, rows.column("duration_ms"), pa.scalar(None, pa.int32()))
    return {
        "calls": calls,
        "reached": _as_count(compute.or_(answered, within(_REACHED))),
        "try_again": _as_count(compute.and_not(within(_TRY_AGAIN), answered)),
        "ineffective": _as_count(within(_INEFFECTIVE)),
        "effective": _as_count(compute.or_(answered, within(_EFFECTIVE))),
        "answered": _as_count(answered),
        "duration_ms": duration.cast(pa.int64()),
        "pdd_calls": _as_count(compute.is_valid(pdd)),
        "pdd_ms": pdd,
        "pdd_ms_max": pdd,
        "streams": _sum_of(_as_count(compute.is_valid(column)) for column in both["mos_100"]),
        "mos_100": _sum_of(both["mos_100"]),
        "poor": _sum_of(_as_count(compute.less(column, _POOR_MOS_100)) for column in both["mos_100"]),
        "packets": _sum_of(both["packets"]),
        "lost": _sum_of(both["lost"]),
        "total_ms_max": rows.column("total_ms").cast(pa.int64()),
    }


def _parts(rows: pa.RecordBatch, dataset: Dataset, quarter: Column) -> pa.Table:
    """Calls by quarter, part, direction and value (text)."""
    direction = rows.column("direction")
    counted = [_part(part, quarter, direction, rows.column(column)) for part, column in _PARTS[dataset].items()]
    if dataset is Dataset.ENUM:
        counted.append(_part(Part.LATENCY, quarter, direction, _latency_class(rows.column("latency_ns"))))
        rule = rows.column("rule_id")
        decided = compute.indices_nonzero(compute.not_equal(rule, pa.scalar(0, pa.int32())))
        counted.append(_part(Part.RULE, quarter.take(decided), direction.take(decided), rule.take(decided)))
        lists = rows.column("monitored")
        watched = compute.list_parent_indices(lists).cast(pa.int64())
        matched = compute.list_flatten(lists)
        counted.append(_part(Part.MONITORED, quarter.take(watched), direction.take(watched), matched))
    return pa.concat_tables(counted)


def _part(part: Part, quarter: Column, direction: Column, value: Column) -> pa.Table:
    table = pa.table({"bucket": quarter, "direction": direction, "value": value})
    if pa.types.is_string(value.type):  # the network's text is a key here: cut before it is counted
        table = table.set_column(2, "value", compute.utf8_slice_codeunits(value, 0, MAX_VALUE))
    counted = table.group_by(["bucket", "direction", "value"]).aggregate([([], "count_all")])
    text = compute.fill_null(counted.column("value").cast(pa.utf8()), "")
    return pa.table(
        {
            "bucket": counted.column("bucket"),
            "part": pa.repeat(pa.scalar(int(part), pa.int16()), counted.num_rows),
            "direction": counted.column("direction"),
            "value": text,
            "calls": counted.column("count_all"),
        }
    )


def _latency_class(latency: Column) -> Column:
    """How many bounds lie below."""
    found = pa.repeat(_ZERO, len(latency))
    for bound in LATENCY_BOUNDS_NS:
        found = compute.add(found, _as_count(compute.greater(latency, pa.scalar(bound, pa.int32()))))
    return found


def _both_steps(name: str, by_quarter: pa.Table, words: tuple[str, ...]) -> list[Addition]:
    """The same counts by quarter of an hour, and by hour."""
    hour = _floor(by_quarter.column("bucket"), _HOUR_US)
    by_hour = _totals(by_quarter.set_column(by_quarter.schema.get_field_index("bucket"), "bucket", hour),
                      ("bucket", *words))  # fmt: skip
    return [
        _addition(f"{name}_quarter", "quarter", by_quarter, words),
        _addition(f"{name}_hour", "hour", by_hour, words),
    ]


def _addition(table: str, bucket: str, counted: pa.Table, words: tuple[str, ...]) -> Addition:
    counted = counted.sort_by([(name, "ascending") for name in ("bucket", *words)])
    columns: dict[str, list[Any]] = {
        name: counted.column(name).to_pylist() for name in counted.schema.names if name != "bucket"
    }
    keys = {bucket: counted.column("bucket").cast(TIME).to_pylist(), **{word: columns.pop(word) for word in words}}
    maxima = {name: columns.pop(name) for name in list(columns) if name in _MAXIMA}
    return Addition(table, keys, columns, maxima)


def _totals(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """The table with one row for each key: figures added up, maxima taken; sorted by nothing."""
    figures = [name for name in table.schema.names if name not in keys]
    aggregated = table.group_by(list(keys)).aggregate([(name, "max" if name in _MAXIMA else "sum") for name in figures])
    names = {f"{name}_{'max' if name in _MAXIMA else 'sum'}": name for name in figures}
    return aggregated.rename_columns([names.get(name, name) for name in aggregated.schema.names])


def _hours(by_quarter: pa.Table) -> Addition:
    hour = _floor(by_quarter.column("bucket"), _HOUR_US)
    counted = _totals(pa.table({"bucket": hour, "calls": by_quarter.column("calls")}), ("bucket",))
    return _addition("hour_total", "hour", counted, ())


def _seconds(time: Column) -> Addition:
    """The counts of the sixty seconds of each minute."""
    second = _floor(time, _SECOND_US)
    counted = pa.table({"second": second}).group_by(["second"]).aggregate([([], "count_all")]).sort_by("second")
    minutes: dict[int, list[int]] = {}
    for at, calls in _pairs(counted, "second"):
        minutes.setdefault(at - at % _MINUTE_US, [0] * 60)[at % _MINUTE_US // _SECOND_US] = calls
    stamps = pa.array(list(minutes), pa.int64()).cast(TIME).to_pylist()
    return Addition("call_second", {"minute": stamps}, {"calls": list(minutes.values())}, {})


def _in_progress(time: Column, total_ms: Column) -> Addition:
    """At the begin of how many calls each minute lies between their first message and their end."""
    last_us = pa.scalar(_MINUTE_US - 1, pa.int64())
    lasted = compute.max_element_wise(total_ms.cast(pa.int64()), _ZERO)
    end = compute.add(time, compute.multiply(lasted, pa.scalar(1000, pa.int64())))
    first, gone = (_floor(compute.add(moment, last_us), _MINUTE_US) for moment in (time, end))
    changes: dict[int, int] = {}
    for moment, change in ((first, 1), (gone, -1)):
        counted = pa.table({"minute": moment}).group_by(["minute"]).aggregate([([], "count_all")])
        for at, calls in _pairs(counted, "minute"):
            changes[at] = changes.get(at, 0) + change * calls
    minutes: list[int] = []
    calls_up: list[int] = []
    up = 0
    points = sorted(changes)
    for at, following in zip(points, [*points[1:], None], strict=True):
        up += changes[at]
        if up and following is not None:
            span = range(at, following, _MINUTE_US)
            minutes += span
            calls_up += [up] * len(span)
    return Addition(
        "call_up", {"minute": pa.array(minutes, pa.int64()).cast(TIME).to_pylist()}, {"calls": calls_up}, {}
    )


def _pairs(counted: pa.Table, name: str) -> list[tuple[int, int]]:
    """(value, how often)."""
    columns: dict[str, list[int]] = counted.to_pydict()
    return list(zip(columns[name], columns["count_all"], strict=True))


def _floor(values: Any, step: int) -> Any:
    # Times are after 1970 here (`rows`), so division rounds down.
    size = pa.scalar(step, pa.int64())
    return compute.multiply(compute.divide(values.cast(pa.int64()), size), size)


def _as_count(truth: Column) -> Column:
    counted: Column = compute.fill_null(truth, False).cast(pa.int64())
    return counted


def _sum_of(columns: Any) -> Column:
    """Element by element; a null is nothing."""
    total: Column | None = None
    for column in columns:
        whole = compute.fill_null(column.cast(pa.int64()), _ZERO)
        total = whole if total is None else compute.add(total, whole)
    assert total is not None  # noqa: S101 - callers give two columns
    return total
