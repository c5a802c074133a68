"""Uploaded bytes → a checked batch of events. Pure; the first stage of ingest.

The bytes come from another machine, so nothing in them is believed: Arrow's own reader verifies the framing, compressed
bodies (a few bytes could unpack to gigabytes) and dictionaries are refused, every buffer is validated in full
before a value is read, and then the contract is checked: schema and version, no nulls, sequences from 1 without gaps.
Whatever is wrong is the sender's fault: `InvalidInputError`, one line that says what.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ringfence.errors import InvalidInputError
from ringfence.mediation.ingest.schema import SCHEMA_KEY, EventSchema

# An edge sends at most 200,000 events at once (settings: edge.upload_events).
MAX_EVENTS = 200_000
# 200,000 events with 300 bytes each; an edge with longer texts sends fewer events.
MAX_BODY_BYTES = 64 << 20

# Field of the flatbuffer tables Message and RecordBatch (Arrow's Message.fbs).
_MESSAGE_HEADER = 2
_RECORD_BATCH_COMPRESSION = 3

_ONE = pa.scalar(1, pa.int64())
# Columns of numbers that the edge has normalised; those of dataset SIP come as raw text.
_NUMBERS = frozenset(("source", "destination", "target"))


@dataclass(frozen=True)
class Batch:
    """Events `first` … `last` of one stream, without a gap; `last` is `first - 1` when there are none."""

    first: int
    last: int
    events: pa.RecordBatch


def decode_batch(body: bytes, schema: EventSchema) -> Batch:
    """Check an Arrow IPC stream against `schema`. InvalidInputError when anything is wrong with it."""
    if len(body) > MAX_BODY_BYTES:
        raise _too_large(f"body has {len(body)} bytes")
    try:
        events = _read_events(body, schema)
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError, MemoryError, OverflowError) as error:
        raise InvalidInputError(f"body: not a valid Arrow IPC stream: {_first_line(error)}") from None
    _check_values(events)
    first, last = _check_sequences(events)
    return Batch(first, last, events)


def _too_large(what: str) -> InvalidInputError:
    """The refusal of an oversized upload; the edge sends fewer events when it sees the code."""
    return InvalidInputError(
        f"{what}, must be at most {MAX_EVENTS} events in {MAX_BODY_BYTES} bytes",
        code="too_large",
        detail={"max_events": MAX_EVENTS, "max_bytes": MAX_BODY_BYTES},
    )


def _read_events(body: bytes, schema: EventSchema) -> pa.RecordBatch:
    messages = iter(pa.ipc.MessageReader.open_stream(pa.BufferReader(body)))
    head = next(messages, None)
    if head is None or head.type != "schema":
        raise InvalidInputError("body: must begin with an Arrow schema")
    found = pa.ipc.read_schema(head)
    _check_schema(found, schema)
    batches: list[pa.RecordBatch] = []
    count = 0
    for message in messages:
        if message.type != "record batch":
            raise InvalidInputError(f"body: has a {message.type} message, only record batches are accepted")
        if _is_compressed(message.metadata):
            raise InvalidInputError("body: is compressed, must be plain")
        batch = pa.ipc.read_record_batch(message, found)
        count += batch.num_rows
        if count > MAX_EVENTS:
            raise _too_large(f"body has at least {count} events")
        batch.validate(full=True)
        batches.append(batch)
    return _as_one(batches, schema)


def _as_one(batches: list[pa.RecordBatch], schema: EventSchema) -> pa.RecordBatch:
    """One record batch in the canonical types (the file may spell UTC or a list's item otherwise)."""
    columns = [
        pa.concat_arrays([batch.column(index).cast(field.type) for batch in batches])
        if batches
        else pa.array([], field.type)
        for index, field in enumerate(schema.arrow)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)


def _check_schema(found: pa.Schema, schema: EventSchema) -> None:
    version = (found.metadata or {}).get(SCHEMA_KEY, b"").decode("utf-8", "replace")
    if version != schema.name:
        raise InvalidInputError(f"body: schema is {version!r}, must be {schema.name!r}")
    if found.names != schema.arrow.names:
        raise InvalidInputError(f"body: columns are {_shorten(', '.join(found.names))}, must be those of {schema.name}")
    for given, wanted in zip(found, schema.arrow, strict=True):
        if not _is_type(given.type, wanted.type):
            raise InvalidInputError(f"column {wanted.name}: is {_shorten(str(given.type))}, must be {wanted.type}")


def _is_type(given: pa.DataType, wanted: pa.DataType) -> bool:
    if isinstance(given, pa.TimestampType) and isinstance(wanted, pa.TimestampType):
        return given.unit == wanted.unit and given.tz in ("UTC", "+00:00", "Z")
    if isinstance(given, pa.ListType) and isinstance(wanted, pa.ListType):
        return bool(given.value_type == wanted.value_type)
    return bool(given == wanted)


def _check_values(events: pa.RecordBatch) -> None:
    for field, column in zip(events.schema, events.columns, strict=True):
        if column.null_count:
            raise InvalidInputError(f"column {field.name}: has nulls, must have none")
        if pa.types.is_string(field.type) and pc.any(pc.match_substring(column, "\x00")).as_py():
            raise InvalidInputError(f"column {field.name}: has a NUL character, the edge must replace it by U+FFFD")
        if isinstance(column, pa.ListArray) and column.flatten().null_count:
            raise InvalidInputError(f"column {field.name}: has nulls in its lists, must have none")

    for name in _NUMBERS.intersection(events.schema.names):
        lowest = pc.min(events.column(name)).as_py()
        if lowest is not None and lowest < 0:
            raise InvalidInputError(f"column {name}: has {lowest}, must be E.164 digits or 0")


def _check_sequences(events: pa.RecordBatch) -> tuple[int, int]:
    sequence = events.column("sequence")
    if not len(sequence):
        return 1, 0
    first, last = sequence[0].as_py(), sequence[-1].as_py()
    if first < 1:
        raise InvalidInputError(f"column sequence: begins with {first}, must be 1 or more")
    # The difference may wrap around; the comparison of the ends sees that.
    steps = pc.pairwise_diff(sequence).slice(1)
    if last - first + 1 != len(sequence) or not pc.all(pc.equal(steps, _ONE), min_count=0).as_py():
        raise InvalidInputError(f"column sequence: must be contiguous from {first}, is not")
    return first, last


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a record batch message declares body compression; pyarrow does not tell.

    Walks two flatbuffer tables that Arrow has verified: Message → header (RecordBatch) → compression.
    """
    buffer = metadata.to_pybytes()
    (root,) = struct.unpack_from("<I", buffer, 0)
    header = _table_field(buffer, root, _MESSAGE_HEADER)
    if header == 0:
        raise ValueError("message without a header")
    (offset,) = struct.unpack_from("<I", buffer, header)
    return _table_field(buffer, header + offset, _RECORD_BATCH_COMPRESSION) != 0


def _table_field(buffer: bytes, table: int, field: int) -> int:
    """Position of a flatbuffer table's field, 0 when it is absent."""
    (back,) = struct.unpack_from("<i", buffer, table)
    vtable = table - back
    if vtable < 0:
        raise ValueError("message is damaged")
    (size,) = struct.unpack_from("<H", buffer, vtable)
    entry = 4 + 2 * field
    if entry + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", buffer, vtable + entry)
    return table + offset if offset else 0


def _first_line(error: BaseException) -> str:
    return _shorten((str(error) or type(error).__name__).splitlines()[0])


def _shorten(text: str, limit: int = 200) -> str:
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= limit else f"{text[:limit]}…"
