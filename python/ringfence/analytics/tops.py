"""Who calls and is called most: top sources, destinations and pairs of each bucket, exact.

Of closed hours the thousand most frequent numbers are kept (`mediation.ingest.closing`), and the most calls that any
other number has. Adding lists up is exact where it can be proved: a number that is missing from some list may have had
at most what that list left out. With L the N-th highest sum:

    proved, when no number that is missing from a list can reach L, and all lists together leave out less than L

What no list covers is counted from the calls and added. A bucket that is not proved, and any question with a filter but
device and site, is counted from the calls alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ringfence.analytics.buckets import Buckets
from ringfence.analytics.counting import SLOT, raw_conditions, read_calls, read_calls_together
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.spans import HOUR

compute: Any = pc
Key: TypeAlias = tuple[str, ...]

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


@dataclass(frozen=True)
class _Lists:
    """Numbers of closed hours, a row for each number of each list: its slot, key, calls, and what its list left out."""

    rows: pa.Table
    left: dict[int, int]  # slot → what all its lists left out at most, added up


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
        runs = _runs(asked.buckets, slots)
    if len(runs) > _MOST_ASKED:
        runs = [(runs[0][0], runs[-1][1])]
    for start, end in runs:
        where, values = raw_conditions(asked)
        statement = _statement(_TOP, asked, sides, where)
        values |= {"start": start, "end": end, "limit": asked.query.limit}
        for slot, calls, *key in read_calls_together(asked, statement, values):
            if slot in slots:
                found.setdefault(slot, []).append((calls, tuple(key)))
    return found


def _runs(buckets: Buckets, slots: set[int]) -> list[tuple[datetime, datetime]]:
    """The time of these slots, each run of neighbours once."""
    runs: list[tuple[datetime, datetime]] = []
    for index, slot in enumerate(buckets.slots):
        if slot not in slots:
            continue
        begin, end = _piece(buckets, index)
        if runs and runs[-1][1] == begin:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    return runs


def _piece(buckets: Buckets, index: int) -> tuple[datetime, datetime]:
    following = buckets.bounds[index + 1] if index + 1 < len(buckets.bounds) else buckets.end
    return max(buckets.bounds[index], buckets.start), min(following, buckets.end)


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
    hours, lists = _read_lists(asked, sides)
    counted = _rest(asked, sides, hours)
    if counted is None:
        return {}
    return _proved(lists, counted, asked)


def _read_lists(asked: Asked, sides: tuple[str, ...]) -> tuple[dict[datetime, int], _Lists]:
    """The closed hours that lie wholly in one bucket, with their slots; and their lists."""
    values: dict[str, Any] = {
        "dataset": int(asked.query.dataset),
        "side": _SIDES[sides],
        "start": asked.buckets.start,
        "end": asked.buckets.end,
        "devices": asked.devices,
        "together": asked.devices is None,
    }
    slots = {hour: slot for hour, slot in _whole_hours(asked.buckets).items() if hour >= asked.kept.hours}
    expected: dict[datetime, int] = dict(asked.connection.execute(_EXPECTED.encode(), values).fetchall())
    lists: dict[datetime, list[Row]] = {}
    with asked.connection.cursor(binary=True) as cursor:
        for hour, *row in cursor.execute(_LISTS.encode(), values):
            if hour in slots:
                lists.setdefault(hour, []).append(tuple(row))
    hours = {
        hour: slot
        for hour, slot in slots.items()
        if len(lists.get(hour, []))
        == (min(1, expected.get(hour, 0)) if asked.devices is None else expected.get(hour, 0))
    }
    tables: list[pa.Table] = []
    left: dict[int, int] = {}
    for hour, slot in hours.items():
        for most_left, *columns in lists.get(hour, []):
            left[slot] = left.get(slot, 0) + most_left
            tables.append(_list_table(slot, most_left, *columns))
    rows = pa.concat_tables(tables) if tables else _list_table(0, 0, b"", b"", b"", [])
    return hours, _Lists(rows, left)


def _list_table(
    slot: int, most_left: int, numbers: bytes, others: bytes | None, counts: bytes, texts: list[str]
) -> pa.Table:
    size = len(counts) // 4
    key = _shown(numbers, texts, size)
    other = pa.repeat(pa.scalar(""), size) if others is None else _shown(others, texts, size)
    calls = pa.Array.from_buffers(pa.int32(), size, [None, pa.py_buffer(counts)]).cast(pa.int64())
    return pa.table(
        {
            "slot": pa.repeat(pa.scalar(slot, pa.int32()), size),
            "key": key,
            "other": other,
            "calls": calls,
            "left": pa.repeat(pa.scalar(most_left, pa.int64()), size),
        }
    )


def _shown(numbers: bytes, texts: list[str], size: int) -> pa.Array[Any]:
    """Packed numbers as they are shown: a number's digits (the plus comes last of all), or `=` and the text."""
    packed = pa.Array.from_buffers(pa.int64(), size, [None, pa.py_buffer(numbers)])
    shown = packed.cast(pa.utf8())
    if not texts:
        return shown
    place = compute.subtract(pa.scalar(-1, pa.int64()), packed)
    is_text = compute.less(packed, pa.scalar(0, pa.int64()))
    words = pa.array([f"={text}" for text in texts], pa.utf8())
    return compute.if_else(is_text, words.take(compute.if_else(is_text, place, pa.scalar(0, pa.int64()))), shown)  # type: ignore[no-any-return]


def _whole_hours(buckets: Buckets) -> dict[datetime, int]:
    """Hours of UTC that lie wholly in one bucket → its slot."""
    found: dict[datetime, int] = {}
    for index, slot in enumerate(buckets.slots):
        begin, end = _piece(buckets, index)
        hour = begin.replace(minute=0, second=0, microsecond=0)
        hour += HOUR if hour < begin else HOUR * 0
        while hour + HOUR <= end:
            found[hour] = slot
            hour += HOUR
    return found


# More runs of buckets than this take longer one by one, each in the archive too, than all between them at once.
_MOST_ASKED = 24
# More time than this is not put together from calls beside lists: then all is counted from the calls anyway.
_MOST_RUNS = 200


def _rest(asked: Asked, sides: Sequence[str], hours: dict[datetime, int]) -> pa.Table | None:
    """Every number's calls of the time that no list covers; None when that is most of it."""
    gaps: list[tuple[datetime, datetime]] = []
    at = asked.buckets.start
    for hour in [*sorted(hours), None]:
        until = asked.buckets.end if hour is None else hour
        if at < until:
            gaps.append((at, until))
        at = until + HOUR
    if len(gaps) > _MOST_RUNS or not hours:
        return None
    tables = []
    for start, end in gaps:
        where, values = raw_conditions(asked)
        rows = read_calls(asked, _statement(_ALL, asked, sides, where), {**values, "start": start, "end": end})
        tables.append(_counted(rows, len(sides)))
    return pa.concat_tables(tables) if tables else _counted([], len(sides))


def _counted(rows: Sequence[Row], sides: int) -> pa.Table:
    def packed(text: str) -> str:
        return text[1:] if text.startswith("+") and text[1:].isdigit() else f"={text}"

    return pa.table(
        {
            "slot": pa.array([row[0] for row in rows], pa.int32()),
            "key": pa.array([packed(row[1]) for row in rows], pa.utf8()),
            "other": pa.array([packed(row[2]) if sides > 1 else "" for row in rows], pa.utf8()),
            "calls": pa.array([row[-1] for row in rows], pa.int64()),
            "left": pa.array([0] * len(rows), pa.int64()),
        }
    )


def _proved(lists: _Lists, counted: pa.Table, asked: Asked) -> dict[int, list[tuple[int, Key]]]:
    """The top of each slot for which the rule in this file's head holds."""
    sums = (
        pa.concat_tables([lists.rows, counted])
        .group_by(["slot", "key", "other"])
        .aggregate([("calls", "sum"), ("left", "sum")])
        .sort_by("slot")
    )
    found: dict[int, list[tuple[int, Key]]] = {}
    limit = asked.query.limit
    for slot, here in _by_slot(sums):
        left = lists.left.get(slot, 0)
        # What a number may have beyond its sum: what the lists left out that it is not on.
        beyond = compute.subtract(pa.scalar(left, pa.int64()), here.column("left_sum"))
        here = here.append_column("most", compute.add(here.column("calls_sum"), beyond))
        candidates = here.take(
            compute.select_k_unstable(here, min(here.num_rows, 2 * limit + 50), [("most", "descending")])
        )
        top = _ranked(candidates, limit, left)
        if top is not None and (candidates.num_rows == here.num_rows or _is_below(candidates, top, limit)):
            found[slot] = top
    return {slot: top for slot, top in found.items() if top}


def _by_slot(sums: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each slot that has some; they are in order of slots."""
    runs = compute.run_end_encode(sums.column("slot").combine_chunks())
    start = 0
    for slot, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield slot, sums.slice(start, end - start)
        start = end


def _is_below(candidates: pa.Table, top: list[tuple[int, Key]], limit: int) -> bool:
    """Whether what is not among the candidates cannot reach the top: the lowest candidate bounds it."""
    lowest = compute.min(candidates.column("most")).as_py()
    return len(top) == limit and lowest is not None and lowest < top[-1][0]


def _ranked(candidates: pa.Table, limit: int, left: int) -> list[tuple[int, Key]] | None:
    """The candidates' top; None unless it is proved."""
    rows = sorted(
        (
            (-calls, _text(key), _text(other) if other else "", most)
            for key, other, calls, most in zip(
                *(candidates.column(name).to_pylist() for name in ("key", "other", "calls_sum", "most")), strict=True
            )
        ),
    )
    top = rows[:limit]
    lowest = -top[-1][0] if len(top) == limit else 0
    if (left >= lowest and left > 0) or any(most != -calls for calls, _, _, most in top):
        return None
    if any(most >= lowest and most != -calls for calls, _, _, most in rows[limit:]):
        return None
    return [(-calls, (key, other) if other else (key,)) for calls, key, other, _ in top]


def _text(packed: str) -> str:
    return packed[1:] if packed.startswith("=") else f"+{packed}"
