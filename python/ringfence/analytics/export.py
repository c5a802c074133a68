"""A view's answer as a table for other programs: typed columns for Parquet, plain values for CSV. Pure."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ringfence.analytics.views import VIEWS, AnalyticsResult

_TIME = pa.timestamp("us", tz="UTC")


def as_table(result: AnalyticsResult) -> pa.Table:
    """The rows with their columns; the question stands in the schema's metadata, as JSON would have it."""
    columns = list(zip(*result.rows, strict=True)) or [()] * len(result.columns)
    arrays = [_array(list(column)) for column in columns]
    table = pa.Table.from_arrays(arrays, names=list(result.columns))
    answer = result.as_json()
    told = {f"ringfence.{name}": str(answer[name]) for name in ("dataset", "view", "grouping", "zone", "start", "end")}
    return table.replace_schema_metadata(told | {"ringfence.unit": VIEWS[result.query.view].unit})


def parquet(table: pa.Table) -> bytes:
    """One Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _array(values: list[Any]) -> pa.Array[Any]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, datetime) for value in known):
        return pa.array(values, _TIME)
    if any(isinstance(value, str) for value in known):
        return pa.array([None if value is None else str(value) for value in values], pa.utf8())
    if any(isinstance(value, float) for value in known):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array(values, pa.int64())
