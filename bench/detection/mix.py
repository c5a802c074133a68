"""Attacks mixed into an ordinary week, with the truth beside them: what was played, when, by and on whom. Pure."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from bench.detection.week import DAY_S, HOUR_S, SITES, week

from ringfence.detection.attacks.call import ORDINARY, ModelCall, Scene
from ringfence.detection.attacks.kinds import KINDS, Kind
from ringfence.vocabulary import Direction

# When an episode begins, hours of the day. A silent edge tells of no attack: it falls silent after all of them.
HOURS = {"pbx-off-hours": (1, 4), "device-silent": (15.8, 16.5)}
EACH = 3  # episodes of each kind


@dataclass(frozen=True)
class Episode:
    """One attack: its label, when it began and ended (seconds after the week's beginning), where, by and on whom."""

    kind: str
    start_s: float
    end_s: float
    site: str
    device: str
    calls: int
    longest_s: float
    sources: tuple[str, ...]
    destinations: tuple[str, ...]


def mixed(seed: int, size: float, each: int = EACH) -> tuple[Iterator[ModelCall], list[Episode]]:
    """An ordinary week with `each` episodes of every kind among it, and their truth."""
    randomness = Random(f"episodes {seed}")
    episodes, lines, silent = [], [week(seed, size)], []
    for index, (kind, number) in enumerate((kind, number) for kind in KINDS for number in range(each)):
        start = _start(kind, randomness, index)
        scene = SITES[number % len(SITES)]  # two at one site at once would be one attack
        if kind.name == "device-silent":
            episode = Episode(kind.name, start, start + HOUR_S, scene.site, scene.device, 0, 0.0, (), ())
            silent.append(episode)
        else:
            calls = [call._replace(at=call.at + start) for call in _calls(kind, scene, seed * 1000 + number)]
            episode = _told(kind, calls)
            lines.append(iter(calls))
        episodes.append(episode)
    return _without_silenced(heapq.merge(*lines, key=lambda call: call.at), silent), episodes


def write_truth(episodes: list[Episode], file: Path) -> None:
    """One JSON line an episode."""
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in episodes), encoding="utf-8")


def _start(kind: Kind, randomness: Random, index: int) -> float:
    """Each episode of a kind on another working day."""
    day = index % 5
    bounds = HOURS.get(kind.name, (9, 15))
    hour = randomness.uniform(*bounds)
    return day * DAY_S + hour * HOUR_S


def _calls(kind: Kind, scene: Scene, seed: int) -> Iterator[ModelCall]:
    for call in kind.calls(scene, seed):
        # What goes on in good order before a drop is the week's own matter.
        if call.label != ORDINARY:
            yield call


def _told(kind: Kind, calls: list[ModelCall]) -> Episode:
    attack = [call for call in calls if call.direction is Direction.INBOUND] or calls
    return Episode(
        kind.name, calls[0].at, calls[-1].at, calls[0].site, calls[0].device, len(calls),
        max(call.duration_s for call in calls),
        tuple(sorted({call.source for call in attack})[:20_000]),
        tuple(sorted({call.destination for call in attack})[:20_000]),
    )  # fmt: skip


def _without_silenced(calls: Iterator[ModelCall], silent: list[Episode]) -> Iterator[ModelCall]:
    for call in calls:
        if not any(one.device == call.device and one.start_s <= call.at < one.end_s for one in silent):
            yield call
