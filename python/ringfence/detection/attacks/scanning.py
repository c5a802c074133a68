"""One source and many destinations: dialers, searching for what answers, guessing mailboxes' numbers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.detection.attacks.call import OWN_LINES, ModelCall, Pace, Scene
from ringfence.detection.attacks.numbers import north_american
from ringfence.vocabulary import CallResult, Direction

# Dialer traffic: average duration below a minute, 90 % of calls below 60 s.
DIALER_ANSWERED = 0.35
DIALER_TALK_S = 18.0
# Voice-mail probing: calls of at most 30 s.
PROBE_TALK_S = (5.0, 30.0)
SHORT_TALK_S = (0.5, 2.9)


def robocalls(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One number calls many own numbers in no order; who answers soon hangs up."""
    source = north_american(randomness)
    lines = randomness.sample(range(OWN_LINES), OWN_LINES)
    for index, at in enumerate(pace.times(randomness)):
        answered = randomness.random() < DIALER_ANSWERED
        talk_s = min(randomness.expovariate(1 / DIALER_TALK_S), 59.0) if answered else 0.0
        destination = scene.own(lines[index % len(lines)])
        yield _inbound(at, source, destination, scene, "robocall-dialer", talk_s, CallResult.NO_ANSWER)


def war_dialling(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One source calls number after number of the block, and hangs up."""
    source = north_american(randomness)
    first = randomness.randrange(200, 4000)
    for index, at in enumerate(pace.times(randomness)):
        talk_s = randomness.uniform(*SHORT_TALK_S) if randomness.random() < 0.15 else 0.0
        yield _inbound(at, source, scene.own(first + index), scene, "war-dialling", talk_s, CallResult.CANCELLED)


def short_calls(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One source whose calls are answered and end within three seconds."""
    source = north_american(randomness)
    for at in pace.times(randomness):
        destination = scene.own(randomness.randrange(200, 4800))
        talk_s = randomness.uniform(*SHORT_TALK_S)
        yield _inbound(at, source, destination, scene, "short-call-burst", talk_s, CallResult.NO_ANSWER)


def voicemail_probing(scene: Scene, pace: Pace, randomness: Random) -> Iterator[ModelCall]:
    """One source tries numbers of mailboxes: calls of up to thirty seconds to the voice mail."""
    source = north_american(randomness)
    for at in pace.times(randomness):
        yield _inbound(at, source, scene.voicemail, scene, "voicemail-probing", randomness.uniform(*PROBE_TALK_S),
                       CallResult.NO_ANSWER)  # fmt: skip


def _inbound(
    at: float, source: str, destination: str, scene: Scene, label: str, talk_s: float, unanswered: CallResult
) -> ModelCall:
    """`talk_s` of 0: nobody answered."""
    return ModelCall(at, source, destination, Direction.INBOUND, scene.device, scene.site, talk_s > 0, talk_s,
                     CallResult.ANSWERED if talk_s else unanswered, label)  # fmt: skip
