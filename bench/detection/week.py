"""An ordinary week of three sites, seeded: what detections must keep quiet about. Pure.

```text
office      people, by the hours of a working day; few call often, many rarely (Zipf)
centre      a call centre: one number, hundreds of calls an hour by day
conference  on the hour dozens join one bridge within two minutes
hospital    a ward's line and its physicians on call, at night as by day
reminders   the clinic's own dialer: hundreds of patients in turn, answered or not
redials     somebody tries a busy line four times in ten minutes
abroad      the few who call other countries by day
```
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from random import Random

from ringfence.detection.attacks.call import ORDINARY, OWN_LINES, ModelCall, Scene
from ringfence.detection.attacks.numbers import AREAS, north_american
from ringfence.vocabulary import CallResult, Direction

HOUR_S, DAY_S = 3600, 86_400
WEEK_S = 7 * DAY_S
SITES = (
    Scene("hq", "enum-1", "+1210555"),
    Scene("centre", "enum-2", "+1847555"),
    Scene("hospital", "enum-3", "+1781555"),
)
HQ, CENTRE, HOSPITAL = SITES
# Share of a working day's calls that falls into each hour, local time of the sites.
_OFFICE = (0.2, 0.1, 0.1, 0.1, 0.2, 0.5, 1, 3, 8, 11, 11, 10, 7, 9, 10, 10, 9, 6, 3, 2, 1.5, 1, 0.5, 0.3)
_STEADY = (2.6, 2.4, 2.3, 2.3, 2.5, 3, 3.8, 4.6, 5.2, 5.4, 5.3, 5.2, 5, 5.1, 5, 4.9, 4.7, 4.6, 4.5, 4.3, 4, 3.7, 3.3, 3)
_WEEKEND = 0.15
Line = Callable[[Random, float], Iterator[ModelCall]]


def week(seed: int, size: float = 1.0) -> Iterator[ModelCall]:
    """All calls of a week from Monday 00:00, in the order of their beginning; `size` 1 is about 160,000 calls."""
    lines: tuple[Line, ...] = (_office, _centre, _conferences, _hospital, _reminders, _redials, _abroad)
    made = [line(Random(f"{line.__name__} {seed}"), size) for line in lines]
    return heapq.merge(*made, key=lambda call: call.at)


def _times(randomness: Random, per_day: float, hours: tuple[float, ...], weekend: float) -> Iterator[float]:
    """Independent moments over the week, `per_day` on a working day, spread over its hours."""
    whole = sum(hours)
    for day in range(7):
        for hour, share in enumerate(hours):
            wanted = per_day * share / whole * (weekend if day >= 5 else 1.0)
            at = float(day * DAY_S + hour * HOUR_S)
            end = at + HOUR_S
            if wanted < 1e-6:
                continue
            moment = at + randomness.expovariate(wanted / HOUR_S)
            while moment < end:
                yield moment
                moment += randomness.expovariate(wanted / HOUR_S)


class _Crowd:
    """People who call: few often, many rarely (the law of Zipf and Mandelbrot, by inversion)."""

    _FLAT = 200  # so many callers share the top: nobody makes one call in ten of a call centre

    def __init__(self, randomness: Random, size: int) -> None:
        self._numbers = [north_american(randomness) for _ in range(size)]
        self._log = math.log((size + self._FLAT) / self._FLAT)

    def pick(self, randomness: Random) -> str:
        """One of them."""
        rank = self._FLAT * (math.exp(randomness.random() * self._log) - 1)
        return self._numbers[min(int(rank), len(self._numbers) - 1)]


def _call(
    at: float, source: str, destination: str, scene: Scene, direction: Direction, randomness: Random,
    *, answered: float = 0.7, talk_s: float = 180.0,
) -> ModelCall:  # fmt: skip
    is_answered = randomness.random() < answered
    unanswered = randomness.choice((CallResult.NO_ANSWER, CallResult.BUSY, CallResult.CANCELLED))
    return ModelCall(
        at, source, destination, direction, scene.device, scene.site, is_answered,
        randomness.expovariate(1 / talk_s) if is_answered else 0.0,
        CallResult.ANSWERED if is_answered else unanswered, ORDINARY,
    )  # fmt: skip


def _office(randomness: Random, size: float) -> Iterator[ModelCall]:
    crowd = _Crowd(randomness, 20_000)
    for at in _times(randomness, 16_000 * size, _OFFICE, _WEEKEND):
        scene = SITES[int(randomness.random() ** 2 * 3)]
        line = scene.own(200 + int(4000 * randomness.random() ** 2))
        if randomness.random() < 0.45:
            yield _call(at, line, crowd.pick(randomness), scene, Direction.OUTBOUND, randomness)
        else:
            source = "anonymous" if randomness.random() < 0.03 else crowd.pick(randomness)
            yield _call(at, source, line, scene, Direction.INBOUND, randomness)


def _centre(randomness: Random, size: float) -> Iterator[ModelCall]:
    crowd = _Crowd(randomness, 60_000)
    for at in _times(randomness, 7_000 * size, _OFFICE, 0.3):
        yield _call(at, crowd.pick(randomness), CENTRE.main_number, CENTRE, Direction.INBOUND, randomness,
                    answered=0.93, talk_s=240)  # fmt: skip


def _conferences(randomness: Random, size: float) -> Iterator[ModelCall]:
    bridge = HQ.own(4500)
    for day in range(5):
        for hour in (9, 10, 11, 13, 14, 15, 16):
            joins = sorted(randomness.gauss(0, 45) for _ in range(int(60 * min(size, 1.5))))
            for after in joins:
                at = max(day * DAY_S + hour * HOUR_S + after, 0.0)
                yield _call(at, north_american(randomness), bridge, HQ, Direction.INBOUND, randomness, answered=1.0,
                            talk_s=1800)  # fmt: skip


def _hospital(randomness: Random, size: float) -> Iterator[ModelCall]:
    on_call = [f"+1617{randomness.choice(AREAS)}{line:04d}" for line in range(40)]
    for at in _times(randomness, 3_000 * size, _STEADY, 0.9):
        if randomness.random() < 0.3:
            yield _call(at, HOSPITAL.own(300), randomness.choice(on_call), HOSPITAL, Direction.OUTBOUND, randomness,
                        talk_s=70)  # fmt: skip
        else:
            source = north_american(randomness, "617")
            if randomness.random() < 0.05:  # people next door have the hospital's own first digits
                source = f"{HOSPITAL.exchange}{randomness.randrange(OWN_LINES, 10_000)}"
            yield _call(at, source, HOSPITAL.own(300 + randomness.randrange(12)), HOSPITAL, Direction.INBOUND,
                        randomness, answered=0.9, talk_s=110)  # fmt: skip


def _reminders(randomness: Random, size: float) -> Iterator[ModelCall]:
    for day in range(5):
        at = float(day * DAY_S + 16 * HOUR_S)
        for _ in range(int(600 * size)):
            at += randomness.uniform(6, 14)
            yield _call(at, HOSPITAL.own(120), north_american(randomness, "617"), HOSPITAL, Direction.OUTBOUND,
                        randomness, answered=0.6, talk_s=35)  # fmt: skip


def _redials(randomness: Random, size: float) -> Iterator[ModelCall]:
    begins = sorted(_times(randomness, 120 * size, _OFFICE, 0.2))
    pending: list[tuple[float, int, str, str]] = []
    for order, begin in enumerate(begins):
        source, line = north_american(randomness), HQ.own(randomness.randrange(200, 1200))
        for attempt in range(4):
            heapq.heappush(pending, (begin + attempt * 150 + randomness.uniform(0, 60), order, source, line))
        while pending and pending[0][0] <= begin:
            yield _redial(heapq.heappop(pending), randomness)
    while pending:
        yield _redial(heapq.heappop(pending), randomness)


def _redial(one: tuple[float, int, str, str], randomness: Random) -> ModelCall:
    at, _, source, line = one
    return _call(at, source, line, HQ, Direction.INBOUND, randomness, answered=0.15)


def _abroad(randomness: Random, size: float) -> Iterator[ModelCall]:
    partners = [f"+4420794{line:05d}" for line in range(60)] + [f"+4989123{line:05d}" for line in range(40)]
    for at in _times(randomness, 250 * size, _OFFICE, 0.02):
        source, partner = HQ.own(randomness.randrange(200, 1200)), randomness.choice(partners)
        if randomness.random() < 0.5:
            yield _call(at, source, partner, HQ, Direction.OUTBOUND, randomness, talk_s=260)
        else:
            yield _call(at, partner, source, HQ, Direction.INBOUND, randomness, talk_s=260)
