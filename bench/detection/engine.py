"""The engine fed as a mediation feeds it: the catalogue deployed, batches through the bindings, crossings → firings."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.detection.events import DEVICES, Batch, device_of
from bench.detection.week import SITES

from ringfence._native import Windows
from ringfence.analytics.recorded import RecordingDevice
from ringfence.detection.attacks.call import ANONYMOUS, ModelCall
from ringfence.detection.attacks.numbers import INBOUND_ONLY
from ringfence.detection.catalogue import catalogue
from ringfence.detection.compiled import key_words, specification
from ringfence.detection.definition import Definition, definition_from
from ringfence.detection.firing import Firing, Mode
from ringfence.detection.surroundings import Surroundings
from ringfence.numbering.dial_plan import Site
from ringfence.vocabulary import Direction

MAX_KEYS = 1_500_000
SEED = 1
# Beside the catalogue's nineteen, so that twenty are deployed.
TWENTIETH = {
    "name": "country-burst", "title": "Many calls to one country", "dataset": "enum",
    "condition": {"direction": ["outbound"], "foreign": True}, "key": "country", "measure": "count", "window_s": 300,
    "threshold": {"value": 500},
}  # fmt: skip
# What the catalogue leaves to be filled in.
FILLED: Mapping[str, Mapping[str, Any]] = {
    "do-not-originate": {"source": {"patterns": list(INBOUND_ONLY)}},
    "voicemail-probing": {"destination": {"patterns": [scene.voicemail for scene in SITES]}},
}


def deployed() -> dict[str, Definition]:
    """The catalogue with what it needs, and one more."""
    found = {}
    for name, definition in catalogue().items():
        source = definition.as_source()
        for part, more in FILLED.get(name, {}).items():
            condition = source.setdefault("condition", {})
            condition[part] = condition.get(part, {}) | more
        found[name] = definition_from({key: value for key, value in source.items() if key != "needs"})
    twentieth = definition_from(TWENTIETH)
    return found | {twentieth.name: twentieth}


def surroundings() -> Surroundings:
    """The week's sites and the edges at them."""
    sites = tuple(Site(scene.site, "US", scene.own_ranges) for scene in SITES)
    devices = tuple(RecordingDevice(DEVICES[scene.device], scene.device, scene.site) for scene in SITES)
    return Surroundings(devices, sites)


_HOUR_US = 3_600_000_000
_UNTIL_US = _HOUR_US // 4


class LastWeek:
    """What was usual: calls of the week before by key, in the hour around the same time. One week for several."""

    def __init__(self, calls: Sequence[ModelCall], start_us: int) -> None:
        self._times: dict[tuple[str, int], list[int]] = defaultdict(list)
        self._answered: dict[tuple[str, int], list[bool]] = defaultdict(list)
        numbers = {scene.site: number for number, scene in enumerate(SITES, 1)}
        for call in calls:
            at_us = start_us + int(call.at * 1e6)
            keys = [("device any", device_of(call)), ("site any", numbers[call.site])]
            if call.direction is Direction.INBOUND:
                is_hidden = call.source == ANONYMOUS
                keys += [("device", device_of(call)), ("site", numbers[call.site]), ("destination", _digits(call))]
                keys += [("destination hidden", _digits(call))] if is_hidden else []
            for key in keys:
                self._times[key].append(at_us)
                self._answered[key].append(call.answered)

    def mean(self, definition: Definition, key: tuple[int, int], at_us: int) -> float | None:
        """The measure of one window, on average; None: no calls at all."""
        name: str = definition.key
        if definition.condition.direction != ("inbound",):
            name = f"{name} any"
        elif "anonymous" in definition.condition.source.classes:
            name = f"{name} hidden"
        place = (name, key[0])
        times, middle = self._times.get(place, []), at_us - 7 * 24 * _HOUR_US
        first, end = (bisect_left(times, middle + half) for half in (-_HOUR_US // 2, _HOUR_US // 2))
        if first == end:
            return None
        if definition.measure.kind == "share":
            return sum(self._answered[place][first:end]) / (end - first)
        return (end - first) * definition.window_s / max(3600, definition.window_s)


def _digits(call: ModelCall) -> int:
    return int(call.destination)


@dataclass(frozen=True)
class Run:
    """What came of feeding: firings that begin an episode, and processor time in the engine alone."""

    firings: list[Firing]
    events: int
    cpu_s: float
    counters: tuple[int, ...]


def run(
    definitions: Mapping[str, Definition], batches: Iterable[Batch], start: datetime, usual: LastWeek | None = None
) -> Run:
    """Feed all batches as fast as it goes. Without `usual` nothing is usual, as on a node of its first week."""
    around = surroundings()
    chosen = list(definitions.values())
    windows = Windows(
        specification(chosen, around, (start - timedelta(days=1), start + timedelta(days=8))), MAX_KEYS, SEED
    )
    firings: list[Firing] = []
    events, cpu_s = 0, 0.0
    for batch in batches:
        began = time.process_time()
        crossed = windows.feed(batch.dataset, batch.stream, batch.last_us)
        crossed += windows.tick(batch.last_us)
        cpu_s += time.process_time() - began
        events += batch.events
        for one in crossed:
            definition = chosen[one[0]]
            if one[2] and not _is_usual(windows, definition, one, usual):
                firings.append(_firing(definition, one, around))
    return Run(firings, events, cpu_s, windows.counters())


def _is_usual(windows: Windows, definition: Definition, crossed: tuple[Any, ...], usual: LastWeek | None) -> bool:
    """What the mediation asks the database when a detection with a baseline crosses its fixed value."""
    baseline, threshold = definition.threshold.baseline, definition.threshold
    if baseline is None:
        return False
    place, key, at_us = crossed[0], crossed[1], crossed[4]
    value: float = crossed[6]
    mean = usual.mean(definition, key, at_us) if usual else None
    if definition.measure.kind == "silence":
        return mean is None or mean < threshold.at_least
    if mean is None:
        return False
    bound = mean * baseline.factor
    is_usual = value > bound if threshold.below else value < bound
    if is_usual:
        windows.set_threshold(place, key, bound, at_us + _UNTIL_US)
    return is_usual


def _firing(definition: Definition, crossed: tuple[Any, ...], around: Surroundings) -> Firing:
    _, key, _, started_us, at_us, _, value, threshold, _, _ = crossed
    return Firing(
        definition.name, 1, definition.dataset, key_words(definition, key, around), _moment(started_us),
        _moment(at_us), value, threshold, definition.window_s, definition.severity, Mode.REPORT,
    )  # fmt: skip


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
