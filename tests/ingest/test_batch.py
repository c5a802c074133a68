"""Uploaded bytes: what the contract allows comes through unchanged, everything else is the sender's fault."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingest.samples import SCHEMA, every_second, ipc, record_batch, upload

from ringfence.errors import InvalidInputError
from ringfence.mediation.ingest import batch as batch_module
from ringfence.mediation.ingest.batch import decode_batch
from ringfence.mediation.ingest.schema import event_schema

ENUM = event_schema("enum")


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        decode_batch(body, ENUM)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_takes_what_an_edge_sends() -> None:
    events = [*every_second(3), {"monitored": [3, 9], "source_raw": "anonymous", "source": 0}]
    batch = decode_batch(upload(events, first=41), ENUM)
    assert (batch.first, batch.last) == (41, 44)
    assert batch.events.to_pylist() == record_batch(events, first=41).to_pylist()


def test_takes_several_record_batches_of_one_stream() -> None:
    body = ipc(record_batch(every_second(2)), record_batch([]), record_batch(every_second(3), first=3))
    batch = decode_batch(body, ENUM)
    assert (batch.first, batch.last, batch.events.num_rows) == (1, 5, 5)


def test_takes_an_upload_without_events() -> None:
    for body in (ipc(), upload([])):
        batch = decode_batch(body, ENUM)
        assert batch.last == batch.first - 1


def test_refuses_another_schema_version() -> None:
    assert "'enum.2', must be 'enum.1'" in refusal(ipc(schema=SCHEMA.with_metadata({"ringfence.schema": "enum.2"})))
    assert "must be 'enum.1'" in refusal(ipc(schema=SCHEMA.remove_metadata()))


@pytest.mark.parametrize("name", SCHEMA.names)
def test_refuses_a_column_of_another_type(name: str) -> None:
    index = SCHEMA.get_field_index(name)
    other = SCHEMA.set(index, pa.field(name, pa.float32(), nullable=False))
    assert f"column {name}: is float" in refusal(ipc(schema=other))
    assert "columns are" in refusal(ipc(schema=SCHEMA.remove(index)))


def test_refuses_times_in_another_zone_or_unit() -> None:
    index = SCHEMA.get_field_index("time")
    for kind in (pa.timestamp("us"), pa.timestamp("ms", tz="UTC"), pa.timestamp("us", tz="America/Chicago")):
        assert "column time" in refusal(ipc(schema=SCHEMA.set(index, pa.field("time", kind))))


@pytest.mark.parametrize(
    "sequences",
    [[1, 3], [1, 1], [2, 1], [0, 1], [-1, 0], [1, 2, 4, 5], [2**63 - 1, -(2**63)], [1, 2, 2, 4]],
)
def test_refuses_sequences_that_are_not_contiguous(sequences: list[int]) -> None:
    assert "column sequence" in refusal(upload([{"sequence": sequence} for sequence in sequences]))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"source_raw": "a\x00b"}, "column source_raw: has a NUL"),
        ({"peer": "\x00"}, "column peer: has a NUL"),
        ({"destination": -5}, "column destination: has -5"),
    ],
)
def test_refuses_values_that_no_edge_writes(event: dict[str, Any], message: str) -> None:
    assert message in refusal(upload([{}, event]))


def test_refuses_nulls() -> None:
    nullable = pa.schema([field.with_nullable(True) for field in SCHEMA], {"ringfence.schema": "enum.1"})
    rows = record_batch([{}, {}])
    for name in SCHEMA.names:
        index = SCHEMA.get_field_index(name)
        column = pa.concat_arrays([rows.column(index).slice(0, 1), pa.nulls(1, rows.column(index).type)])
        columns = [*rows.columns[:index], column, *rows.columns[index + 1 :]]
        assert f"column {name}: has nulls" in refusal(
            ipc(pa.RecordBatch.from_arrays(columns, schema=nullable), schema=nullable)
        )


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_refuses_compressed_bodies_before_unpacking_them(compression: str) -> None:
    body = ipc(record_batch(every_second(1000)), compression=compression)
    assert "is compressed" in refusal(body)


def test_refuses_more_events_than_the_limit_and_says_so_by_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_EVENTS", 5)
    body = ipc(record_batch(every_second(3)), record_batch(every_second(3), first=4))
    with pytest.raises(InvalidInputError) as caught:
        decode_batch(body, ENUM)
    assert caught.value.code == "too_large"
    assert caught.value.detail["max_events"] == 5


def test_refuses_a_body_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_BODY_BYTES", 100)
    with pytest.raises(InvalidInputError) as caught:
        decode_batch(bytes(101), ENUM)
    assert caught.value.code == "too_large"


def test_refuses_a_file_in_place_of_a_stream_and_plain_noise() -> None:
    for body in (b"", b"ARROW1\x00\x00", b"\xff" * 64, b"\x00" * 64, b'{"events": []}'):
        refusal(body)


GENUINE = upload([*every_second(20), {"monitored": [1, 2], "source_raw": "sip:bob@example"}])


@given(st.integers(0, len(GENUINE) - 1))
@settings(max_examples=200, deadline=None)
def test_a_truncated_body_is_refused_or_holds_nothing(length: int) -> None:
    try:
        batch = decode_batch(GENUINE[:length], ENUM)
    except InvalidInputError:
        return
    # Cut exactly between two messages it is a valid stream again.
    assert batch.events.num_rows in (0, 21)


@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=1000, deadline=None)
def test_changed_bytes_never_do_worse_than_a_refusal(changes: list[tuple[int, int]]) -> None:
    body = bytearray(GENUINE)
    for position, value in changes:
        body[position] = value
    with suppress(InvalidInputError):
        batch = decode_batch(bytes(body), ENUM)
        batch.events.validate(full=True)
        assert batch.events.column("sequence").to_pylist() == list(range(batch.first, batch.last + 1))


@given(st.binary(max_size=4096))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    refusal(body)


def test_an_unknown_dataset_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="'radio' is not ingested"):
        event_schema("radio")
