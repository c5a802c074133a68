"""Not an attack but as bad: calls stop being answered, or stop."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import ModelCall, Pace, Scene
from ringfence.detection.attacks.ordinary import office_call
from ringfence.vocabulary import CallResult

# So much of the model's time passes in good order first: a drop needs something to fall from.
BEFORE = 0.5
FAILING = 0.9


def answer_drop(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Half of the time in good order, then nine of ten calls fail in the network."""
    for at in pace.times(randomness):
        call = office_call(at, scene, randomness)
        if at >= pace.seconds * BEFORE:
            call = call._replace(label="asr-drop")
            if randomness.random() < FAILING:
                call = call._replace(answered=False, duration_s=0.0, result=CallResult.FAILED)
        yield call


def device_silent(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Half of the time in good order, then nothing: no call is the sign."""
    for at in pace.times(randomness):
        if at >= pace.seconds * BEFORE:
            return
        yield office_call(at, scene, randomness)
