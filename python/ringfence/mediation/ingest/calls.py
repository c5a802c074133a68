"""What dataset SIP needs beyond dataset ENUM: the numbers of its calls, and NULL where there is nothing. Pure.

A probe sends the source and destination as they stood in SIP; what numbers they are, and which way the call went, is
found here by the dial plan of the probe's site, with the same code that the ENUM server runs before it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from ringfence._native import Normaliser

Column: TypeAlias = "pa.Array[Any]"

# pyarrow's stubs know fewer argument types than its functions take.
compute: Any = pc

_NEVER = pa.scalar(-1, pa.int32())
_EMPTY = pa.scalar("")
_TIMES = ("pdd_ms", "answer_ms", "duration_ms")
_WORDS = ("cause_q850", "forward_mos_100", "backward_mos_100")
_TEXTS = ("call_id", "codec", "user_agent", "details")
_SIDES = ("forward", "backward")


def with_numbers(events: pa.RecordBatch, normaliser: Normaliser) -> pa.RecordBatch:
    """The events with `source`, `destination`, their classes, and `direction`."""
    asked = pa.RecordBatch.from_pydict(
        {
            "source": events.column("source_raw"),
            "destination": events.column("destination_raw"),
            "side": events.column("side"),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, asked.schema) as writer:
        writer.write_batch(asked)
    answer = pa.ipc.open_stream(normaliser.calls(sink.getvalue().to_pybytes())).read_all().combine_chunks()
    columns: dict[str, Any] = {name: events.column(name) for name in events.schema.names}
    for name in answer.schema.names:
        column = answer.column(name)
        columns[name] = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    return pa.RecordBatch.from_pydict(columns)


def without_fillers(columns: Mapping[str, Column]) -> dict[str, Column]:
    """The columns that have NULL where the event's -1, 0 or empty text says that there is nothing."""
    kept = {name: _null_where(compute.equal(columns[name], _NEVER), columns[name]) for name in _TIMES}
    for name in _WORDS:
        kept[name] = _null_where(compute.equal(columns[name], pa.scalar(0, columns[name].type)), columns[name])
    for name in _TEXTS:
        kept[name] = _null_where(compute.equal(columns[name], _EMPTY), columns[name])
    for side in _SIDES:
        packets = columns[f"{side}_packets"]
        is_silent = compute.equal(packets, pa.scalar(0, pa.int32()))
        for name in (f"{side}_packets", f"{side}_lost", f"{side}_jitter_us"):
            kept[name] = _null_where(is_silent, columns[name])
    return kept


def _null_where(is_filler: Column, column: Column) -> Column:
    kept: Column = compute.if_else(is_filler, pa.scalar(None, column.type), column)
    return kept
