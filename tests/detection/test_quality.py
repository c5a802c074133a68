"""The catalogue on labelled traffic: quiet in an ordinary week, and each attack is found in time (R7, E4).

A small week of what `make bench-detection` measures; a silent device needs a busier one, and is left to that.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from bench.detection.engine import LastWeek, deployed, run
from bench.detection.events import batches
from bench.detection.mix import mixed
from bench.detection.score import score
from bench.detection.week import WEEK_S, week

SEED, SIZE = 3, 0.05
START = datetime(2026, 6, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
DEFINITIONS = {name: one for name, one in deployed().items() if name != "device-silent"}


@pytest.fixture(scope="module")
def usual() -> LastWeek:
    return LastWeek(list(week(SEED + 1, SIZE)), START_US - WEEK_S * 1_000_000)


def test_an_ordinary_week_opens_no_alert_and_contains_nobody(usual: LastWeek) -> None:
    ordinary = run(DEFINITIONS, batches(list(week(SEED, SIZE)), START_US), START, usual)
    assert ordinary.events > 10_000
    assert [(firing.detection, firing.key_text) for firing in ordinary.firings] == []


def test_each_attack_is_found_within_twice_its_window_and_nothing_else_is(usual: LastWeek) -> None:
    calls, episodes = mixed(SEED, SIZE, each=1)
    found = run(DEFINITIONS, batches(list(calls), START_US), START, usual)
    scores = score(DEFINITIONS, found.firings, episodes, START.timestamp())
    assert {name for name, one in scores.items() if one.played and not one.found} == set()
    assert {name for name, one in scores.items() if one.right < one.firings} == set()
    assert found.counters[1:4] == (0, 0, 0), "calls too late, ahead of the clock, keys that had to go"
