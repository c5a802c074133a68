"""The call log as a table for other programs: the columns of an export, and its calls as Parquet in parts. Pure.

    pages of calls ─► Arrow batches ─► row groups of ROW_GROUP calls ─► octets, given away as they are written
What is in memory is one row group and the file's footer, whatever the length of the log.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ringfence.analytics.calls import AnyCall
from ringfence.analytics.sip_calls import SipCall
from ringfence.vocabulary import Dataset

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Calls of one row group: what a reader takes at once, and what the writer holds.
ROW_GROUP = 50_000

_TEXT: pa.DataType = pa.utf8()
_TEXTS: pa.DataType = pa.list_(pa.utf8())
_WHOLE: pa.DataType = pa.int64()
_FRACTION: pa.DataType = pa.float64()
_TIME: pa.DataType = pa.timestamp("us", tz="UTC")

# In the order of the file; the names are those of a call's JSON.
_SCHEMAS: dict[Dataset, pa.Schema] = {
    Dataset.ENUM: pa.schema(
        {
            "time": _TIME,
            "dataset": _TEXT,
            "device": _TEXT,
            "source": _TEXT,
            "destination": _TEXT,
            "direction": _TEXT,
            "action": _TEXT,
            "rule": _TEXT,
            "policy_version": _WHOLE,
            "reason": _TEXT,
            "target": _TEXT,
            "source_class": _TEXT,
            "destination_class": _TEXT,
            "latency_us": _FRACTION,
            "peer": _TEXT,
            "stream": _WHOLE,
            "sequence": _WHOLE,
            "monitored": _TEXTS,
            "reported_time": _TIME,
        }
    ),
    Dataset.SIP: pa.schema(
        {
            "time": _TIME,
            "dataset": _TEXT,
            "device": _TEXT,
            "source": _TEXT,
            "destination": _TEXT,
            "direction": _TEXT,
            "result": _TEXT,
            "status": _WHOLE,
            "released_by": _TEXT,
            "pdd_ms": _WHOLE,
            "answer_ms": _WHOLE,
            "duration_ms": _WHOLE,
            "mos_forward": _FRACTION,
            "mos_backward": _FRACTION,
            "codec": _TEXT,
            "attestation": _TEXT,
            "source_class": _TEXT,
            "destination_class": _TEXT,
            "source_peer": _TEXT,
            "destination_peer": _TEXT,
            "transport": _TEXT,
            "call_id": _TEXT,
            "user_agent": _TEXT,
            "flags": _TEXTS,
            "stream": _WHOLE,
            "sequence": _WHOLE,
            "reported_time": _TIME,
        }
    ),
}


def export_columns(dataset: Dataset) -> tuple[str, ...]:
    """What every form of an export has of a call, in order."""
    return tuple(_SCHEMAS[dataset].names)


def export_values(call: AnyCall) -> dict[str, Any]:
    """A call's values by column, as its JSON has them: times as text, several words as a list."""
    values = call.as_json()
    if isinstance(call, SipCall):
        values |= {"mos_forward": call.forward.mos, "mos_backward": call.backward.mos}
    return values


def parquet_parts(dataset: Dataset, pages: Iterable[list[AnyCall]]) -> Iterator[bytes]:
    """One Parquet file of all calls of the pages, in their order, in parts as they are written."""
    schema = _SCHEMAS[dataset].with_metadata({"ringfence.dataset": dataset.word})
    sink = _Parts()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for page in pages:
            waiting.append(_batch(schema, page))
            if sum(batch.num_rows for batch in waiting) >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
                yield sink.take()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    yield sink.take()


def _batch(schema: pa.Schema, calls: list[AnyCall]) -> pa.RecordBatch:
    rows = [export_values(call) | {"time": call.time, "reported_time": call.reported_time} for call in calls]
    return pa.RecordBatch.from_pylist(rows, schema=schema)


class _Parts(io.RawIOBase):
    """A file to write to whose octets are taken away from the front."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """For writing only."""
        return True

    def write(self, octets: ReadableBuffer, /) -> int:
        """Take more."""
        self._parts.append(bytes(octets))
        self._written += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        """How much was written in all."""
        return self._written

    def take(self) -> bytes:
        """What came since the last time; also after closing."""
        taken = b"".join(self._parts)
        self._parts = []
        return taken
