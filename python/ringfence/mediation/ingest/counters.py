"""Additions → the tables of counts: one statement for each, in key order, inside the calls' transaction.

Streams of one device may meet on the same rows; they take them in the same order, so they wait but never in a circle.
Rows of other devices are never touched.
"""

from __future__ import annotations

from typing import Any

import psycopg

from ringfence.mediation.ingest.rollups import Addition

_TYPES = {
    "quarter": "timestamptz", "hour": "timestamptz", "minute": "timestamptz", "direction": "smallint",
    "outcome": "smallint", "call_type": "smallint", "part": "smallint", "value": "text",
}  # fmt: skip
_HAS_NO_DATASET = frozenset(("call_up",))

_ADD = """
INSERT INTO {table} ({owner}, {columns})
SELECT {owned}, {columns} FROM unnest({values}) AS added ({columns}) ORDER BY {keys}
ON CONFLICT ({owner}, {keys}) DO UPDATE SET {updates}
"""
# The sixty counts of a minute come as one array after another.
_ADD_SECONDS = """
INSERT INTO call_second (device_id, dataset, minute, calls, peak)
SELECT %(device_id)s, %(dataset)s, minute, calls, highest(calls)
FROM (
    SELECT minute, (%(calls)s::integer[])[60 * place - 59 : 60 * place] AS calls
    FROM unnest(%(minute)s::timestamptz[]) WITH ORDINALITY AS added (minute, place)
) AS cut ORDER BY minute
ON CONFLICT (device_id, dataset, minute) DO UPDATE
SET calls = add_counts(call_second.calls, excluded.calls),
    peak = highest(add_counts(call_second.calls, excluded.calls))
"""


def add(connection: psycopg.Connection[Any], addition: Addition, device_id: int, dataset: int) -> None:
    """Add a batch's counts to their table; the caller commits."""
    if not next(iter(addition.keys.values())):
        return
    values: dict[str, Any] = {"device_id": device_id, "dataset": dataset}
    if addition.table == "call_second":
        flat = [count for minute in addition.sums["calls"] for count in minute]
        connection.execute(_ADD_SECONDS, {**values, "minute": addition.keys["minute"], "calls": flat})
        return
    connection.execute(_statement(addition), {**values, **addition.keys, **addition.sums, **addition.maxima})


def _statement(addition: Addition) -> bytes:
    table = addition.table
    columns = [*addition.keys, *addition.sums, *addition.maxima]
    has_dataset = table not in _HAS_NO_DATASET
    updates = [f"{name} = {table}.{name} + excluded.{name}" for name in addition.sums if name == "calls"]
    updates += [
        f"{name} = coalesce({table}.{name}, 0) + coalesce(excluded.{name}, 0)"
        for name in addition.sums
        if name != "calls"
    ]
    updates += [f"{name} = greatest({table}.{name}, excluded.{name})" for name in addition.maxima]
    return _ADD.format(
        table=table,
        owner="device_id, dataset" if has_dataset else "device_id",
        owned="%(device_id)s, %(dataset)s" if has_dataset else "%(device_id)s",
        columns=", ".join(columns),
        values=", ".join(f"%({name})s::{_TYPES.get(name, 'bigint')}[]" for name in columns),
        keys=", ".join(addition.keys),
        updates=", ".join(updates),
    ).encode()
