"""Callers who show a number that is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import OWN_LINES, ModelCall, Pace, Scene
from ringfence.detection.attacks.numbers import INBOUND_ONLY, invalid
from ringfence.vocabulary import CallResult, Direction


def own_number(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Calls from the carrier's side that show one of the site's own numbers."""
    for at in pace.times(randomness):
        source, destination = randomness.sample(range(200, 4800), 2)
        yield _shown(at, scene.own(source), scene.own(destination), scene, "spoofed-own-number", randomness)


def neighbour(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Three sources of the destination's area code and exchange that are not the site's: neighbours, it seems."""
    sources = [f"{scene.exchange}{line}" for line in randomness.sample(range(OWN_LINES, 10_000), 3)]
    for at in pace.times(randomness):
        destination = scene.own(randomness.randrange(200, 4800))
        yield _shown(at, randomness.choice(sources), destination, scene, "neighbour-spoofing", randomness)


def invalid_source(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Sources that no numbering plan has, on one line of the site."""
    destination = scene.own(randomness.randrange(200, 4800))
    for at in pace.times(randomness):
        yield _shown(at, invalid(randomness), destination, scene, "invalid-source", randomness)


def do_not_originate(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """A public agency's number as a source: it only ever receives calls."""
    source = randomness.choice(INBOUND_ONLY)
    for at in pace.times(randomness):
        destination = scene.own(randomness.randrange(200, 4800))
        yield _shown(at, source, destination, scene, "do-not-originate", randomness)


def _shown(at: float, source: str, destination: str, scene: Scene, label: str, randomness: Random) -> ModelCall:
    answered = randomness.random() < 0.4
    return ModelCall(
        at, source, destination, Direction.INBOUND, scene.device, scene.site, answered,
        randomness.expovariate(1 / 25) if answered else 0.0,
        CallResult.ANSWERED if answered else CallResult.NO_ANSWER, label,
    )  # fmt: skip
