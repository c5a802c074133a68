"""Which rules a batch's calls were decided by, or would have been in monitor mode: counts per rule and minute.

Added in the ingest transaction, after the calls' own counts: so exactly once, and a late batch is added to the minutes
that it is of. An hour's row is the sum of its minutes; minutes are kept for KEPT_MINUTES, hours for KEPT_HOURS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from ringfence.mediation.ingest.schema import TIME

KEPT_MINUTES = timedelta(days=8)
KEPT_HOURS = timedelta(days=400)
_MINUTE_US = pa.scalar(60_000_000, pa.int64())
_ZERO = pa.scalar(0, pa.int32())
compute: Any = pc

# In key order, as the calls' counts: uploads of one device's streams never wait for each other in a circle.
_ADD = """
WITH counted AS (
    SELECT * FROM unnest(%(minutes)s::timestamptz[], %(rules)s::integer[], %(hits)s::bigint[], %(monitored)s::bigint[],
                         %(lasts)s::timestamptz[]) AS counted (minute, rule_id, hits, monitored, last_at)
), added AS (
    INSERT INTO rule_minute (device_id, rule_id, minute, hits, monitored, last_at)
    SELECT %(device_id)s, rule_id, minute, hits, monitored, last_at FROM counted ORDER BY rule_id, minute
    ON CONFLICT (device_id, rule_id, minute) DO UPDATE
    SET hits = rule_minute.hits + excluded.hits, monitored = rule_minute.monitored + excluded.monitored,
        last_at = greatest(rule_minute.last_at, excluded.last_at)
)
INSERT INTO rule_hour (device_id, rule_id, hour, hits, monitored, last_at)
SELECT %(device_id)s, rule_id, date_trunc('hour', minute, 'UTC') AS hour, sum(hits), sum(monitored), max(last_at)
FROM counted GROUP BY rule_id, hour ORDER BY rule_id, hour
ON CONFLICT (device_id, rule_id, hour) DO UPDATE
SET hits = rule_hour.hits + excluded.hits, monitored = rule_hour.monitored + excluded.monitored,
    last_at = greatest(rule_hour.last_at, excluded.last_at)
"""


@dataclass(frozen=True)
class HitCounts:
    """Columns of one length, ordered by rule, then minute."""

    rules: list[int]
    minutes: list[datetime]
    hits: list[int]
    monitored: list[int]
    lasts: list[datetime]


def count_hits(rows: pa.RecordBatch) -> HitCounts:
    """Calls per rule and UTC minute. Pure."""
    time, rule = rows.column("time"), rows.column("rule_id")
    decided = compute.indices_nonzero(compute.not_equal(rule, _ZERO))
    lists = rows.column("monitored")
    watched = compute.list_parent_indices(lists).cast(pa.int64())
    times = pa.chunked_array([time.take(decided), time.take(watched)])
    microseconds = times.cast(pa.int64())
    counted = (
        pa.table(
            {
                "rule": pa.chunked_array([rule.take(decided), compute.list_flatten(lists)]),
                "minute": compute.multiply(compute.divide(microseconds, _MINUTE_US), _MINUTE_US).cast(TIME),
                "hits": pa.chunked_array([pa.repeat(1, len(decided)), pa.repeat(0, len(watched))]),
                "monitored": pa.chunked_array([pa.repeat(0, len(decided)), pa.repeat(1, len(watched))]),
                "time": times,
            }
        )
        .group_by(["rule", "minute"])
        .aggregate([("hits", "sum"), ("monitored", "sum"), ("time", "max")])
        .sort_by([("rule", "ascending"), ("minute", "ascending")])
    )
    columns: dict[str, list[Any]] = counted.to_pydict()
    return HitCounts(
        columns["rule"], columns["minute"], columns["hits_sum"], columns["monitored_sum"], columns["time_max"]
    )


def add_hits(connection: psycopg.Connection[Any], device_id: int, counts: HitCounts) -> None:
    """Add a batch's counts to the tables; the caller commits."""
    if counts.rules:
        connection.execute(_ADD, {"device_id": device_id, **vars(counts)})


def purge_hits(connection: psycopg.Connection[Any], now: datetime) -> None:
    """Forget minutes and hours that are old."""
    connection.execute("DELETE FROM rule_minute WHERE minute < %s", (now - KEPT_MINUTES,))
    connection.execute("DELETE FROM rule_hour WHERE hour < %s", (now - KEPT_HOURS,))
