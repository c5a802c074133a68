"""Too many calls: telephony denial of service, floods without a number, one caller who does not stop."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import ANONYMOUS, OWN_LINES, ModelCall, Pace, Scene
from ringfence.detection.attacks.numbers import north_american, rotating
from ringfence.vocabulary import CallResult, Direction

# So many sources at most: who floods has rented numbers, not all of them.
ROTATING_SOURCES = 10_000
# A flood holds lines: long calls of nearly the same length (same audio), the rest meets busy lines.
HOLD_S = (55.0, 65.0)
ANSWERED = 0.3


def number_flood(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Telephony denial of service against one number, each call from another source."""
    sources = rotating(randomness, ROTATING_SOURCES)
    for index, at in enumerate(pace.times(randomness)):
        yield _held(at, sources[index % len(sources)], scene.main_number, scene, "tdos-number", randomness)


def trunk_flood(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """All lines of one trunk: every number of the site is called, each a little."""
    sources = rotating(randomness, ROTATING_SOURCES)
    for at in pace.times(randomness):
        destination = scene.own(randomness.randrange(OWN_LINES))
        yield _held(at, randomness.choice(sources), destination, scene, "tdos-device", randomness)


def site_flood(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """A whole site through all its edges: two dozen published numbers, sources rotating."""
    sources = rotating(randomness, ROTATING_SOURCES)
    lines = [scene.own(line) for line in range(100, 124)]
    devices = (scene.device, f"{scene.device}-b")
    for index, at in enumerate(pace.times(randomness)):
        place = Scene(scene.site, devices[index % 2], scene.exchange)
        yield _held(at, randomness.choice(sources), randomness.choice(lines), place, "tdos-site", randomness)


def anonymous_flood(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """Calls that withhold the number, to one destination."""
    for at in pace.times(randomness):
        yield _held(at, ANONYMOUS, scene.main_number, scene, "anonymous-flood", randomness)


def harassing_caller(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One person who rings another again and again, mostly without being answered."""
    source, destination = north_american(randomness), scene.own(randomness.randrange(200, 4800))
    for at in pace.times(randomness):
        yield _held(at, source, destination, scene, "harassing-caller", randomness, hold_s=(2.0, 20.0))


def _held(
    at: float,
    source: str,
    destination: str,
    scene: Scene,
    label: str,
    randomness: Random,
    hold_s: tuple[float, float] = HOLD_S,
) -> ModelCall:
    answered = randomness.random() < ANSWERED
    return ModelCall(
        at, source, destination, Direction.INBOUND, scene.device, scene.site, answered,
        randomness.uniform(*hold_s) if answered else 0.0,
        CallResult.ANSWERED if answered else randomness.choice((CallResult.BUSY, CallResult.NO_ANSWER)), label,
    )  # fmt: skip
