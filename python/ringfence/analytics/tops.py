"""Who calls and is called most: top sources, destinations and pairs of each bucket, exact.

Of closed hours the thousand most frequent numbers are kept (`mediation.ingest.closing`), and the most calls that any
other number has. `top_lists` adds them up and says what that proves:

    all of it           the lists answer
    who is in it        what some numbers called in hours whose lists lack them is counted from the calls
    nothing             the bucket is counted from the calls alone, as is a question with a filter but device and site

What no list covers is counted from the calls and added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ringfence.analytics.buckets import Buckets
from ringfence.analytics.counting import SLOT, raw_conditions, read_calls, read_calls_together
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.spans import HOUR, connected, gaps_between, joined, piece, whole_hours
from ringfence.analytics.top_lists import KeptList, Key, Numbers, Open, Sums, Texts, ranked

_SIDES = {("source",): 1, ("destination",): 2, ("source", "destination"): 3}
# What stands for a side: `+` and its number, else the raw text, else the word of its class.
_SHOWN = """(CASE WHEN {side} <> 0 THEN '+' || {side} ELSE coalesce({side}_raw, (ARRAY['absent', 'number', 'extension',
     'anonymous', 'invalid', 'emergency', 'short_code'])[{side}_class + 1], {side}_class::text) END) COLLATE "C" """
_TOP = """
SELECT slot, calls, {keys} FROM (
    SELECT *, row_number() OVER (PARTITION BY slot ORDER BY calls DESC, {keys}) AS rank FROM (
        SELECT {slot} AS slot, {shown}, count(*) AS calls
        FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY slot, {keys}
    ) AS counted
) AS ranked WHERE rank <= %(limit)s ORDER BY slot, rank
"""
_ALL = """
SELECT {slot} AS slot, {shown}, count(*) AS calls
FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY slot, {keys}
"""
# Of an hour of UTC, only of these numbers.
_SOME = """
SELECT date_trunc('hour', time) AS hour, {shown}, count(*) AS calls
FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions} GROUP BY hour, {keys}
"""
# Lists of hours that have as many calls now as when they were made.
_LISTS = """
SELECT hour, most_left, numbers, others, counts, texts
FROM hour_top JOIN (
    SELECT hour, CASE WHEN %(together)s THEN 0 ELSE device_id END AS device_id, sum(calls) AS calls
    FROM hour_total WHERE dataset = %(dataset)s AND hour >= %(start)s AND hour < %(end)s
      AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s)) GROUP BY 1, 2
) AS now USING (hour, device_id, calls)
WHERE dataset = %(dataset)s AND side = %(side)s AND hour >= %(start)s AND hour < %(end)s
"""
_EXPECTED = """
SELECT hour, count(*) FROM hour_total WHERE dataset = %(dataset)s AND hour >= %(start)s AND hour < %(end)s
  AND (%(devices)s::smallint[] IS NULL OR device_id = ANY(%(devices)s)) GROUP BY hour
"""


# More runs of time than this are not asked for one by one: those that are nearest to each other are asked for at once.
_MOST_ASKED = 40
# More parts of the period than this are not counted beside lists: then all is counted from the calls anyway.
_MOST_GAPS = 200


def by_calls(*sides: str) -> Callable[[Asked], list[Row]]:
    """A view with a row (bucket, rank, number of each side, calls); a bucket without a call has none."""

    def fetch(asked: Asked) -> list[Row]:
        raw_conditions(asked)  # refuses a filter that the dataset does not have
        found: dict[int, list[tuple[int, Key]]] = {}
        is_kept = not asked.query.filter.given - {"site"} and asked.query.grouping not in (
            "second",
            "minute",
            "15_minutes",
        )
        unproved = set(range(len(asked.buckets.keys)))
        if is_kept:
            found = _from_lists(asked, sides)
            unproved -= set(found)
        found |= _from_calls(asked, sides, unproved)
        return [
            (asked.buckets.keys[slot], rank, *key, calls)
            for slot in sorted(found)
            for rank, (calls, key) in enumerate(found[slot], start=1)
        ]

    return fetch


def _from_calls(asked: Asked, sides: Sequence[str], slots: set[int]) -> dict[int, list[tuple[int, Key]]]:
    """The top of these slots, counted from the calls; neighbouring buckets at one go."""
    found: dict[int, list[tuple[int, Key]]] = {}
    if not slots:
        return found
    if len(slots) == len(asked.buckets.keys) or any(
        slot in slots and asked.buckets.slots.count(slot) > 1 for slot in slots
    ):
        runs = [(asked.buckets.start, asked.buckets.end)]
    else:
        runs = joined(_runs(asked.buckets, slots), _MOST_ASKED)
    for start, end in runs:
        where, values = raw_conditions(asked)
        statement = _statement(_TOP, asked, sides, where)
        values |= {"start": start, "end": end, "limit": asked.query.limit}
        for slot, calls, *key in read_calls_together(asked, statement, values):
            if slot in slots:
                found.setdefault(slot, []).append((calls, tuple(key)))
    return found


def _runs(buckets: Buckets, slots: set[int]) -> list[tuple[datetime, datetime]]:
    """The time that these slots cover, with pieces that follow each other put together."""
    return connected(piece(buckets, index) for index, slot in enumerate(buckets.slots) if slot in slots)


def _statement(template: str, asked: Asked, sides: Sequence[str], where: str) -> str:
    return template.format(
        slot=SLOT,
        shown=", ".join(f"{_SHOWN.format(side=side)} AS {side}_shown" for side in sides),
        keys=", ".join(f"{side}_shown" for side in sides),
        table=TABLES[asked.query.dataset],
        conditions=where,
    )


def _from_lists(asked: Asked, sides: tuple[str, ...]) -> dict[int, list[tuple[int, Key]]]:
    """The top of each slot that the kept lists prove, where they cover its whole hours; the rest of it from calls."""
    hours = _read_lists(asked, sides)
    gaps = gaps_between(asked.buckets.start, asked.buckets.end, hours)
    if len(gaps) > _MOST_GAPS or not hours:
        return {}
    counted = [row for gap in gaps for row in _count_all(asked, sides, *gap)]
    slots = whole_hours(asked.buckets)
    lists: dict[int, list[KeptList]] = {}
    for hour, ours in hours.items():
        lists.setdefault(slots[hour], []).extend(ours)
    beside = {slot for slot, _, _ in counted}
    # Every part of the period is listed or counted by now: what has neither had no call.
    found: dict[int, list[tuple[int, Key]]] = {
        slot: [] for slot in range(len(asked.buckets.keys)) if not lists.get(slot) and slot not in beside
    }
    for slot, ours in lists.items():
        # The commonest by far: a bucket that is one hour.
        if len(ours) == 1 and slot not in beside and (top := ours[0].top(asked.query.limit)) is not None:
            found[slot] = top
    several = {slot: ours for slot, ours in lists.items() if slot in beside or len(ours) > 1}
    return found | _added_up(asked, sides, Sums(several, counted, len(sides)))


def _read_lists(asked: Asked, sides: tuple[str, ...]) -> dict[datetime, list[KeptList]]:
    """The closed hours that lie wholly in one bucket, with their lists; those without a call have none."""
    values: dict[str, Any] = {
        "dataset": int(asked.query.dataset),
        "side": _SIDES[sides],
        "start": asked.buckets.start,
        "end": asked.buckets.end,
        "devices": asked.devices,
        "together": asked.devices is None,
    }
    whole = {hour for hour in whole_hours(asked.buckets) if hour >= asked.kept.hours}
    expected: dict[datetime, int] = dict(asked.connection.execute(_EXPECTED.encode(), values).fetchall())
    lists: dict[datetime, list[KeptList]] = {}
    with asked.connection.cursor(binary=True) as cursor:
        for hour, *columns in cursor.execute(_LISTS.encode(), values):
            if hour in whole:
                lists.setdefault(hour, []).append(KeptList(hour, *columns))
    wanted = {hour: min(1, count) if asked.devices is None else count for hour, count in expected.items()}
    return {hour: lists.get(hour, []) for hour in whole if len(lists.get(hour, [])) == wanted.get(hour, 0)}


def _count_all(asked: Asked, sides: Sequence[str], start: datetime, end: datetime) -> list[tuple[int, Key, int]]:
    """Every number's calls of a time that no list covers: (slot, what is shown, calls)."""
    where, values = raw_conditions(asked)
    rows = read_calls(asked, _statement(_ALL, asked, sides, where), {**values, "start": start, "end": end})
    return [(slot, tuple(key), calls) for slot, *key, calls in rows]


def _added_up(asked: Asked, sides: Sequence[str], sums: Sums) -> dict[int, list[tuple[int, Key]]]:
    """The top of each slot that the sums prove, with what they leave open counted from the calls."""
    tops = dict(sums.tops(asked.query.limit))
    left_open = [one for top in tops.values() for one in top.open]
    counted = _count_some(asked, sides, left_open, sums.texts) if left_open else {}
    for one in left_open:
        # What the hour's other lists say of it is in what was counted.
        more = sum(counted.get((hour, one.numbers), 0) - said for hour, said in one.hours.items())
        tops[one.slot].calls[one.numbers] += more
    found = {}
    for slot, top in tops.items():
        shown = [(calls, tuple(map(sums.texts.shown, numbers[: len(sides)]))) for numbers, calls in top.calls.items()]
        found[slot] = ranked(((calls, key) for calls, key in shown if calls), asked.query.limit)
    return {slot: top for slot, top in found.items() if top}


def _count_some(
    asked: Asked, sides: Sequence[str], wanted: Sequence[Open], texts: Texts
) -> dict[tuple[datetime, Numbers], int]:
    """(hour, number) → calls, of the hours in which the lists left these numbers out, all at one go."""
    hours = sorted({hour for one in wanted for hour in one.hours})
    where, values = raw_conditions(asked)
    values |= {"start": hours[0], "end": hours[-1] + HOUR}
    runs: list[str] = []
    # What lies between has its own lists; both engines pass over days and row groups of other times.
    for place, (begin, end) in enumerate(connected((hour, hour + HOUR) for hour in hours)):
        values |= {f"begin_{place}": begin, f"end_{place}": end}
        runs.append(f"time >= %(begin_{place})s AND time < %(end_{place})s")
    where += f" AND ({' OR '.join(runs)})"
    shown = []
    for place, side in enumerate(sides):
        of_side = {one.numbers[place] for one in wanted}
        values[f"of_{side}"] = [number for number in of_side if number > 0]
        if any(number < 0 for number in of_side):
            where += f" AND ({side} = ANY(%(of_{side})s::bigint[]) OR {side} = 0)"
            shown.append(f"{_SHOWN.format(side=side)} AS {side}_shown")
        else:
            where += f" AND {side} = ANY(%(of_{side})s::bigint[])"
            shown.append(f"{side} AS {side}_shown")
    statement = _SOME.format(
        shown=", ".join(shown),
        keys=", ".join(f"{side}_shown" for side in sides),
        table=TABLES[asked.query.dataset],
        conditions=where,
    )
    found: dict[tuple[datetime, Numbers], int] = {}
    for hour, *key, calls in read_calls(asked, statement, values):
        one, other = (*(texts.number_of(side) if isinstance(side, str) else side for side in key), 0)[:2]
        found[hour, (one, other)] = found.get((hour, (one, other)), 0) + calls
    return found
