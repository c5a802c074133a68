"""Batches as a probe would send them, written independently of the code under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from tests.ingest.samples import NOON, ipc

COLUMNS: dict[str, tuple[pa.DataType, Any]] = {
    "sequence": (pa.int64(), 1),
    "time": (pa.timestamp("us", tz="UTC"), NOON),
    "correlation": (pa.int64(), -2),
    "source_port": (pa.int32(), 5060),
    "destination_port": (pa.int32(), 5062),
    "flags": (pa.int32(), 0),
    "probe_lost": (pa.int32(), 0),
    "pdd_ms": (pa.int32(), 180),
    "answer_ms": (pa.int32(), 4000),
    "duration_ms": (pa.int32(), 61_500),
    "total_ms": (pa.int32(), 65_520),
    "forward_packets": (pa.int32(), 3075),
    "forward_lost": (pa.int32(), 4),
    "forward_jitter_us": (pa.int32(), 1250),
    "backward_packets": (pa.int32(), 3070),
    "backward_lost": (pa.int32(), 0),
    "backward_jitter_us": (pa.int32(), 800),
    "transport": (pa.int16(), 0),
    "side": (pa.int16(), 0),
    "result": (pa.int16(), 1),
    "status": (pa.int16(), 200),
    "cause_q850": (pa.int16(), 16),
    "released_by": (pa.int16(), 2),
    "attestation": (pa.int16(), 1),
    "forward_mos_100": (pa.int16(), 431),
    "backward_mos_100": (pa.int16(), 440),
    "source_address": (pa.utf8(), "192.0.2.7"),
    "destination_address": (pa.utf8(), "2001:db8::9"),
    "call_id": (pa.utf8(), "a84b4c76e66710@192.0.2.7"),
    "source_raw": (pa.utf8(), "2105550123"),
    "destination_raw": (pa.utf8(), "+19005550100"),
    "codec": (pa.utf8(), "PCMU"),
    "user_agent": (pa.utf8(), "SBC/1.0"),
    "details": (pa.utf8(), '{"hops":1}'),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=False) for name, (kind, _) in COLUMNS.items()], {"ringfence.schema": "sip.1"}
)

Event = Mapping[str, Any]


def sip_batch(events: Sequence[Event], first: int = 1) -> pa.RecordBatch:
    """Calls with the given fields; sequences count from `first`."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for index, event in enumerate(events):
        assert set(event) <= set(COLUMNS), event
        for name, (_, default) in COLUMNS.items():
            columns[name].append(event.get(name, first + index if name == "sequence" else default))
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[name], kind) for name, (kind, _) in COLUMNS.items()], schema=SCHEMA
    )


def sip_upload(events: Sequence[Event], first: int = 1) -> bytes:
    """The body of one upload."""
    return ipc(sip_batch(events, first), schema=SCHEMA)
