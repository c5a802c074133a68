"""Closed hours → what no batch can add up: the busiest second of all devices together, and the most frequent numbers.

Beside these calls by value (countries, codes, rules …), packed, of each device and of all together.

The leader makes these of hours that are over; a late batch makes an hour's total differ from the one that it was made
of, so it is made again, and until then analytics counts the hour's calls instead. Nothing has to be marked, so nothing
can be forgotten, whatever commits when.
"""

from __future__ import annotations

import sys
from array import array
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ringfence.database.connection import Database
from ringfence.vocabulary import Dataset, Part

ALL_DEVICES = 0
# Numbers that are kept of an hour and device: as many as a top view may ask for.
KEPT_NUMBERS = 1000
# An hour is over this long after its end: what is under way to us then need not make it twice.
SETTLED_AFTER = timedelta(minutes=2)
# Hours at one go, a second or two each in a busy network: the leader's other work waits for it. The newest come first.
HOURS_AT_ONCE = 2
# Hours that changed longer ago than events are kept for are left as they are.
LOOK_BACK = timedelta(days=400)

SIDES = {1: ("source",), 2: ("destination",), 3: ("source", "destination")}
TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}

# Newest first. An hour whose total shrank (its calls were dropped by age) is left as it is.
_STALE = """
SELECT dataset, hour FROM (
    SELECT dataset, hour, sum(calls) AS calls FROM hour_total WHERE hour >= %(oldest)s AND hour < %(newest)s
    GROUP BY dataset, hour
) AS total
LEFT JOIN (SELECT dataset, hour, calls AS known FROM hour_peak WHERE device_id = 0) AS made USING (dataset, hour)
WHERE known IS DISTINCT FROM calls AND dataset = ANY(%(datasets)s)
ORDER BY hour DESC, dataset LIMIT %(limit)s
"""
_TOTALS = "SELECT device_id, calls FROM hour_total WHERE dataset = %s AND hour = %s"
_STORED = """
SELECT count(*) FROM {table} WHERE time >= %(hour)s AND time < %(hour)s::timestamptz + interval '1 hour'
"""
_PEAKS = """
INSERT INTO hour_peak (device_id, dataset, hour, calls, peaks)
SELECT 0, %(dataset)s, %(hour)s, %(calls)s, ARRAY(
    SELECT coalesce(max(calls), 0)::integer
    FROM generate_series(%(hour)s::timestamptz, %(hour)s::timestamptz + interval '59 minutes', interval '1 minute')
         AS minute
    LEFT JOIN (
        SELECT minute, place, sum(of_second.calls) AS calls
        FROM call_second, unnest(call_second.calls) WITH ORDINALITY AS of_second (calls, place)
        WHERE dataset = %(dataset)s AND minute >= %(hour)s AND minute < %(hour)s::timestamptz + interval '1 hour'
        GROUP BY minute, place
    ) AS seconds USING (minute) GROUP BY minute ORDER BY minute)
ON CONFLICT (device_id, dataset, hour) DO UPDATE SET calls = excluded.calls, peaks = excluded.peaks
"""
# A part that the hour has no value of has an empty row. What is read of distributed tables is read first: Citus adds up
# by several groupings only what it has already.
_PARTS = """
WITH of_devices AS MATERIALIZED (
    SELECT hour, device_id, calls FROM hour_total WHERE dataset = %(dataset)s AND hour >= %(hour)s AND hour < %(until)s
), values_of_devices AS MATERIALIZED (
    SELECT hour, device_id, part, direction, value, calls FROM part_hour
    WHERE dataset = %(dataset)s AND hour >= %(hour)s AND hour < %(until)s AND part = ANY(%(parts)s::smallint[])
)
INSERT INTO hour_part (hour, calls, device_id, dataset, part, directions, texts, counts)
SELECT hour, now.calls, device_id, %(dataset)s, part,
       coalesce(array_agg(direction ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(value ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(found.calls ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}')
FROM (
    SELECT hour, coalesce(device_id, 0)::smallint AS device_id, sum(calls)::bigint AS calls FROM of_devices
    GROUP BY GROUPING SETS ((hour, device_id), (hour))
) AS now
CROSS JOIN unnest(%(parts)s::smallint[]) AS part
LEFT JOIN (
    SELECT hour, coalesce(device_id, 0)::smallint AS device_id, part, direction, value, sum(calls)::bigint AS calls
    FROM values_of_devices
    GROUP BY GROUPING SETS ((hour, device_id, part, direction, value), (hour, part, direction, value))
) AS found USING (hour, device_id, part)
GROUP BY hour, device_id, part, now.calls
ON CONFLICT (device_id, dataset, part, hour) DO UPDATE
SET calls = excluded.calls, directions = excluded.directions, texts = excluded.texts, counts = excluded.counts
"""
# The word of a class that has neither number nor text is what people see (`analytics.words`).
_TEXT = """CASE WHEN {side} = 0 THEN coalesce({side}_raw, (ARRAY['absent', 'number', 'extension', 'anonymous',
           'invalid', 'emergency', 'short_code'])[{side}_class + 1], {side}_class::text) END AS {side}_text"""
_TOP = """
WITH of_devices AS MATERIALIZED (
    SELECT device_id, {keys}, count(*) AS calls
    FROM (SELECT device_id, {columns} FROM {table}
          WHERE time >= %(hour)s AND time < %(hour)s::timestamptz + interval '1 hour') AS calls
    GROUP BY device_id, {keys}
), counted AS (
    SELECT coalesce(device_id, 0) AS device_id, {keys}, sum(calls)::bigint AS calls FROM of_devices
    GROUP BY GROUPING SETS ((device_id, {keys}), ({keys}))
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY device_id ORDER BY calls DESC, {keys}) AS rank FROM counted
)
SELECT device_id, calls, {keys} FROM ranked WHERE rank <= %(kept)s + 1 ORDER BY device_id, rank
"""
_KEEP_TOP = """
INSERT INTO hour_top (device_id, dataset, side, hour, calls, most_left, numbers, others, counts, texts)
VALUES (%(device_id)s, %(dataset)s, %(side)s, %(hour)s, %(calls)s, %(most_left)s, %(numbers)s, %(others)s, %(counts)s,
        %(texts)s)
ON CONFLICT (device_id, dataset, side, hour) DO UPDATE
SET calls = excluded.calls, most_left = excluded.most_left, numbers = excluded.numbers, others = excluded.others,
    counts = excluded.counts, texts = excluded.texts
"""


def side_columns(side: str) -> tuple[str, str]:
    """(select list, key columns) of a side as it is told apart: its number, or the text that stands for it."""
    return f"{side}, {_TEXT.format(side=side)}", f"{side}, {side}_text"


def close_hours(database: Database, now: datetime, limit: int = HOURS_AT_ONCE) -> int:
    """Make what is missing or stale of hours that are over; how many there were. For the leader."""
    newest = (now - SETTLED_AFTER).replace(minute=0, second=0, microsecond=0)
    values = {"oldest": newest - LOOK_BACK, "newest": newest, "limit": limit, "datasets": [int(d) for d in Dataset]}
    with database.connection() as connection:
        stale = connection.execute(_STALE, values).fetchall()
    for dataset, hour in stale:
        with database.connection() as connection:
            # Totals, seconds and calls must be of one state, or an hour could pass for made of calls it has not seen.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            close_hour(connection, Dataset(dataset), hour)
    return len(stale)


def close_hour(connection: psycopg.Connection[Any], dataset: Dataset, hour: datetime) -> None:
    """Make one hour anew; the caller commits."""
    totals = dict(connection.execute(_TOTALS, (int(dataset), hour)).fetchall())
    totals[ALL_DEVICES] = sum(totals.values())
    values = {"dataset": int(dataset), "hour": hour, "kept": KEPT_NUMBERS}
    connection.execute(_PEAKS, {**values, "calls": totals[ALL_DEVICES]})
    keep_parts(connection, dataset, hour, hour + timedelta(hours=1))
    stored = connection.execute(_STORED.format(table=TABLES[dataset]).encode(), values).fetchone()
    if stored is None or stored[0] != totals[ALL_DEVICES]:
        return  # calls of it were dropped by age: what was made of them stays
    for side, columns in SIDES.items():
        selects, keys = zip(*(side_columns(column) for column in columns), strict=True)
        statement = _TOP.format(columns=", ".join(selects), keys=", ".join(keys), table=TABLES[dataset])
        found: dict[int, list[tuple[Any, ...]]] = {}
        for device_id, *row in connection.execute(statement.encode(), values):
            found.setdefault(device_id, []).append(tuple(row))
        for device_id, rows in found.items():
            packed = _packed(rows)
            connection.execute(
                _KEEP_TOP, {**values, **packed, "side": side, "device_id": device_id, "calls": totals.get(device_id, 0)}
            )


def keep_parts(connection: psycopg.Connection[Any], dataset: Dataset, hour: datetime, until: datetime) -> None:
    """Pack calls by value of the hours from `hour` to `until`; the caller commits."""
    parts = [int(part) for part in Part]
    connection.execute(_PARTS, {"dataset": int(dataset), "hour": hour, "until": until, "parts": parts})


def _packed(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Rows (calls, number, text[, number, text]) in order → the columns of `hour_top`."""
    kept = rows[:KEPT_NUMBERS]
    texts: dict[str, int] = {}

    def as_number(number: int, text: str | None) -> int:
        return number or -1 - texts.setdefault(text or "", len(texts))

    numbers = array("q", (as_number(row[1], row[2]) for row in kept))
    others = array("q", (as_number(row[3], row[4]) for row in kept)) if len(rows[0]) > 3 else None
    counts = array("i", (row[0] for row in kept))
    for column in (numbers, others, counts):
        if column is not None and sys.byteorder == "big":
            column.byteswap()
    return {
        "most_left": rows[KEPT_NUMBERS][0] if len(rows) > KEPT_NUMBERS else 0,
        "numbers": numbers.tobytes(),
        "others": None if others is None else others.tobytes(),
        "counts": counts.tobytes(),
        "texts": list(texts),
    }
