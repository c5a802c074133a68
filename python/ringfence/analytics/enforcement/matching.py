"""Decisions to calls, in one set-based statement.

A *call* is legs with one correlation, each of which begins less than LEG_SPREAD after the one before it; a later one (a
transfer) is a call of its own, which policy has to be asked about again. A decision *may* belong to a call
when it stands in the call's window (`question.Window`, around the first message of the first leg) and

    the Call-ID that the query carried is that of a leg, or
    both have the destination of one leg, and its source or one of the two has no number for the source

(destinations that are no number are compared as text). SBCs send no Call-ID as a rule; one that puts `;call-id=` into
the source URI is matched by it. Each decision belongs to at most one call: the one of its Call-ID, else of its source,
else the nearest in time, else the earlier. So a caller who dials twice within the window has two decisions for two
calls, and a query that an SBC repeats to a second server is a second decision about the same call. Times are those of
the event tables: what the mediation knows of a device's clock is in them, the window takes the rest.

Both sides of the join carry the number of the slot of time they stand in, a slot as long as the window: the join is by
equality, and its work grows with the calls, not with their square. Calls beyond the edges of the period compete for
decisions too, so what is said of a call does not depend on the period that was asked for.

A decision is followed, ignored, or unproven:

    allow, no opinion   followed, whatever the call did
    terminate           ignored when a leg was answered, or rang and two legs were seen; unproven when the one leg that
                        was seen rang (an SBC may play its refusal as early media); else followed
    redirect            followed when a leg went to the target, was sent there by a 3xx, or no leg rang; else ignored
                        when two legs were seen; unproven when only one was: where the SBC sent it was not seen
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ringfence.analytics.enforcement.question import EnforcementQuery
from ringfence.vocabulary import Action, CallResult

# Legs of one call begin within a few seconds of each other; a transfer later is a matter of its own.
LEG_SPREAD = timedelta(seconds=30)

STATEMENT = """
WITH seen AS (
    SELECT correlation, time, source, destination, call_id, answer_ms, pdd_ms, result, stream_id, sequence,
           CASE WHEN destination = 0 THEN coalesce(destination_raw, '') ELSE '' END AS raw,
           lag(time) OVER by_time AS earlier
    FROM sip_event
    WHERE time >= %(start)s::timestamptz - %(reach)s::interval - %(spread)s::interval
      AND time < %(end)s::timestamptz + %(reach)s::interval + %(spread)s::interval
      AND (%(device_id)s::smallint IS NULL OR device_id = %(device_id)s)
    WINDOW by_time AS (PARTITION BY correlation ORDER BY time, stream_id, sequence)
), legs AS MATERIALIZED (
    SELECT *, max(time) FILTER (WHERE earlier IS NULL OR time - earlier >= %(spread)s::interval) OVER by_time AS started
    FROM seen WINDOW by_time AS (PARTITION BY correlation ORDER BY time, stream_id, sequence)
), calls AS MATERIALIZED (
    SELECT correlation, started, bool_or(answer_ms IS NOT NULL) AS answered, bool_or(pdd_ms IS NOT NULL) AS rang,
           bool_or(result = %(sent_elsewhere)s) AS sent_elsewhere,
           -- 2 stands for "more than one": what counts is whether the call was seen to go on.
           1 + coalesce(min(call_id COLLATE "C") <> max(call_id COLLATE "C"), false)::integer AS legs,
           bool_or(%(digits)s::bigint IS NULL OR %(digits)s IN (source, destination)) AS wanted
    FROM legs
    WHERE started >= %(start)s::timestamptz - %(reach)s::interval
      AND started < %(end)s::timestamptz + %(reach)s::interval
    GROUP BY correlation, started
), ends AS MATERIALIZED (
    SELECT DISTINCT correlation, started, source, destination, raw, call_id
    FROM legs JOIN calls USING (correlation, started)
), slots AS (
    SELECT *, floor(extract(epoch FROM started - %(before)s::interval) / %(slot_s)s)::bigint AS first_slot,
           floor(extract(epoch FROM started + %(after)s::interval) / %(slot_s)s)::bigint AS last_slot
    FROM ends
), slotted AS MATERIALIZED (
    SELECT slots.*, first_slot AS slot FROM slots
    UNION ALL
    SELECT slots.*, last_slot FROM slots WHERE last_slot <> first_slot
), decisions AS MATERIALIZED (
    SELECT time, source, destination, action, target, stream_id, sequence,
           replace(substring(source_raw FROM '(?i);(?:x-)?call-id=([^;?>&]+)'), '%%40', '@') AS call_id,
           CASE WHEN destination = 0 THEN coalesce(destination_raw, '') ELSE '' END AS raw,
           floor(extract(epoch FROM time) / %(slot_s)s)::bigint AS slot
    FROM enum_event
    WHERE time >= %(start)s::timestamptz - %(before)s::interval AND time <= %(end)s::timestamptz + %(after)s::interval
), pairs AS (
    SELECT d.stream_id, d.sequence, s.correlation, 1 AS nearness, d.time - s.started AS apart, s.started
    FROM decisions AS d JOIN slotted AS s USING (slot, destination, source, raw) WHERE d.source <> 0
    UNION ALL
    SELECT d.stream_id, d.sequence, s.correlation, 2, d.time - s.started, s.started
    FROM decisions AS d JOIN slotted AS s USING (slot, destination, raw) WHERE d.source = 0 OR s.source = 0
    UNION ALL
    SELECT d.stream_id, d.sequence, s.correlation, 0, d.time - s.started, s.started
    FROM decisions AS d JOIN slotted AS s USING (slot, call_id)
), matched AS MATERIALIZED (
    SELECT DISTINCT ON (stream_id, sequence) stream_id, sequence, correlation, started, nearness
    FROM pairs WHERE apart BETWEEN - %(before)s::interval AND %(after)s::interval
    ORDER BY stream_id, sequence, nearness, greatest(apart, -apart), started, correlation
), arrived AS (
    SELECT DISTINCT correlation, started, destination AS target FROM ends WHERE destination <> 0
), judged AS MATERIALIZED (
    SELECT m.correlation, m.started, d.stream_id, d.sequence, d.time, d.action, m.nearness,
           CASE d.action
               WHEN %(terminate)s THEN CASE WHEN answered OR (rang AND legs > 1) THEN 3 WHEN rang THEN 2 ELSE 1 END
               WHEN %(redirect)s THEN
                   CASE WHEN NOT rang AND NOT answered OR sent_elsewhere OR arrived.target IS NOT NULL THEN 1
                        WHEN legs > 1 THEN 3 ELSE 2 END
               ELSE 1
           END AS verdict
    FROM matched AS m JOIN decisions AS d USING (stream_id, sequence) JOIN calls USING (correlation, started)
    LEFT JOIN arrived USING (correlation, started, target)
), verdicts AS MATERIALIZED (
    SELECT correlation, started, answered, rang, legs, count(judged.action) AS asked,
           CASE WHEN count(judged.action) = 0 THEN 0
                WHEN bool_or(verdict = 1) THEN 1 WHEN bool_and(verdict = 3) THEN 3 ELSE 2 END AS verdict,
           bool_or((judged.stream_id, judged.sequence) = (%(of_stream)s::integer, %(of_sequence)s::bigint)) AS is_asked
    FROM calls LEFT JOIN judged USING (correlation, started)
    WHERE started >= %(start)s AND started < %(end)s AND wanted
      AND (%(correlation)s::bigint IS NULL OR correlation = %(correlation)s)
    GROUP BY correlation, started, answered, rang, legs
), counts AS (
    SELECT coalesce(jsonb_agg(jsonb_build_array(bucket, verdict, calls)), '[]') AS counts FROM (
        SELECT floor(extract(epoch FROM started) / %(bucket_s)s)::bigint AS bucket, verdict, count(*) AS calls
        FROM verdicts GROUP BY bucket, verdict
    ) AS by_bucket
), queries AS (
    SELECT count(*) AS queries, count(*) FILTER (WHERE matched.sequence IS NULL) AS unseen
    FROM decisions LEFT JOIN matched USING (stream_id, sequence)
    WHERE time >= %(start)s AND time < %(end)s
), page AS (
    SELECT * FROM verdicts
    WHERE (%(verdict)s::integer IS NULL OR verdict = %(verdict)s)
      AND (%(of_stream)s::integer IS NULL OR is_asked)
      AND (%(place_time)s::timestamptz IS NULL OR (started, correlation) < (%(place_time)s, %(place)s::bigint))
    ORDER BY started DESC, correlation DESC LIMIT %(limit)s
), page_decisions AS (
    SELECT correlation, started, jsonb_agg(jsonb_build_array(time, stream_id, sequence, nearness, judged.verdict)
                                           ORDER BY time, stream_id, sequence) AS decisions
    FROM page JOIN judged USING (correlation, started) GROUP BY correlation, started
), page_legs AS (
    SELECT correlation, started, jsonb_agg(jsonb_build_array(time, stream_id, sequence)
                                           ORDER BY time, stream_id, sequence) AS own_legs
    FROM page JOIN legs USING (correlation, started) GROUP BY correlation, started
), listed AS (
    SELECT correlation, started, verdict, legs, answered, rang, decisions, own_legs
    FROM page LEFT JOIN page_decisions USING (correlation, started) LEFT JOIN page_legs USING (correlation, started)
)
SELECT counts, queries, unseen, correlation, started, verdict, legs, answered, rang, decisions, own_legs
FROM counts CROSS JOIN queries LEFT JOIN listed ON true
ORDER BY started DESC, correlation DESC
"""


# What the statement reads of either event table: days that are archived are brought to it.
COLUMNS = {
    "sip_event": ("correlation", "time", "source", "destination", "call_id", "answer_ms", "pdd_ms", "result",
                  "stream_id", "sequence", "destination_raw", "device_id"),
    "enum_event": ("time", "source", "destination", "action", "target", "stream_id", "sequence", "source_raw",
                   "destination_raw"),
}  # fmt: skip


def period_of(query: EnforcementQuery) -> tuple[datetime, datetime]:
    """[start, end) of all that the statement reads."""
    reach = query.window.before + query.window.after + LEG_SPREAD
    return query.start - reach, query.end + reach


# What stands between the parts of the statement has no statistics, and is guessed to be a few rows. It never is.
PLANNING = "SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '128MB', true)"
PLANNED = "SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL work_mem TO DEFAULT"


def values_of(
    query: EnforcementQuery, device_id: int | None, digits: int | None, bucket_s: int, limit: int
) -> dict[str, Any]:
    """The statement's parameters."""
    window = query.window
    stream, sequence = query.decision or (None, None)
    return {
        "terminate": int(Action.TERMINATE),
        "redirect": int(Action.REDIRECT),
        "sent_elsewhere": int(CallResult.REDIRECTED),
        "start": query.start,
        "end": query.end,
        "before": window.before,
        "after": window.after,
        "reach": window.before + window.after,
        "spread": LEG_SPREAD,
        "slot_s": window.before_s + window.after_s,
        "bucket_s": bucket_s,
        "device_id": device_id,
        "digits": digits,
        "correlation": query.correlation,
        "verdict": None if query.verdict is None else int(query.verdict),
        "of_stream": stream,
        "of_sequence": sequence,
        "place_time": query.before.time if query.before else None,
        "place": query.before.correlation if query.before else None,
        "limit": limit,
    }
