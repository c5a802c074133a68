"""A batch of events → rows as the table stores them, and their counts per minute. Pure; the second stage of ingest.

Columnar throughout: no Python object is made for an event.

Time. A device's clock may be wrong by decades (no battery, a step of NTP). Such an event is kept, but may not decide
which day partition it goes to, else one bad clock creates partitions for centuries or hides calls from every view. An
event whose time lies outside `database.partitions.bounds` is filed under the time of its receipt, and what the device
said stands in `reported_time`; for all others `reported_time` is NULL. A clock that is measured to be wrong by more
than a network's delay can explain (CORRECTED_FROM) is corrected for: `time` is by our clock, `reported_time` by theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from ringfence.mediation.ingest.calls import Column, compute, without_fillers
from ringfence.mediation.ingest.schema import TIME, EventSchema
from ringfence.vocabulary import Dataset

# Measured offsets are too small by the delay of a heartbeat; less than this may be nothing else.
CORRECTED_FROM = timedelta(milliseconds=500)

# What PostgreSQL and Python can both hold; a device that reports a time beyond is taken to mean the limit.
_EARLIEST = pa.scalar(datetime(1, 1, 1, tzinfo=UTC), TIME)
_LATEST = pa.scalar(datetime(9999, 12, 31, tzinfo=UTC), TIME)

# Scalars are made once: pyarrow searches for an optional package each time that it turns a Python value into one.
_MINUTE_US = pa.scalar(60_000_000, pa.int64())
_ZERO = pa.scalar(0, pa.int64())
_NO_ITEMS = pa.scalar(0, pa.int32())
_PLUS = pa.scalar("+")
_EMPTY = pa.scalar("")
_NO_TEXT = pa.scalar(None, pa.utf8())
_NO_TIME = pa.scalar(None, TIME)


@dataclass(frozen=True)
class MinuteCounts:
    """Calls per minute and outcome: three columns of one length, ordered by minute, then outcome.

    The outcome is the action of an ENUM query, the result of a SIP call.
    """

    minutes: list[datetime]
    outcomes: list[int]
    calls: list[int]


def stored_rows(
    events: pa.RecordBatch,
    schema: EventSchema,
    device_id: int,
    now: datetime,
    believed: tuple[datetime, datetime],
    clock_offset_us: int = 0,
) -> pa.RecordBatch:
    """The table's columns for a device's events, all but `stream_id`; calls of dataset SIP have their numbers already.

    `now` is the time of receipt, `believed` the first and last time that is taken from the device, `clock_offset_us`
    its clock minus ours.
    """
    columns = {name: events.column(name) for name in events.schema.names}
    offset = clock_offset_us if abs(clock_offset_us) >= CORRECTED_FROM / timedelta(microseconds=1) else 0
    columns["time"], columns["reported_time"] = _file_under(columns["time"], now, believed, offset)
    for side in ("source", "destination"):
        columns[f"{side}_raw"] = _raw_beyond_number(columns[f"{side}_raw"], columns[side])
    if schema.dataset is Dataset.ENUM:
        columns["monitored"] = _null_if_empty(columns["monitored"])
    else:
        columns |= without_fillers(columns)
    columns["device_id"] = pa.repeat(pa.scalar(device_id, pa.int16()), events.num_rows)
    return pa.RecordBatch.from_pydict(columns)


def of_stream(rows: pa.RecordBatch, stream_id: int) -> pa.RecordBatch:
    """The rows with the database's id of their stream."""
    return rows.append_column("stream_id", pa.repeat(pa.scalar(stream_id, pa.int32()), rows.num_rows))


def days_of(rows: pa.RecordBatch) -> list[date]:
    """The UTC days that the rows fall on, ascending."""
    days: Column = compute.unique(compute.cast(compute.floor_temporal(rows.column("time"), unit="day"), pa.date32()))
    return sorted(day for day in days.to_pylist() if day is not None)


def count_minutes(rows: pa.RecordBatch, outcome: str) -> MinuteCounts:
    """Calls per UTC minute and value of the column `outcome`."""
    time = rows.column("time").cast(pa.int64())
    # Times are after 1970 here (`_file_under`), so division rounds down.
    minute = compute.multiply(compute.divide(time, _MINUTE_US), _MINUTE_US).cast(TIME)
    counted = (
        pa.table({"minute": minute, "outcome": rows.column(outcome)})
        .group_by(["minute", "outcome"])
        .aggregate([([], "count_all")])
        .sort_by([("minute", "ascending"), ("outcome", "ascending")])
    )
    columns: dict[str, list[Any]] = counted.to_pydict()
    return MinuteCounts(columns["minute"], columns["outcome"], columns["count_all"])


def arrow_stream(rows: pa.RecordBatch) -> bytes:
    """The rows as an Arrow IPC stream, for `arrow_to_copy`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue().to_pybytes())


def _file_under(
    time: Column, now: datetime, believed: tuple[datetime, datetime], offset_us: int
) -> tuple[Column, Column]:
    """(time that files the row, reported time where it differs)."""
    first, last = (pa.scalar(edge, TIME) for edge in believed)
    ours = time
    if offset_us:
        ours = compute.subtract(time.cast(pa.int64()), pa.scalar(offset_us, pa.int64())).cast(TIME)
    is_believed = compute.and_(compute.greater_equal(ours, first), compute.less_equal(ours, last))
    if not offset_us and compute.all(is_believed, min_count=0).as_py():
        return time, pa.nulls(len(time), TIME)
    reported = compute.if_else(compute.less(time, _EARLIEST), _EARLIEST, time)
    reported = compute.if_else(compute.greater(time, _LATEST), _LATEST, reported)
    filed = compute.if_else(is_believed, ours, pa.scalar(now, TIME))
    differs = compute.not_equal(filed, time)
    return filed, compute.if_else(differs, reported, _NO_TIME)


def _raw_beyond_number(raw: Column, number: Column) -> Column:
    """`raw`, NULL where it is empty or merely the number's digits, with or without a plus."""
    digits = number.cast(pa.utf8())
    international = compute.binary_join_element_wise(_PLUS, digits, _EMPTY)
    says_no_more = compute.or_(
        compute.equal(raw, _EMPTY),
        compute.and_(
            compute.not_equal(number, _ZERO), compute.or_(compute.equal(raw, digits), compute.equal(raw, international))
        ),
    )
    kept: Column = compute.if_else(says_no_more, _NO_TEXT, raw)
    return kept


def _null_if_empty(lists: Column) -> Column:
    is_empty = compute.equal(compute.list_value_length(lists), _NO_ITEMS)
    kept: Column = compute.if_else(is_empty, pa.scalar(None, lists.type), lists)
    return kept
