"""Recorded calls as windows take them: one set of columns for both datasets, in bulk or as they were just committed.

A SIP call counts when it ended, for then it is known; a query when it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from psycopg import Connection, sql

from ringfence.database.columnar import ColumnarReader
from ringfence.detection.firing import Dataset

TABLES: dict[Dataset, str] = {"enum": "enum_event", "sip": "sip_event"}
KINDS: dict[str, Dataset] = {"enum": "enum", "probe": "sip"}
# Rows are filed under a call's start: one that lasted longer than this is found too late to count.
LONGEST_CALL = timedelta(hours=4)
_PART = timedelta(minutes=10)  # of history, sorted at a time

MOMENT: dict[Dataset, str] = {"enum": "time", "sip": "(time + total_ms * interval '1 millisecond')"}
_OUTCOME: dict[Dataset, str] = {"enum": "action", "sip": "result"}
_COLUMNS: dict[Dataset, str] = {
    dataset: f"""
    (extract(epoch FROM {MOMENT[dataset]}) * 1000000)::bigint AS time_us,
    (extract(epoch FROM time) * 1000000)::bigint AS start_us, source, destination,
    {"-1::integer" if dataset == "enum" else "coalesce(duration_ms, -1)"} AS duration_ms,
    device_id, country, direction, call_type, {_OUTCOME[dataset]} AS outcome,
    {"0::smallint" if dataset == "enum" else "side"} AS trunk_side, source_class, destination_class
    """
    for dataset in TABLES
}
_LONG, _INT, _SHORT = pa.int64(), pa.int32(), pa.int16()
SCHEMA = pa.schema(
    [("time_us", _LONG), ("start_us", _LONG), ("source", _LONG), ("destination", _LONG), ("duration_ms", _INT)]
    + [
        (name, _SHORT)
        for name in (
            "device_id", "country", "direction", "call_type", "outcome", "trunk_side", "source_class",
            "destination_class",
        )
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Head:
    """The last sequence of a stream that is committed."""

    stream_id: int
    dataset: Dataset
    sequence: int


def read_heads(connection: Connection) -> list[Head]:
    """Of every stream."""
    rows = connection.execute(
        "SELECT s.stream_id, d.kind, s.last_sequence FROM device_stream s JOIN device d USING (device_id)"
    ).fetchall()
    return [Head(stream, KINDS[kind], sequence) for stream, kind, sequence in rows]


def read_fresh(
    connection: Connection, dataset: Dataset, spans: Mapping[int, tuple[int, int]], oldest: datetime
) -> pa.RecordBatch:
    """The calls of streams behind a first and up to a last sequence, by time; none that counts before `oldest`."""
    started_from = oldest - LONGEST_CALL if dataset == "sip" else oldest
    of_streams = sql.SQL(" OR ").join(
        sql.SQL("(stream_id = {} AND sequence > {} AND sequence <= {})").format(stream, first, last)
        for stream, (first, last) in spans.items()
    )
    query = sql.SQL("SELECT {columns} FROM {table} WHERE time >= {oldest} AND ({of_streams}) ORDER BY 1").format(
        columns=sql.SQL(_COLUMNS[dataset]),
        table=sql.Identifier(TABLES[dataset]),
        oldest=sql.Literal(started_from),
        of_streams=of_streams,
    )
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query).fetchall()
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def read_period(
    reader: ColumnarReader,
    dataset: Dataset,
    start: datetime,
    end: datetime,
    *,
    heads: list[Head] | None = None,
    only: sql.Composable | None = None,
) -> Iterator[tuple[datetime, pa.RecordBatch]]:
    """Calls that count in [start, end), by time, each batch with how far it goes; `heads`: none beyond these."""
    at = start
    while at < end:
        until = min(at + _PART, end)
        for batch in reader.read(_period_query(dataset, at, until, heads, only).as_string(None)):
            yield until, batch.cast(SCHEMA) if batch.schema != SCHEMA else batch
        at = until


def _period_query(
    dataset: Dataset, start: datetime, end: datetime, heads: list[Head] | None, only: sql.Composable | None
) -> sql.Composed:
    moment = sql.SQL(MOMENT[dataset])
    conditions: list[sql.Composable] = [
        sql.SQL("time < {} AND time >= {}").format(
            sql.Literal(end), sql.Literal(start - LONGEST_CALL if dataset == "sip" else start)
        ),
        sql.SQL("{} >= {} AND {} < {}").format(moment, sql.Literal(start), moment, sql.Literal(end)),
    ]
    table = sql.Identifier(TABLES[dataset])
    if heads is not None:
        table_heads = [one for one in heads if one.dataset == dataset]
        conditions.append(
            sql.SQL(
                "sequence <= (SELECT last FROM unnest({}::integer[], {}::bigint[]) AS head (id, last)"
                " WHERE head.id = stream_id)"
            ).format(
                sql.Literal([one.stream_id for one in table_heads]), sql.Literal([one.sequence for one in table_heads])
            )
        )
    if only is not None:
        conditions.append(only)
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY 1").format(
        sql.SQL(_COLUMNS[dataset]), table, sql.SQL(" AND ").join(conditions)
    )


def as_stream(batch: pa.RecordBatch) -> bytes:
    """As an Arrow IPC stream, for `Windows.feed`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())
