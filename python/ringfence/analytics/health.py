"""How devices were: heard from, their clocks, what waited in their journals or was lost."""

from __future__ import annotations

from ringfence.analytics.question import Asked, Row
from ringfence.analytics.spans import Span, spans_of

_HEALTH = """
WITH counted AS (
    SELECT (%(slots)s::integer[])[width_bucket(at, %(bounds)s::timestamptz[])] AS slot, device_id,
           sum(calls)::bigint AS calls
    FROM (
        SELECT minute AS at, device_id, calls FROM call_minute
        WHERE dataset = %(dataset)s AND minute >= %(start)s AND minute < %(first)s
        UNION ALL
        SELECT hour, device_id, calls FROM hour_total
        WHERE dataset = %(dataset)s AND hour >= %(first)s AND hour < %(last)s
        UNION ALL
        SELECT minute, device_id, calls FROM call_minute
        WHERE dataset = %(dataset)s AND minute >= %(last)s AND minute < %(end)s
    ) AS kept
    WHERE %(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s)
    GROUP BY 1, 2
), heard AS (
    SELECT (%(slots)s::integer[])[width_bucket(minute, %(bounds)s::timestamptz[])] AS slot, device_id,
           count(*) AS minutes, max(clock_offset_us) AS before_us, min(clock_offset_us) AS behind_us,
           max(unsent) AS unsent, sum(lost)::bigint AS lost
    FROM device_minute
    WHERE minute >= %(start)s AND minute < %(end)s
      AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s))
      AND device_id = ANY (ARRAY(SELECT device_id FROM device WHERE kind = %(kind)s UNION
                                 SELECT device_id FROM counted WHERE calls > 0))
    GROUP BY 1, 2
)
SELECT slot, name, coalesce(calls, 0), coalesce(minutes, 0),
       CASE WHEN before_us >= -behind_us THEN before_us ELSE behind_us END, unsent, lost
FROM heard FULL JOIN counted USING (slot, device_id) JOIN device USING (device_id)
WHERE kind = %(kind)s OR calls > 0
ORDER BY slot, name
"""


def fetch_health(asked: Asked) -> list[Row]:
    """(bucket, device, calls, % of its minutes that it was heard from, largest clock offset in milliseconds, most
    events that waited, events lost). A device that was not heard from and sent nothing has no row; None: not told."""
    buckets = asked.buckets
    spans = spans_of(buckets, asked.query.grouping, asked.kept, is_kept=True)
    # Whole hours of UTC that lie in one bucket; none, where buckets are cut between them.
    hours = next((span for span in spans if span.store == "hour"), Span("hour", buckets.start, buckets.start))
    values = {
        "start": buckets.start,
        "end": buckets.end,
        "first": hours.start,
        "last": hours.end,
        "bounds": buckets.bounds,
        "slots": buckets.slots,
        "devices": asked.devices,
        "dataset": int(asked.query.dataset),
        "kind": "enum" if asked.query.dataset.word == "enum" else "probe",
    }
    # The minute that is under way counts as a whole one: a heartbeat in it is all that can be asked for.
    minutes = [-(-seconds // 60) for seconds in buckets.seconds(asked.now)]
    return [
        (
            buckets.keys[slot],
            name,
            calls,
            round(min(100.0, 100 * heard / minutes[slot]), 3),
            None if offset_us is None else offset_us / 1000,
            unsent,
            lost,
        )
        for slot, name, calls, heard, offset_us, unsent, lost in asked.connection.execute(_HEALTH.encode(), values)
    ]
