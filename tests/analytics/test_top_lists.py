"""Kept lists, cut short: what they prove is what a plain count says, and what they leave open is said to be open."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analytics import test_agreement
from tests.analytics.plain import key_of, per_bucket
from tests.analytics.test_agreement import FALL_BACK, NOW, World, assert_top, busy, world

from ringfence.analytics import tops
from ringfence.analytics.filters import EventFilter
from ringfence.analytics.top_lists import KeptList, Key, Sums, ranked
from ringfence.mediation.ingest import closing
from ringfence.vocabulary import Dataset

__all__ = ["busy", "world"]

NIGHT = datetime(2026, 11, 1, tzinfo=UTC)
NUMBERS = ("+1", "+22", "+333", "911", "anonymous", "+4", "+55", "+666")
Calls = dict[tuple[int, int], Counter[Key]]  # (hour, device) → calls


def kept_list(hour: int, calls: Counter[Key], kept: int) -> KeptList:
    """As the leader packs it."""
    rows = sorted(calls.items(), key=lambda row: (-row[1], [_number(text) for text in row[0]], row[0]))
    texts: list[str] = []

    def packed(text: str) -> int:
        if text.startswith("+"):
            return int(text[1:])
        if text not in texts:
            texts.append(text)
        return -1 - texts.index(text)

    columns = [array("q", (packed(key[place]) for key, _ in rows[:kept])).tobytes() for place in range(len(rows[0][0]))]
    counts = array("i", (count for _, count in rows[:kept])).tobytes()
    left = rows[kept][1] if len(rows) > kept else 0
    return KeptList(NIGHT + timedelta(hours=hour), left, columns[0], columns[1] if columns[1:] else None, counts, texts)


def _number(text: str) -> int:
    return int(text[1:]) if text.startswith("+") else 0


def drawn(randomness: random.Random, sides: int) -> Calls:
    """Calls of three hours and two devices; few numbers call often."""
    found: Calls = {}
    for hour in range(3):
        for device in range(2):
            keys = [tuple(randomness.choice(NUMBERS) for _ in range(sides)) for _ in range(randomness.randrange(12))]
            found[hour, device] = Counter(keys + [keys[0]] * randomness.randrange(6) if keys else [])
    return found


@given(seed=st.integers(0, 10**6), sides=st.integers(1, 2), kept=st.integers(1, 4), limit=st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_what_lists_prove_is_a_plain_count(seed: int, sides: int, kept: int, limit: int) -> None:
    randomness = random.Random(seed)
    calls = drawn(randomness, sides)
    slots = [randomness.randrange(2) for _ in range(3)]  # of each hour
    beside = drawn(randomness, sides)[0, 0] if randomness.random() < 0.5 else Counter()
    lists: dict[int, list[KeptList]] = {}
    expected = {0: Counter(beside), 1: Counter()}
    for (hour, _), of_hour in calls.items():
        expected[slots[hour]] += of_hour
        if of_hour:
            lists.setdefault(slots[hour], []).append(kept_list(hour, of_hour, kept))
    sums = Sums(lists, [(0, key, count) for key, count in beside.items()], sides)
    for slot, top in sums.tops(limit):
        for one in top.open:
            for moment, said in one.hours.items():
                key = tuple(map(sums.texts.shown, one.numbers[:sides]))
                place = (moment - NIGHT) // timedelta(hours=1)
                top.calls[one.numbers] += sum(calls[place, device][key] for device in range(2)) - said
        shown = [(n, tuple(map(sums.texts.shown, numbers[:sides]))) for numbers, n in top.calls.items() if n]
        assert ranked(shown, limit) == ranked(((n, key) for key, n in expected[slot].items()), limit)


@given(seed=st.integers(0, 10**6), kept=st.integers(1, 6), limit=st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_one_list_alone_is_a_plain_count_or_says_nothing(seed: int, kept: int, limit: int) -> None:
    calls = drawn(random.Random(seed), 2)[0, 0]
    if not calls:
        return
    one = kept_list(0, calls, kept)
    expected = ranked(((count, key) for key, count in calls.items()), limit)
    found = one.top(limit)
    if found is None:
        assert one.most_left
        assert len(calls) > kept
        assert kept < limit or one.most_left == expected[-1][0]
    else:
        assert found == expected


def test_tops_of_lists_that_are_cut_equal_a_plain_count(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # One number calls so often in one hour that no list's rest can reach it, and is cut from lists of other hours.
    monkeypatch.setattr(test_agreement, "NUMBERS", ("+12105550100",) * 40 + test_agreement.NUMBERS)
    for device in ("enum-1", "probe-1"):
        busy.add(random.Random(1), device, 200, FALL_BACK - timedelta(hours=3), timedelta(hours=1))
    monkeypatch.setattr(closing, "KEPT_NUMBERS", 2)
    while closing.close_hours(busy.database, NOW, 200):
        pass
    count_some = Mock(wraps=tops._count_some)
    monkeypatch.setattr(tops, "_count_some", count_some)
    start = FALL_BACK - timedelta(minutes=1471)
    period = {"start": start, "end": FALL_BACK + timedelta(minutes=1507), "zone": "America/Chicago"}
    for dataset, device in ((Dataset.ENUM, "enum-1"), (Dataset.SIP, "probe-1")):
        for grouping in ("hour", "day", "hour_of_week", "period"):
            for of_device, wanted in ((None, EventFilter()), (device, EventFilter()), (None, EventFilter(site="hq"))):
                calls = busy.matching(dataset, wanted, of_device)
                calls = [call for call in calls if start <= call["time"] < period["end"]]
                buckets = per_bucket(calls, lambda time, g=grouping: key_of(time, g, "America/Chicago", start))  # type: ignore[misc]
                for view, sides in (("top_source", ["source"]), ("top_pair", ["source", "destination"])):
                    for limit in (1, 5):
                        rows = busy.ask(dataset, view, grouping, device=of_device, filter=wanted, limit=limit, **period)
                        if limit == 5:
                            assert_top(rows, buckets, sides)
                        else:
                            assert {row[0]: row[-1] for row in rows} == {
                                key: max(Counter(tuple(_shown(e, side) for side in sides) for e in events).values())
                                for key, events in buckets.items()
                            }
    assert count_some.called, "no list left a number open: the test does not test"


def _shown(event: Mapping[str, Any], side: str) -> str:
    return f"+{event[side]}" if event[side] else event[f"{side}_raw"]
