"""A batch of recorded calls is decided as each call alone; what is no batch of calls is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence._native import Policy, Replay
from ringfence.mediation.ingest.rows import arrow_stream
from ringfence.numbering.dial_plan import Site
from ringfence.policy.compile import build_document, canonical_bytes
from ringfence.policy.rules import parse_policy

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = b"""
rules:
  - {name: watch, sources: ["+1210555*"], action: terminate, mode: monitor}
  - {name: many, sources: ["+12105550101"], action: terminate, rate: {limit: 2, window_s: 60, key: source}}
  - {name: bad, destinations: ["list:bad"], action: redirect, target: "+12105550199"}
  - {name: out, sources: ["class:anonymous"], action: terminate, direction: outbound}
lists: {bad: ["+19005550100", "+1900555????"]}
protected: ["988"]
"""
policy = parse_policy(RULES)
ENGINE = Policy(
    canonical_bytes(build_document(policy, Site("main", "US"), 1, {r.name: n for n, r in enumerate(policy.rules, 1)}))
)
call = st.tuples(
    st.integers(0, 30),
    st.sampled_from([1, 2]),
    st.sampled_from([(12105550101, 1), (12105550102, 1), (13125550100, 1), (0, 3), (0, 0)]),
    st.sampled_from([(19005550100, 1, None), (12105550100, 1, None), (0, 5, "988"), (0, 6, "411"), (0, 4, "x.y")]),
    st.integers(0, 4),
)


def batch(calls: list[Any]) -> pa.RecordBatch:
    seconds, device, source, destination, direction = zip(*calls, strict=True)
    time, columns = START, []
    for pause in seconds:
        time += timedelta(seconds=pause)
        columns.append(time)
    return pa.record_batch(
        {
            "time": pa.array(columns, pa.timestamp("us", tz="UTC")),
            "device_id": pa.array(device, pa.int16()),
            "source": pa.array([number for number, _ in source], pa.int64()),
            "source_class": pa.array([of for _, of in source], pa.int16()),
            "destination": pa.array([number for number, _, _ in destination], pa.int64()),
            "destination_class": pa.array([of for _, of, _ in destination], pa.int16()),
            "direction": pa.array(direction, pa.int16()),
            "destination_raw": pa.array([raw for _, _, raw in destination], pa.utf8()),
        }
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(call, min_size=1, max_size=30), st.integers(1, 29))
def test_a_batch_is_decided_as_each_call_alone(calls: list[Any], cut: int) -> None:
    whole = batch(calls)
    alone, together = Replay(ENGINE), Replay(ENGINE)
    assert together.needs_order
    decided: list[tuple[Any, ...]] = []
    for part in (whole.slice(0, cut), whole.slice(cut)):
        found = pa.ipc.open_stream(together.decide_batch(arrow_stream(part))).read_next_batch()
        decided += [
            (row["action"], row["reason"], row["rule_id"], row["target"], row["monitored"] or [])
            for row in found.to_pylist()
        ]
    for row, expected in zip(whole.to_pylist(), decided, strict=True):
        time_us = int(row.pop("time").timestamp() * 1e6)
        assert alone.decide(time_us, **row) == expected, json.dumps(row)


def test_what_is_no_batch_of_calls_is_refused_by_name() -> None:
    replay = Replay(ENGINE)
    with pytest.raises(ValueError, match="not an Arrow IPC stream"):
        replay.decide_batch(b"x")
    calls = batch([(0, 1, (0, 3), (0, 4, "x"), 0)])
    without = calls.select([name for name in calls.schema.names if name != "direction"])
    with pytest.raises(ValueError, match="column direction: is missing"):
        replay.decide_batch(arrow_stream(without))
    wrong = without.append_column("direction", pa.array([1], pa.int64()))
    with pytest.raises(ValueError, match="column direction: must be int16"):
        replay.decide_batch(arrow_stream(wrong))
