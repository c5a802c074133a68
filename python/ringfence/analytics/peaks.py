"""What does not add up over buckets: the busiest second, and how many calls were up at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ringfence.analytics.counting import count, raw_conditions
from ringfence.analytics.question import TABLES, Asked, Row

_SECONDS = """
SELECT (%(slots)s::integer[])[width_bucket(second, %(bounds)s::timestamptz[])], max(calls)
FROM (
    SELECT date_trunc('second', time) AS second, count(*) AS calls
    FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1
) AS counted GROUP BY 1
"""

# Each call that was up at some instant of the grid adds one at the first such instant, and takes it away at the first
# one after its end; the sum up to an instant is how many were up then. No call lasts longer than the longest known.
_UP = """
WITH longest AS (
    SELECT coalesce(max(total_ms), 0) AS ms FROM sip_event
    WHERE time >= %(start)s::timestamptz - interval '25 days' AND time < %(end)s
), change AS (
    SELECT greatest(to_timestamp(ceil(extract(epoch FROM time) / %(step_s)s) * %(step_s)s), %(start)s) AS instant,
           to_timestamp(ceil(extract(epoch FROM time + total_ms * interval '1 ms') / %(step_s)s) * %(step_s)s) AS gone
    FROM sip_event, longest
    WHERE time >= %(start)s::timestamptz - longest.ms * interval '1 ms' AND time < %(end)s{conditions}
), changes AS (
    SELECT instant, count(*) AS calls FROM change WHERE instant < gone AND gone > %(start)s GROUP BY 1
    UNION ALL
    SELECT gone, -count(*) FROM change WHERE instant < gone AND gone > %(start)s GROUP BY 1
), grid AS (
    SELECT instant, sum(sum(coalesce(calls, 0))) OVER (ORDER BY instant) AS up
    FROM generate_series(%(start)s::timestamptz, %(last)s::timestamptz, make_interval(secs => %(step_s)s))
         AS instant LEFT JOIN changes USING (instant) GROUP BY instant
)
SELECT (%(slots)s::integer[])[width_bucket(instant, %(bounds)s::timestamptz[])], sum(up)::bigint, count(*),
       max(up)::bigint
FROM grid GROUP BY 1
"""


def fetch_peak_cps(asked: Asked) -> list[Row]:
    """(bucket, calls, most calls in one second)."""
    peaks = _peaks(asked)
    counts = count(asked, ("calls",))
    return [
        (key, counts.get((slot,), {"calls": 0})["calls"], peaks.get(slot, 0))
        for slot, key in enumerate(asked.buckets.keys)
    ]


def fetch_concurrent(asked: Asked) -> list[Row]:
    """(bucket, average, peak) of calls in progress, looked at each full minute (each second when grouped so).

    A call is in progress from its first message until its end; one that has not ended yet has no record and counts
    from its end on. What lies after `now` has not happened.
    """
    step_s = 1 if asked.query.grouping == "second" else 60
    until = min(asked.buckets.end, max(asked.now, asked.buckets.start + timedelta(seconds=1)))
    found = _up(asked, step_s, until)
    return [
        (key, round(total / instants, 6) if instants else 0.0, peak)
        for key, (total, instants, peak) in (
            (key, found.get(slot, (0, 0, 0))) for slot, key in enumerate(asked.buckets.keys)
        )
    ]


def _peaks(asked: Asked) -> dict[int, int]:
    where, values = raw_conditions(asked)
    statement = _SECONDS.format(table=TABLES[asked.query.dataset], conditions=where)
    return dict(asked.connection.execute(statement.encode(), values).fetchall())


def _up(asked: Asked, step_s: int, until: datetime) -> dict[int, tuple[int, int, int]]:
    where, values = raw_conditions(asked)
    more: dict[str, Any] = {"step_s": step_s, "last": until - timedelta(microseconds=1)}
    found = asked.connection.execute(_UP.format(conditions=where).encode(), {**values, **more})
    return {slot: (total, instants, peak) for slot, total, instants, peak in found}
