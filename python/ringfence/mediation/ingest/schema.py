"""What an uploaded batch must look like: one Arrow schema per dataset and version (docs/contracts.md 3).

Stands at the entrance of ingest: `batch` checks bytes against it, `rows` turns it into the table's columns.
The Rust crate `events` writes the same schemas; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

# Key of the Arrow schema metadata that names dataset and version.
SCHEMA_KEY = b"ringfence.schema"

TIME = pa.timestamp("us", tz="UTC")
NUMBERS = pa.list_(pa.int32())

_ENUM_1_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("sequence", pa.int64()),
    ("time", TIME),
    ("peer", pa.utf8()),
    ("peer_port", pa.int32()),
    ("transport", pa.int16()),
    ("source", pa.int64()),
    ("destination", pa.int64()),
    ("target", pa.int64()),
    ("source_class", pa.int16()),
    ("destination_class", pa.int16()),
    ("source_origin", pa.int16()),
    ("direction", pa.int16()),
    ("action", pa.int16()),
    ("reason", pa.int16()),
    ("rcode", pa.int16()),
    ("rule_id", pa.int32()),
    ("policy_version", pa.int32()),
    ("latency_ns", pa.int32()),
    ("source_raw", pa.utf8()),
    ("destination_raw", pa.utf8()),
    ("monitored", NUMBERS),
]
_ENUM_1 = pa.schema(_ENUM_1_COLUMNS)

_SIP_1_INTS = (
    "source_port",
    "destination_port",
    "flags",
    "probe_lost",
    "pdd_ms",
    "answer_ms",
    "duration_ms",
    "total_ms",
    "forward_packets",
    "forward_lost",
    "forward_jitter_us",
    "backward_packets",
    "backward_lost",
    "backward_jitter_us",
)
_SIP_1_WORDS = (
    "transport",
    "side",
    "result",
    "status",
    "cause_q850",
    "released_by",
    "attestation",
    "forward_mos_100",
    "backward_mos_100",
)
_SIP_1_TEXTS = (
    "source_address",
    "destination_address",
    "call_id",
    "source_raw",
    "destination_raw",
    "codec",
    "user_agent",
    "details",
)
_SIP_1_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("sequence", pa.int64()),
    ("time", TIME),
    ("correlation", pa.int64()),
    *((name, pa.int32()) for name in _SIP_1_INTS),
    *((name, pa.int16()) for name in _SIP_1_WORDS),
    *((name, pa.utf8()) for name in _SIP_1_TEXTS),
]
_SIP_1 = pa.schema(_SIP_1_COLUMNS)


@dataclass(frozen=True)
class EventSchema:
    """A dataset's Arrow schema, the table that its rows go to, and the column that the minute counts are split by."""

    dataset: Dataset
    name: str
    table: str
    outcome: str
    arrow: pa.Schema


_SCHEMAS = {
    Dataset.ENUM: EventSchema(Dataset.ENUM, "enum.1", "enum_event", "action", _ENUM_1),
    Dataset.SIP: EventSchema(Dataset.SIP, "sip.1", "sip_event", "result", _SIP_1),
}


def event_schema(dataset: str) -> EventSchema:
    """The schema of a dataset by its word; InvalidInputError when no such dataset is ingested."""
    for known, schema in _SCHEMAS.items():
        if known.word == dataset:
            return schema
    words = ", ".join(known.word for known in _SCHEMAS)
    raise InvalidInputError(f"dataset: {dataset!r} is not ingested, must be one of {words}")
