"""Detections: how fast, how much memory, what is found of what was played, and how soon a flood ends.

`make bench-detection`, under six minutes. `--quick`: one seed, one flood.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.detection import flood, sql_peer  # noqa: E402
from bench.detection.engine import LastWeek, Run, deployed, run  # noqa: E402
from bench.detection.events import batches  # noqa: E402
from bench.detection.mix import Episode, mixed, write_truth  # noqa: E402
from bench.detection.score import Score, score  # noqa: E402
from bench.detection.speed import events_per_second, million_keys  # noqa: E402
from bench.detection.week import WEEK_S, week  # noqa: E402
from bench.report import Row, finish, row  # noqa: E402

from ringfence.detection.definition import Definition  # noqa: E402
from ringfence.detection.firing import Firing  # noqa: E402

SEEDS = (1, 2)
BEFORE_SEED = 50  # the week before is of another seed
START = datetime(2026, 6, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
SIZE = 0.5  # about 80,000 calls a week, beside 100,000 of attacks
EVENTS_GOAL, MEMORY_GOAL_MIB, RECALL_GOAL, ALERTS_GOAL, TICK_S = 100_000, 1024, 0.95, 5, 0.1


class Found(NamedTuple):
    """Of one seed: firings of an ordinary week, scores of the mixed one."""

    ordinary: list[Firing]
    scores: dict[str, Score]
    episodes: list[Episode]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--truth", type=Path, help="folder for the truth files; default: a temporary one")
    options = parser.parse_args()
    seeds = SEEDS[:1] if options.quick else SEEDS
    began = time.monotonic()
    definitions = deployed()
    with tempfile.TemporaryDirectory() as temporary:
        truth = options.truth or Path(temporary)
        found = {seed: _found(seed, definitions, truth) for seed in seeds}
    for seed, one in found.items():
        print(f"\nSeed {seed}: {len(one.episodes)} attacks among an ordinary week\n\n{_table(one.scores)}")
    rows = [*_speed_rows(), *_quality_rows(found, definitions), *_flood_rows(1 if options.quick else flood.ROUNDS)]
    finish("detection", rows, seconds=round(time.monotonic() - began), detections=len(definitions))


def _found(seed: int, definitions: dict[str, Definition], truth: Path) -> Found:
    usual = LastWeek(list(week(seed + BEFORE_SEED, SIZE)), START_US - WEEK_S * 1_000_000)
    ordinary = run(definitions, batches(list(week(seed, SIZE)), START_US), START, usual)
    calls, episodes = mixed(seed, SIZE)
    fed: Run = run(definitions, batches(list(calls), START_US), START, usual)
    truth.mkdir(parents=True, exist_ok=True)
    write_truth(episodes, truth / f"truth-{seed}.jsonl")
    return Found(ordinary.firings, score(definitions, fed.firings, episodes, START.timestamp()), episodes)


def _speed_rows() -> list[Row]:
    speed, memory = events_per_second(), million_keys()
    asked_s = sql_peer.seconds_per_tick()
    ours_s = sql_peer.CALLS_PER_SECOND * TICK_S / speed
    return [
        row("events a second and core, 20 detections", speed, {}, "≥ 100,000", speed >= EVENTS_GOAL),
        row("memory with a million live keys (MiB)", memory["mib"], {}, "< 1 GiB", memory["mib"] < MEMORY_GOAL_MIB),
        row("a tick of 0.1 s at 200 calls/s (ms)", ours_s * 1000, {"SQL": asked_s * 1000}, "SQL ÷ ours > 100",
            asked_s / ours_s > 100),
    ]  # fmt: skip


def _quality_rows(found: dict[int, Found], definitions: dict[str, Definition]) -> list[Row]:
    rows = []
    for seed, one in found.items():
        contained = sum(definitions[firing.detection].contain is not None for firing in one.ordinary)
        played = sum(score.played for score in one.scores.values())
        recall = sum(score.found for score in one.scores.values()) / played
        firings = sum(score.firings for score in one.scores.values())
        precision = sum(score.right for score in one.scores.values()) / firings
        rows += [
            row(f"seed {seed}: alerts in an ordinary week", len(one.ordinary), {}, "< 5",
                len(one.ordinary) < ALERTS_GOAL),
            row(f"seed {seed}: of these, that could contain", contained, {}, "0", contained == 0),
            row(f"seed {seed}: attacks found within twice the window (%)", recall * 100, {}, "≥ 95 %",
                recall >= RECALL_GOAL),
            row(f"seed {seed}: firings that name an attack (%)", precision * 100, {}, "", True),
        ]  # fmt: skip
    return rows


def _flood_rows(rounds: int) -> list[Row]:
    taken = flood.measure(rounds)
    goal = f"< {flood.GOAL_S:g} s"
    return [
        row("flood of 1,000 calls/s: first call to first refused, median (s)", taken["median_s"], {}, goal,
            taken["median_s"] < flood.GOAL_S),
        row("the slowest of these (s)", taken["worst_s"], {}, goal, taken["worst_s"] < flood.GOAL_S),
        row("ordinary calls refused meanwhile", taken["ordinary_refused"], {}, "0", taken["ordinary_refused"] == 0),
        row("calls without an answer", taken["unanswered"], {}, "0", taken["unanswered"] == 0),
    ]  # fmt: skip


def _table(scores: dict[str, Score]) -> str:
    lines = ["| detection | attacks | found | late | median (s) | firings | precision | recall |", "|---|" + "---|" * 7]
    for name, one in scores.items():
        soon = "" if one.median_s is None else f"{one.median_s:.1f}"
        lines.append(
            f"| {name} | {one.played} | {one.found} | {one.late} | {soon} | {one.firings} | {one.precision:.2f} |"
            f" {one.recall:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
