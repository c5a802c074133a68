"""What would change, counted column by column, against a plain reading of the same calls."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.policy import difference as module
from ringfence.policy.difference import KINDS, SAMPLES, Difference
from ringfence.vocabulary import Action

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
decision = st.tuples(st.sampled_from([0, 1, 2, 3]), st.integers(0, 3), st.integers(0, 2), st.lists(st.integers(1, 4)))
call = st.tuples(
    st.integers(0, 7200), st.integers(0, 4), st.sampled_from([0, 3]), st.integers(1, 6), decision, decision
)


def batches(calls: list[Any]) -> tuple[pa.RecordBatch, pa.RecordBatch, pa.RecordBatch]:
    count = len(calls)
    seconds, source, source_class, destination, before, after = zip(*calls, strict=True)
    recorded = pa.record_batch(
        {
            "time": pa.array([NOON + timedelta(seconds=s) for s in seconds], TIME),
            "device_id": pa.array([1] * count, pa.int16()),
            "source": pa.array(source, pa.int64()),
            "destination": pa.array(destination, pa.int64()),
            "source_class": pa.array(source_class, pa.int16()),
            "destination_class": pa.array([1] * count, pa.int16()),
            "source_raw": pa.nulls(count, pa.utf8()),
            "destination_raw": pa.nulls(count, pa.utf8()),
            "direction": pa.array([2] * count, pa.int16()),
            "stream_id": pa.array([1] * count, pa.int32()),
            "sequence": pa.array(range(count), pa.int64()),
            "policy_version": pa.array([d[1] for d in before], pa.int32()),
        }
    )
    return recorded, decisions(before), decisions(after)


def decisions(rows: Any) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "action": pa.array([row[0] for row in rows], pa.int16()),
            "rule_id": pa.array([row[1] for row in rows], pa.int32()),
            "target": pa.array([row[2] for row in rows], pa.int64()),
            "monitored": pa.array([row[3] or None for row in rows], pa.list_(pa.int32())),
        }
    )


def plain_kind(before: Any, after: Any) -> str:
    (was, _, target_was, _), (would, _, target_would, _) = before, after
    if would == Action.TERMINATE:
        return "same" if was == Action.TERMINATE else "newly_blocked"
    if would == Action.REDIRECT and was == Action.REDIRECT:
        return "same" if target_was == target_would else "changed_target"
    if would == Action.REDIRECT:
        return "newly_redirected"
    return "newly_allowed" if was in (Action.TERMINATE, Action.REDIRECT) else "same"


@settings(max_examples=60, deadline=None)
@given(st.lists(call, min_size=1, max_size=60), st.integers(1, 59))
def test_counts_are_those_of_a_plain_reading(calls: list[Any], cut: int) -> None:
    found = Difference(600_000_000)
    for part in (calls[:cut], calls[cut:]):
        if part:
            found.add(*batches(part))
    kinds = [plain_kind(before, after) for *_, before, after in calls]
    expected = Counter(kinds)
    assert found.calls == len(calls)
    assert found.kinds() == {kind: expected[kind] for kind in KINDS[1:]}
    assert found.versions() == dict(sorted(Counter(before[1] for *_, before, _ in calls).items()))
    time = found.over_time()
    assert {word: sum(calls) for word, calls in time["after"].items()} == {
        action.word: sum(after[0] == action for *_, after in calls) for action in Action
    }
    for place, start in enumerate(time["buckets"]):
        begin = datetime.fromisoformat(start)
        inside = [c for c in calls if begin <= NOON + timedelta(seconds=c[0]) < begin + timedelta(seconds=600)]
        assert sum(time["before"][action.word][place] for action in Action) == len(inside) > 0
    for rule, counted in found.rules().items():
        assert counted["before"] == sum(before[1] == rule for *_, before, _ in calls)
        assert counted["after"] == sum(after[1] == rule for *_, after in calls)
        assert counted["monitored"] == sum(after[3].count(rule) for *_, after in calls)
    changed = [c for c, kind in zip(calls, kinds, strict=True) if kind != "same"]
    assert {row["number"]: row["calls"] for row in found.top()["destination"]} == {
        f"+{number}": count for number, count in Counter(c[3] for c in changed).items()
    }
    assert sum(row["calls"] for row in found.top()["source"]) == len(changed)
    assert {kind: len(rows) for kind, rows in found.samples().items()} == {
        kind: min(count, SAMPLES) for kind, count in expected.items() if kind != "same"
    }


def test_samples_are_the_newest_whatever_the_order_of_the_calls() -> None:
    blocked: Any = ((1, 0, 0, []), (2, 1, 0, []))
    calls: list[Any] = [(second, 7, 1, 5, *blocked) for second in range(0, 7200, 60)]
    Random(1).shuffle(calls)
    found = Difference(600_000_000)
    for start in range(0, len(calls), 25):
        found.add(*batches(calls[start : start + 25]))
    seconds = [(row["time"] - NOON).total_seconds() for row in found.samples()["newly_blocked"]]
    assert seconds == sorted((call[0] for call in calls), reverse=True)[:SAMPLES]


def test_a_caller_without_number_is_counted_by_its_class() -> None:
    found = Difference(60_000_000)
    found.add(*batches([(0, 0, 3, 5, (1, 0, 0, []), (2, 1, 0, []))]))
    assert [row["number"] for row in found.top()["source"]] == ["anonymous"]


def test_memory_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NUMBERS", 50)
    monkeypatch.setattr(module, "_PENDING", 100)
    found = Difference(60_000_000)
    for start in range(1, 401, 100):
        calls: list[Any] = [(0, 7, 1, number, (1, 0, 0, []), (2, 1, 0, [])) for number in range(start, start + 100)]
        found.add(*batches(calls))
    assert found.is_approximate
    assert found.top()["source"][0] | {"newly_blocked": 0} == {
        "number": "+7", "calls": 400, "newly_blocked": 0, "newly_redirected": 0, "changed_target": 0, "newly_allowed": 0
    }  # fmt: skip
