"""What does not add up over buckets: the busiest second, and how many calls were up at once.

Of one device both are kept by minute. The busiest second of all devices together is kept of closed hours
(`mediation.ingest.closing`) and counts as long as the hour has as many calls as then; else the sixty counts of each
minute and device are added up here.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Any

from ringfence.analytics.counting import count, raw_conditions, read_calls_together
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.spans import gaps_between, whole_hours

_SECONDS = """
SELECT (%(slots)s::integer[])[width_bucket(second, %(bounds)s::timestamptz[])], max(calls)
FROM (
    SELECT date_trunc('second', time) AS second, count(*) AS calls
    FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY 1
) AS counted GROUP BY 1
"""
# Of one device.
_MINUTES = """
SELECT (%(slots)s::integer[])[width_bucket(minute, %(bounds)s::timestamptz[])], max(peak)
FROM call_second
WHERE dataset = %(dataset)s AND minute >= %(start)s AND minute < %(end)s AND device_id = ANY(%(devices)s::smallint[])
GROUP BY 1
"""
# Of all devices: hours that are closed and unchanged.
_CLOSED = """
SELECT hour, peaks FROM hour_peak JOIN (
    SELECT hour, sum(calls)::bigint AS calls FROM hour_total
    WHERE dataset = %(dataset)s AND hour > %(start)s::timestamptz - interval '1 hour' AND hour < %(end)s
    GROUP BY hour
) AS now USING (hour, calls)
WHERE dataset = %(dataset)s AND device_id = 0
"""
# Of several devices, and of hours that are not closed: the sixty counts of each minute, added up.
_TOGETHER = """
SELECT (%(slots)s::integer[])[width_bucket(minute, %(bounds)s::timestamptz[])], max(calls)::bigint
FROM (
    SELECT minute, sum(of_second.calls) AS calls
    FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS gap (begins, ends)
    JOIN call_second ON minute >= gap.begins AND minute < gap.ends,
         unnest(call_second.calls) WITH ORDINALITY AS of_second (calls, place)
    WHERE dataset = %(dataset)s AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
    GROUP BY minute, place
) AS seconds GROUP BY 1
"""

# Each call that was up at some instant of the grid adds one at the first such instant, and takes it away at the first
# one after its end; the sum up to an instant is how many were up then. No call lasts longer than the longest known.
_LONGEST = """
SELECT coalesce(max(total_ms_max), 0) FROM call_hour
WHERE dataset = 2 AND hour > %(start)s::timestamptz - interval '26 days' AND hour < %(end)s
"""
# What milliseconds in 32 bits can say.
_EVER = timedelta(days=25)
_UP = """
WITH change AS (
    SELECT greatest(to_timestamp(ceil(extract(epoch FROM time) / %(step_s)s) * %(step_s)s), %(start)s) AS instant,
           to_timestamp(ceil(extract(epoch FROM time + total_ms * interval '1 ms') / %(step_s)s) * %(step_s)s) AS gone
    FROM sip_event WHERE time >= %(since)s AND time < %(end)s{conditions}
), changes AS (
    SELECT instant, count(*) AS calls FROM change WHERE instant < gone AND gone > %(start)s GROUP BY 1
    UNION ALL
    SELECT gone, -count(*) FROM change WHERE instant < gone AND gone > %(start)s GROUP BY 1
), grid AS (
    SELECT instant, sum(sum(coalesce(calls, 0))) OVER (ORDER BY instant) AS up
    FROM generate_series(%(start)s::timestamptz, %(last)s::timestamptz, %(step_s)s * interval '1 second')
         AS look (instant) LEFT JOIN changes USING (instant) GROUP BY instant
)
SELECT (%(slots)s::integer[])[width_bucket(instant, %(bounds)s::timestamptz[])], sum(up)::bigint, max(up)::bigint
FROM grid GROUP BY 1
"""
_UP_KEPT = """
SELECT (%(slots)s::integer[])[width_bucket(minute, %(bounds)s::timestamptz[])], sum(up)::bigint, max(up)::bigint
FROM (
    SELECT minute, sum(calls) AS up FROM call_up
    WHERE minute >= %(start)s AND minute <= %(last)s
      AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
    GROUP BY minute
) AS minutes GROUP BY 1
"""


def fetch_peak_cps(asked: Asked) -> list[Row]:
    """(bucket, calls, most calls in one second)."""
    counts = count(asked, ("calls",))
    if asked.query.grouping == "second":  # of one second each
        peaks = {slot: figures["calls"] for (slot,), figures in counts.items()}
    else:
        peaks = _peaks(asked)
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
    instants = _instants(asked, step_s, until)
    return [
        (key, round(total / looks, 6) if looks else 0.0, peak)
        for key, looks, (total, peak) in (
            (key, instants[slot], found.get(slot, (0, 0))) for slot, key in enumerate(asked.buckets.keys)
        )
    ]


def _peaks(asked: Asked) -> dict[int, int]:
    where, values = raw_conditions(asked)
    if _is_of_calls(asked):
        statement = _SECONDS.format(table=TABLES[asked.query.dataset], conditions=where)
        return dict(read_calls_together(asked, statement, values))
    values["dataset"] = int(asked.query.dataset)
    if asked.devices is not None and len(asked.devices) == 1:
        return dict(asked.connection.execute(_MINUTES, values).fetchall())
    found, hours = ({}, set()) if asked.devices is not None else _closed_peaks(asked, values)
    gaps = gaps_between(asked.buckets.start, asked.buckets.end, hours)
    values |= {"begins": [begin for begin, _ in gaps], "ends": [end for _, end in gaps]}
    for slot, peak in asked.connection.execute(_TOGETHER, values):
        found[slot] = max(found.get(slot, 0), peak)
    return found


def _closed_peaks(asked: Asked, values: dict[str, Any]) -> tuple[dict[int, int], set[datetime]]:
    """What the closed hours say of each slot, and which hours these are."""
    buckets = asked.buckets
    slots = whole_hours(buckets)
    found: dict[int, int] = {}
    hours: set[datetime] = set()
    with asked.connection.cursor(binary=True) as cursor:
        for hour, peaks in cursor.execute(_CLOSED, values):
            hours.add(hour)
            if hour in slots:
                found[slots[hour]] = max(found.get(slots[hour], 0), *peaks)
                continue
            for place, peak in enumerate(peaks):
                minute = hour + timedelta(minutes=place)
                if buckets.start <= minute < buckets.end:
                    slot = buckets.slots[bisect_right(buckets.bounds, minute) - 1]
                    found[slot] = max(found.get(slot, 0), peak)
    return found, hours


def _up(asked: Asked, step_s: int, until: datetime) -> dict[int, tuple[int, int]]:
    where, values = raw_conditions(asked)
    more: dict[str, Any] = {"step_s": step_s, "last": until - timedelta(microseconds=1)}
    if _is_of_calls(asked) or step_s == 1:
        since = asked.buckets.start - _longest(asked, values)
        statement = _UP.format(conditions=where)
        found = read_calls_together(asked, statement, {**values, **more, "since": since}, since)
    else:
        found = asked.connection.execute(_UP_KEPT.encode(), {**values, **more}).fetchall()
    return {slot: (total, peak) for slot, total, peak in found}


def _is_of_calls(asked: Asked) -> bool:
    """Whether no count that is kept says it: of other filters than the site, or of minutes that are kept no more."""
    return bool(asked.query.filter.given - {"site"}) or asked.buckets.start < asked.kept.minutes


def _longest(asked: Asked, values: dict[str, Any]) -> timedelta:
    """How long before the period a call that was up in it may have begun."""
    if asked.buckets.start - _EVER < asked.kept.hours:
        return _EVER
    row = asked.connection.execute(_LONGEST, values).fetchone()
    return timedelta(milliseconds=row[0] if row else 0)


def _instants(asked: Asked, step_s: int, until: datetime) -> list[int]:
    """How often each row's buckets were looked at: their full minutes, or seconds, before `until`."""
    buckets = asked.buckets
    looks = [0] * len(buckets.keys)
    step = timedelta(seconds=step_s)
    for index, slot in enumerate(buckets.slots):
        begin = max(buckets.bounds[index], buckets.start)
        following = buckets.bounds[index + 1] if index + 1 < len(buckets.bounds) else buckets.end
        looks[slot] += max(0, -((begin - min(following, until)) // step))
    return looks
