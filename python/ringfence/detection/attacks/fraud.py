"""Calls that make somebody pay: revenue share fraud, hacked extensions, pumping, one-ring calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import ModelCall, Pace, Scene
from ringfence.detection.attacks.numbers import (
    CARIBBEAN,
    ONE_RING_RANGES,
    PREMIUM_RANGES,
    abroad,
    north_american,
)
from ringfence.vocabulary import CallResult, Direction

# Toll-fraud calls "typically last twenty minutes or longer".
FRAUD_CALL_S = (1200.0, 2400.0)
CALL_BACK_SHARE = 0.05
CALL_BACK_AFTER_S = 40.0


def revenue_share_fraud(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """A few stolen extensions call premium numbers abroad, spread evenly over a range, each long."""
    sources = [scene.own(randomness.randrange(200, 4800)) for _ in range(3)]
    prefix = randomness.choice(PREMIUM_RANGES)
    first = randomness.randrange(10**5)
    for index, at in enumerate(pace.times(randomness)):
        destination = f"{prefix}{(first + index) % 10**6:06d}"
        yield _outbound(at, sources[index % 3], destination, scene, "irsf", randomness, answered=0.9)


def hacked_extension(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One extension outside business hours: short tries first, then long calls abroad, several at once."""
    source = scene.own(randomness.randrange(200, 4800))
    for index, at in enumerate(pace.times(randomness)):
        destination = abroad(randomness, (*CARIBBEAN, *PREMIUM_RANGES)[index % 8 :])
        yield _outbound(at, source, destination, scene, "pbx-off-hours", randomness, answered=0.2 if index < 4 else 0.8)


def toll_free_pumping(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Robots that stay in the menu of a toll-free number: many sources of one area, nearly equal lengths."""
    area = randomness.choice(("218", "320", "507", "605"))  # rural: who carries the call earns most there
    for at in pace.times(randomness):
        yield ModelCall(
            at, north_american(randomness, area), scene.toll_free, Direction.INBOUND, scene.device, scene.site, True,
            randomness.uniform(280, 320), CallResult.ANSWERED, "toll-free-pumping",
        )  # fmt: skip


def one_ring(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Wangiri: numbers abroad ring once at many own numbers; five in a hundred call back, and pay."""
    prefix = randomness.choice(ONE_RING_RANGES)
    block = f"{prefix}{randomness.randrange(200, 1000)}"
    sources = [f"{block}{line:03d}" for line in randomness.sample(range(1000), 5)]
    lines = randomness.sample(range(200, 4800), 4600)
    missed: deque[ModelCall] = deque()
    for index, at in enumerate(pace.times(randomness)):
        while missed and missed[0].at + CALL_BACK_AFTER_S <= at:
            yield _call_back(missed.popleft(), scene, randomness)
        call = ModelCall(at, randomness.choice(sources), scene.own(lines[index % len(lines)]), Direction.INBOUND,
                         scene.device, scene.site, False, 0.0, CallResult.CANCELLED, "wangiri")  # fmt: skip
        if randomness.random() < CALL_BACK_SHARE:
            missed.append(call)
        yield call
    for call in missed:
        yield _call_back(call, scene, randomness)


def _call_back(call: ModelCall, scene: Scene, randomness: Random) -> ModelCall:
    at = call.at + CALL_BACK_AFTER_S
    return _outbound(at, call.destination, call.source, scene, "wangiri", randomness, answered=1.0)


def _outbound(
    at: float, source: str, destination: str, scene: Scene, label: str, randomness: Random, *, answered: float
) -> ModelCall:
    is_answered = randomness.random() < answered
    return ModelCall(
        at, source, destination, Direction.OUTBOUND, scene.device, scene.site, is_answered,
        randomness.uniform(*FRAUD_CALL_S) if is_answered else 0.0,
        CallResult.ANSWERED if is_answered else CallResult.NO_ANSWER, label,
    )  # fmt: skip
