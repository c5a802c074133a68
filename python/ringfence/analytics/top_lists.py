"""Kept lists of the most frequent numbers (`mediation.ingest.closing`): read, added up, and proved.

A list says the calls of each number that is on it, and the most that any other one has (`left`). Added up over hours:

    listed everywhere            its sum is exact
    missing from some lists      its sum, and at most what those lists left out
    missing from all lists       at most what all lists left out

So the top is proved when what is on no list cannot reach it, and every number that might belong to it is listed
everywhere. Those few that are not are counted from the calls of just the hours whose lists lack them (`tops`).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

compute: Any = pc
Key: TypeAlias = tuple[str, ...]

# More numbers than this that might belong to a top are not told apart: then it is counted from the calls.
_MOST_CANDIDATES = 20_000


@dataclass(frozen=True)
class KeptList:
    """One list, as `hour_top` has it."""

    hour: datetime
    most_left: int
    numbers: bytes
    others: bytes | None
    counts: bytes
    texts: list[str]

    def top(self, limit: int) -> list[tuple[int, Key]] | None:
        """Its first `limit` numbers with their calls, as they are shown; None where one that is left out may tie."""
        counts = _integers("i", self.counts)
        least = counts[limit - 1] if len(counts) >= limit else 0
        if self.most_left and self.most_left >= least:
            return None
        # In descending order: with those that tie with the last one.
        size = limit
        while size < len(counts) and counts[size] == least:
            size += 1
        columns = [_integers("q", packed[: 8 * size]) for packed in (self.numbers, self.others) if packed is not None]
        keys = zip(*([self._text(number) for number in column] for column in columns), strict=True)
        return ranked(zip(counts, keys, strict=False), limit)

    def _text(self, number: int) -> str:
        return self.texts[-1 - number] if number < 0 else f"+{number}"


def ranked(rows: Iterable[tuple[int, Key]], limit: int) -> list[tuple[int, Key]]:
    """The first `limit` by calls, then by what is shown."""
    return [(-calls, key) for calls, key in sorted((-calls, key) for calls, key in rows)[:limit]]


@dataclass
class Texts:
    """What stands for a number where there is none, as numbers below zero, alike in all lists."""

    texts: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def number_of(self, text: str) -> int:
        """A text as a number below zero; a shown number as that number."""
        if text.startswith("+") and text[1:].isdigit() and text[1] != "0" and len(text) <= 19:
            return int(text[1:])
        return self._place(text)

    def renumbered(self, packed: pa.Array[Any], texts: list[str]) -> pa.Array[Any]:
        """A list's numbers with its own texts replaced by ours."""
        if not texts:
            return packed
        ours = pa.array([self._place(text) for text in texts], pa.int64())
        is_text = compute.less(packed, pa.scalar(0, pa.int64()))
        place = compute.if_else(is_text, compute.subtract(pa.scalar(-1, pa.int64()), packed), pa.scalar(0, pa.int64()))
        return compute.if_else(is_text, ours.take(place), packed)  # type: ignore[no-any-return]

    def shown(self, number: int) -> str:
        """As people see it."""
        return self.texts[-1 - number] if number < 0 else f"+{number}"

    def _place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = -1 - len(self.texts)
            self.texts.append(text)
        return self._places[text]


Numbers: TypeAlias = tuple[int, int]  # a number, or a pair; the second is 0 of a single one


@dataclass(frozen=True)
class Open:
    """A number that may belong to the top of a slot, and whose calls some lists do not say."""

    slot: int
    numbers: Numbers
    # Hours that some list of does not say, with the calls that the others say.
    hours: dict[datetime, int]


@dataclass
class Top:
    """A slot's candidates with their calls so far."""

    calls: dict[Numbers, int]
    open: list[Open]


class Sums:
    """Lists of many hours, by slot, added up with what was counted beside them."""

    def __init__(self, lists: dict[int, list[KeptList]], counted: Iterable[tuple[int, Key, int]], sides: int) -> None:
        """`counted`: (slot, number of each side as it is shown, calls), exact and beside the hours of the lists."""
        self.texts = Texts()
        self._sides = sides
        self._lists = lists
        self._left = {slot: sum(one.most_left for one in ours) for slot, ours in lists.items()}
        self._rows = pa.concat_tables([self._counted(counted), self._listed()])

    def tops(self, limit: int) -> Iterator[tuple[int, Top]]:
        """Of each slot who may be in its top; of one that is not proved nothing."""
        sums = (
            self._rows.group_by(["slot", "key", "other"]).aggregate([("calls", "sum"), ("left", "sum")]).sort_by("slot")
        )
        for slot, here in _by_slot(sums):
            candidates = self._candidates(here, self._left.get(slot, 0), limit)
            if candidates is not None:
                yield slot, self._top(slot, candidates)

    @staticmethod
    def _candidates(here: pa.Table, left: int, limit: int) -> pa.Table | None:
        """Numbers that may belong to the top; None when one may that is on no list."""
        calls = here.column("calls_sum")
        least = 0
        if here.num_rows >= limit:
            places = compute.select_k_unstable(here, limit, [("calls_sum", "descending")])
            least = compute.min(calls.take(places)).as_py()
        if left and left >= least:
            return None
        missing = compute.subtract(pa.scalar(left, pa.int64()), here.column("left_sum"))
        here = here.append_column("missing", missing)
        here = here.filter(compute.greater_equal(compute.add(calls, missing), pa.scalar(least, pa.int64())))
        return here if here.num_rows <= _MOST_CANDIDATES else None

    def _top(self, slot: int, candidates: pa.Table) -> Top:
        columns = [candidates.column(name).to_pylist() for name in ("key", "other", "calls_sum", "missing")]
        rows = list(zip(*columns, strict=True))
        unsure = [(key, other) for key, other, _, missing in rows if missing]
        return Top({(key, other): calls for key, other, calls, _ in rows}, self._open(slot, unsure))

    def _open(self, slot: int, unsure: list[Numbers]) -> list[Open]:
        """In which hours the lists do not say how often these numbers called."""
        if not unsure:
            return []
        ours = self._lists[slot]
        keys, others = (pa.array(column, pa.int64()) for column in zip(*unsure, strict=True))
        rows = self._rows.filter(compute.is_in(self._rows.column("key"), value_set=keys))
        rows = rows.filter(compute.is_in(rows.column("other"), value_set=others))
        here = rows.filter(compute.equal(rows.column("slot"), pa.scalar(slot, pa.int32())))
        said: dict[Numbers, dict[int, int]] = {numbers: {} for numbers in unsure}
        columns = [here.column(name).to_pylist() for name in ("key", "other", "place", "calls")]
        for key, other, place, calls in zip(*columns, strict=True):
            if (key, other) in said and place is not None:
                said[key, other][place] = calls
        found = []
        for numbers, by_place in said.items():
            hours = {one.hour: 0 for place, one in enumerate(ours) if one.most_left and place not in by_place}
            for place, calls in by_place.items():
                if ours[place].hour in hours:
                    hours[ours[place].hour] += calls
            found.append(Open(slot, numbers, hours))
        return found

    def _listed(self) -> pa.Table:
        """A row for each number of each list; `place` is the list's among those of its slot."""
        lists = [(slot, place, one) for slot, ours in self._lists.items() for place, one in enumerate(ours)]
        sizes = [len(one.counts) // 4 for _, _, one in lists]
        ends = pa.array(list(accumulate(sizes)), pa.int32())

        def of_list(values: list[int], kind: pa.DataType) -> Any:
            return compute.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, pa.array(values, kind)))

        def numbers(packed: Iterable[tuple[bytes, list[str]]]) -> Any:
            return pa.chunked_array([self.texts.renumbered(_array(pa.int64(), one), texts) for one, texts in packed],
                                    pa.int64())  # fmt: skip

        pairs = [(one.others, one.texts) for _, _, one in lists if one.others is not None]
        return _rows_table(
            of_list([slot for slot, _, _ in lists], pa.int32()),
            numbers((one.numbers, one.texts) for _, _, one in lists),
            numbers(pairs) if self._sides > 1 else pa.repeat(pa.scalar(0, pa.int64()), sum(sizes)),
            pa.chunked_array([_array(pa.int32(), one.counts) for _, _, one in lists], pa.int32()).cast(pa.int64()),
            of_list([one.most_left for _, _, one in lists], pa.int64()),
            of_list([place for _, place, _ in lists], pa.int32()),
        )

    def _counted(self, counted: Iterable[tuple[int, Key, int]]) -> pa.Table:
        rows = [(slot, [self.texts.number_of(text) for text in key], calls) for slot, key, calls in counted]
        return _rows_table(
            pa.array([slot for slot, _, _ in rows], pa.int32()),
            pa.array([key[0] for _, key, _ in rows], pa.int64()),
            pa.array([key[1] if self._sides > 1 else 0 for _, key, _ in rows], pa.int64()),
            pa.array([calls for _, _, calls in rows], pa.int64()),
            pa.array([0] * len(rows), pa.int64()),
            pa.array([None] * len(rows), pa.int32()),
        )


def _rows_table(*columns: Any) -> pa.Table:
    return pa.Table.from_arrays(list(columns), ["slot", "key", "other", "calls", "left", "place"])


def _by_slot(sums: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each slot that has some; they are in order of slots."""
    runs = compute.run_end_encode(sums.column("slot").combine_chunks())
    start = 0
    for slot, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield slot, sums.slice(start, end - start)
        start = end


def _array(kind: pa.DataType, packed: bytes) -> pa.Array[Any]:
    """Packed integers as they lie in memory."""
    return pa.Array.from_buffers(kind, 8 * len(packed) // kind.bit_width, [None, pa.py_buffer(packed)])


def _integers(code: str, packed: bytes) -> array[int]:
    """The same in Python, for a few."""
    found = array(code, packed)
    if sys.byteorder == "big":
        found.byteswap()
    return found
