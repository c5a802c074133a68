"""From the first call of a flood to the first that is refused, over real sockets, on a whole node of `ringfence up`.

A thousand calls a second on one number, each from another of 10,000 sources: SBC → ENUM server → journal → upload →
ingest → detection → dynamic list → ENUM server → refusal. Nothing is prepared but the policy's rule and the detection.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.system.running_node import RunningNode, eventually, running_node

from ringfence.database.cluster import embedded_url
from ringfence.database.connection import Database
from ringfence.demo.enum_line import EnumLine
from ringfence.demo.limits import traffic
from ringfence.demo.outcome import Outcome
from ringfence.demo.player import Lines, play
from ringfence.detection import store
from ringfence.detection.attacks.call import Pace, Scene
from ringfence.detection.attacks.kinds import kind_of
from ringfence.detection.firing import Mode

GOAL_S = 2.0
RATE = 1000
SECONDS = 3.0
ORDINARY = 20
ROUNDS = 3
# Before the flood the site has had calls: what would be listed is measured against them.
BEFORE_S = 4.0
KIND = "tdos-number"
POLICY = """
lists:
  under-attack: {dynamic: true}
rules:
  - {name: attack, destinations: ["list:under-attack"], action: terminate}
"""


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Median and worst of `rounds` floods, each on another number of the site; ordinary calls that were refused."""
    with running_node() as node, tempfile.TemporaryDirectory() as name:
        scene = Scene(device="enum-1")
        prepare(node, Path(name), scene)
        with _line(node) as line:
            play(traffic(kind_of(KIND), scene, Pace(0.1, BEFORE_S), 100, seed=9), Lines(line))
            outcomes = [_flood(line, scene, seed) for seed in range(1, rounds + 1)]
    missed = [one for one in outcomes if one.first_refused_s is None]
    if missed:
        raise RuntimeError(f"{len(missed)} of {rounds} floods were not refused within {SECONDS:g} s")
    taken = [one.first_refused_s for one in outcomes if one.first_refused_s is not None]
    return {
        "median_s": statistics.median(taken),
        "worst_s": max(taken),
        "calls": sum(one.sent for one in outcomes),
        "ordinary_refused": sum(len(one.refused_ordinary) for one in outcomes),
        "unanswered": sum(one.attack["no_answer"] + one.ordinary["no_answer"] for one in outcomes),
    }


def prepare(node: RunningNode, folder: Path, scene: Scene) -> None:
    """Own numbers, a rule on the dynamic list, and the detection deployed with contain."""
    ranges = [word for pattern in scene.own_ranges for word in ("--own", pattern)]
    node.cli("site", "edit", "main", *ranges)
    file = folder / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    node.cli("policy", "apply", str(file))
    database = Database(embedded_url(node.data), pool_size=2)
    with database.connection() as connection:
        store.deploy(connection, KIND, "bench", datetime.now(UTC), Mode.CONTAIN)
    database.close()
    eventually(lambda: node.decide(scene.main_number) != "", "the policy is on the ENUM server")


def _flood(line: EnumLine, scene: Scene, seed: int) -> Outcome:
    attacked = replace(scene, main_line=scene.main_line + seed)
    return play(traffic(kind_of(KIND), attacked, Pace(RATE, SECONDS), ORDINARY, seed), Lines(line))


@contextmanager
def _line(node: RunningNode) -> Iterator[EnumLine]:
    line = EnumLine(node.enum_address(), "e164.internal")
    try:
        yield line
    finally:
        line.close()
