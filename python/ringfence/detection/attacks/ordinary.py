"""Calls of an ordinary working day at one site: what must go on while an attack runs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import ORDINARY, ModelCall, Pace, Scene
from ringfence.detection.attacks.numbers import north_american
from ringfence.vocabulary import CallResult, Direction

ANSWERED = 0.68
# Conversational traffic has an average duration of three minutes or more.
TALK_S = 180.0
LINES = (200, 4800)


def ordinary(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """People who call the site and are called by it, in turn."""
    for index, at in enumerate(pace.times(randomness)):
        call = office_call(at, scene, randomness)
        if index % 2:
            call = call._replace(source=call.destination, destination=call.source, direction=Direction.OUTBOUND)
        yield call


def office_call(at: float, scene: Scene, randomness: Random) -> ModelCall:
    """One call from somebody to one of the own lines."""
    answered = randomness.random() < ANSWERED
    return ModelCall(
        at, north_american(randomness), scene.own(randomness.randrange(*LINES)), Direction.INBOUND, scene.device,
        scene.site, answered, randomness.expovariate(1 / TALK_S) if answered else 0.0,
        CallResult.ANSWERED if answered else CallResult.NO_ANSWER, ORDINARY,
    )  # fmt: skip
