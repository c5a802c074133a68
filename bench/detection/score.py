"""What was found of what was played: for each detection precision, recall and how soon. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.detection.mix import Episode

from ringfence.detection.definition import Definition
from ringfence.detection.firing import Firing

# An attack is found when its detection names it within twice its window; SIP calls are known when they have ended, so
# those of a quiet network wait for that besides.
FACTOR = 2
# A firing may be told this long after the last call of what caused it.
AFTER_S = 60.0
ROUNDED_S = 0.01  # times of calls are microseconds


@dataclass(frozen=True)
class Score:
    """Of one detection. `late`: attacks it named, but after more than twice its window."""

    played: int
    found: int
    late: int
    firings: int
    right: int
    median_s: float | None

    @property
    def precision(self) -> float:
        """Share of the firings that name an attack; 1 when there was none."""
        return self.right / self.firings if self.firings else 1.0

    @property
    def recall(self) -> float:
        """Share of the attacks that were found in time; 1 when none was played."""
        return self.found / self.played if self.played else 1.0


def score(
    definitions: Mapping[str, Definition], firings: Sequence[Firing], episodes: Sequence[Episode], start_s: float
) -> dict[str, Score]:
    """By detection; `start_s` is the week's beginning as seconds since 1970."""
    scores = {}
    for name, definition in definitions.items():
        own = [one for one in firings if one.detection == name]
        played = [one for one in episodes if one.kind == name]
        delays = [_delay_s(one, own, definition, start_s) for one in played]
        in_time = sorted(delay for delay in delays if delay is not None and delay <= FACTOR * definition.window_s)
        right = sum(any(names(one, episode, definition, start_s) for episode in episodes) for one in own)
        scores[name] = Score(
            len(played), len(in_time), sum(delay is not None for delay in delays) - len(in_time), len(own), right,
            in_time[len(in_time) // 2] if in_time else None,
        )  # fmt: skip
    return scores


def names(firing: Firing, episode: Episode, definition: Definition, start_s: float) -> bool:
    """Whether a firing tells of this attack: at its time, and each part of its key is part of it."""
    at = firing.at.timestamp() - start_s
    # What lasts counts until it has left the window; fraud's long calls end long after they began.
    if not episode.start_s - ROUNDED_S <= at <= episode.end_s + definition.window_s + episode.longest_s + AFTER_S:
        return False
    return all(_is_of(part, value, episode) for part, value in firing.key.items())


def _delay_s(episode: Episode, own: Sequence[Firing], definition: Definition, start_s: float) -> float | None:
    found = [
        max(firing.at.timestamp() - start_s - episode.start_s, 0.0)
        for firing in own
        if names(firing, episode, definition, start_s)
    ]
    return min(found, default=None)


def _is_of(part: str, value: str, episode: Episode) -> bool:
    match part:
        case "source":
            return value in episode.sources
        case "destination":
            return value in episode.destinations
        case "source_prefix":
            return any(one.startswith(value.rstrip("*")) for one in episode.sources)
        case "destination_prefix":
            return any(one.startswith(value.rstrip("*")) for one in episode.destinations)
        case "site":
            return value == episode.site
        case "device":
            return value == episode.device
        case _:
            return True
