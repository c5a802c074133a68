"""Growing pauses with jitter, so that many edges do not come back in one wave."""

from __future__ import annotations

from random import SystemRandom

FIRST_S = 0.1
LONGEST_S = 5.0
_random = SystemRandom()


class Backoff:
    """Each `next_s()` is up to twice the one before, at most `longest_s`; `reset()` after a success."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._current_s = first_s

    def next_s(self) -> float:
        """The next pause, seconds: between half of the current step and all of it."""
        pause = self._current_s * _random.uniform(0.5, 1.0)
        self._current_s = min(self._current_s * 2, self._longest_s)
        return pause

    def reset(self) -> None:
        """Start from the shortest pause again."""
        self._current_s = self._first_s
