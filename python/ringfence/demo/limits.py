"""What may be played, and where: loopback only, bounded in rate, time and count. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from ipaddress import ip_address
from random import Random

from ringfence.acceptance.plan import split_address
from ringfence.detection.attacks.call import ModelCall, Pace, Scene
from ringfence.detection.attacks.kinds import Kind
from ringfence.detection.attacks.ordinary import ordinary
from ringfence.errors import InvalidInputError

MAX_CALLS_PER_SECOND = 2_000
MAX_SECONDS = 600
MAX_CALLS = 100_000


def loopback_address(text: str, option: str) -> tuple[str, int]:
    """ADDRESS:PORT on this machine. Raises InvalidInputError for any other: no network is reached."""
    host, colon, port = text.rpartition(":")
    try:
        address = split_address(f"127.0.0.1:{port}" if colon and host == "localhost" else text)
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}") from None
    if not ip_address(address[0]).is_loopback:
        raise InvalidInputError(
            f"{option}: {text} is not this machine; attacks are played on loopback only, such as 127.0.0.1:1053"
        )
    return address


def pace_of(kind: Kind, calls_per_second: float | None, seconds: float | None) -> Pace:
    """The trial's pace with what was asked for instead. Raises InvalidInputError beyond the bounds."""
    rate = kind.trial.calls_per_second if calls_per_second is None else calls_per_second
    length_s = kind.trial.seconds if seconds is None else seconds
    if not 0 < rate <= MAX_CALLS_PER_SECOND:
        raise InvalidInputError(f"--calls-per-second: {rate:g} must be more than 0, at most {MAX_CALLS_PER_SECOND}")
    if not 0 < length_s <= MAX_SECONDS:
        raise InvalidInputError(f"--seconds: {length_s:g} must be more than 0, at most {MAX_SECONDS}")
    if rate * length_s > MAX_CALLS:
        raise InvalidInputError(
            f"--seconds: {length_s:g} at {rate:g} calls a second are {rate * length_s:.0f} calls, at most {MAX_CALLS}"
        )
    return Pace(rate, length_s)


def traffic(kind: Kind, scene: Scene, pace: Pace, ordinary_per_second: float, seed: int) -> Iterator[ModelCall]:
    """The attack, and ordinary calls among it, in the order of their times; none begins after the pace's end."""
    lines: list[Iterator[ModelCall]] = [kind.calls(scene, seed, pace)]
    if ordinary_per_second > 0:
        randomness = Random(f"ordinary {scene.site} {seed}")  # noqa: S311 - traffic, not secrets
        lines.append(ordinary(scene, Pace(ordinary_per_second, pace.seconds), randomness))
    return (call for call in heapq.merge(*lines, key=lambda call: call.at) if call.at < pace.seconds)
