"""Batches as an edge would send them, written independently of the code under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

COLUMNS: dict[str, tuple[pa.DataType, Any]] = {
    "sequence": (pa.int64(), 1),
    "time": (pa.timestamp("us", tz="UTC"), NOON),
    "peer": (pa.utf8(), "192.0.2.7"),
    "peer_port": (pa.int32(), 40_000),
    "transport": (pa.int16(), 1),
    "source": (pa.int64(), 12105550123),
    "destination": (pa.int64(), 19005550100),
    "target": (pa.int64(), 0),
    "source_class": (pa.int16(), 1),
    "destination_class": (pa.int16(), 1),
    "source_origin": (pa.int16(), 1),
    "direction": (pa.int16(), 2),
    "action": (pa.int16(), 1),
    "reason": (pa.int16(), 2),
    "rcode": (pa.int16(), 0),
    "rule_id": (pa.int32(), 0),
    "policy_version": (pa.int32(), 7),
    "latency_ns": (pa.int32(), 12_500),
    "source_raw": (pa.utf8(), "+12105550123"),
    "destination_raw": (pa.utf8(), "19005550100"),
    "monitored": (pa.list_(pa.field("item", pa.int32(), nullable=False)), []),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=False) for name, (kind, _) in COLUMNS.items()], {"ringfence.schema": "enum.1"}
)

Event = Mapping[str, Any]


def record_batch(events: Sequence[Event], first: int = 1) -> pa.RecordBatch:
    """Events with the given fields; sequences count from `first`."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for index, event in enumerate(events):
        assert set(event) <= set(COLUMNS), event
        for name, (_, default) in COLUMNS.items():
            columns[name].append(event.get(name, first + index if name == "sequence" else default))
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[name], kind) for name, (kind, _) in COLUMNS.items()], schema=SCHEMA
    )


def ipc(*batches: pa.RecordBatch, schema: pa.Schema = SCHEMA, compression: str | None = None) -> bytes:
    """An Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)  # type: ignore[arg-type]
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def upload(events: Sequence[Event], first: int = 1) -> bytes:
    """The body of one upload."""
    return ipc(record_batch(events, first))


def every_second(count: int, start: datetime = NOON, **fields: Any) -> list[dict[str, Any]]:
    """`count` events one second apart."""
    return [{"time": start + timedelta(seconds=index), **fields} for index in range(count)]
