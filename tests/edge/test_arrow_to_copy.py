"""`arrow_to_copy` against a real PostgreSQL: every type, nulls, empty batches, and hostile bytes."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence._native import arrow_to_copy
from ringfence.database.connection import Database

TABLE = """CREATE TEMP TABLE every_type (small smallint, whole integer, big bigint, at timestamptz, word text,
    flag boolean, real double precision, octets bytea, id uuid, ids integer[])"""
FIELDS: list[tuple[str, pa.DataType]] = [
    ("small", pa.int16()),
    ("whole", pa.int32()),
    ("big", pa.int64()),
    ("at", pa.timestamp("us", tz="UTC")),
    ("word", pa.utf8()),
    ("flag", pa.bool_()),
    ("real", pa.float64()),
    ("octets", pa.binary()),
    ("id", pa.binary(16)),
    ("ids", pa.list_(pa.int32())),
]
SCHEMA = pa.schema(FIELDS)


def to_ipc(*batches: pa.RecordBatch, schema: pa.Schema = SCHEMA) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def batch(*rows: tuple[object, ...]) -> pa.RecordBatch:
    columns = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(SCHEMA)]
    return pa.record_batch(columns, schema=SCHEMA)


def test_every_type_arrives_in_postgresql_as_it_was_sent(database: Database) -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    full = (-5, 7, 12_105_550_123, at, "naïve\t\\N", True, 0.5, b"\x00\xff", bytes(range(16)), [1, -2, 3])
    nulls = (None,) * 10
    empty: tuple[object, ...] = (0, 0, 0, datetime(1970, 1, 1, tzinfo=UTC), "", False, 0.0, b"", bytes(16), [])
    stream = to_ipc(batch(full, nulls), batch(empty))
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        with cursor.copy("COPY every_type FROM STDIN (FORMAT binary)") as copy:
            copy.write(arrow_to_copy(stream))
        rows = cursor.execute("SELECT * FROM every_type").fetchall()
    as_sent = [(*row[:8], None if row[8] is None else row[8].bytes, row[9]) for row in rows]
    assert as_sent == [full, nulls, empty]


def test_sliced_batches_keep_their_offsets(database: Database) -> None:
    rows = [(1, 1, n, None, f"w{n}", n % 2 == 0, 1.0, b"x", bytes(16), [n] * n) for n in range(20)]
    stream = to_ipc(batch(*rows).slice(7, 5))
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        with cursor.copy("COPY every_type FROM STDIN (FORMAT binary)") as copy:
            copy.write(arrow_to_copy(stream))
        found = cursor.execute("SELECT big, word, flag, ids FROM every_type ORDER BY big").fetchall()
    assert found == [(n, f"w{n}", n % 2 == 0, [n] * n) for n in range(7, 12)]


def test_a_stream_without_batches_is_an_empty_copy() -> None:
    copy = arrow_to_copy(to_ipc())
    assert copy.startswith(b"PGCOPY\n\xff\r\n\0")
    assert copy.endswith(b"\xff\xff")


def test_an_unsupported_type_is_refused_with_its_column() -> None:
    schema = pa.schema([("duration", pa.duration("s"))])
    stream = to_ipc(pa.record_batch([pa.array([1], pa.duration("s"))], schema=schema), schema=schema)
    with pytest.raises(ValueError, match="column duration: type Duration"):
        arrow_to_copy(stream)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_not_fatal(stream: bytes) -> None:
    with pytest.raises(ValueError, match="not an Arrow IPC stream"):
        arrow_to_copy(stream)


SOUND = to_ipc(batch((-5, 7, 9, datetime(2026, 1, 1, tzinfo=UTC), "word", True, 0.5, b"\0", bytes(16), [1, 2])))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_damaged_streams_are_refused_or_converted_never_fatal(at: int, octet: int) -> None:
    damaged = SOUND[:at] + bytes([octet]) + SOUND[at + 1 :]
    with suppress(ValueError):
        assert arrow_to_copy(damaged).startswith(b"PGCOPY\n")


def test_speed_is_that_of_the_hot_path() -> None:
    """21 columns a row, as events have: far below what COPY itself takes."""
    rows = 50_000
    names = [f"n{at}" for at in range(18)]
    whole = pa.array(range(rows), pa.int32())
    word = pa.array(["sip:+12105550123@sbc.example"] * rows)
    lists = pa.array([[]] * rows, pa.list_(pa.int32()))
    table = pa.record_batch([*[whole] * 18, word, word, lists], names=[*names, "a", "b", "c"])
    stream = to_ipc(table, schema=table.schema)
    best = min(_elapsed(stream) for _ in range(5))
    assert best / rows < 2e-6, f"{best / rows * 1e9:.0f} ns a row"


def _elapsed(stream: bytes) -> float:
    """Of the processor, seconds: others on the machine do not count."""
    start = time.thread_time()
    arrow_to_copy(stream)
    return time.thread_time() - start
