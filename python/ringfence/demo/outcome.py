"""What came back of the traffic that was played: actions over time, and when the first call was refused. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ringfence.detection.attacks.call import ORDINARY, ModelCall

REFUSING = frozenset({"terminate", "redirect"})
NO_ANSWER = "no_answer"
ACTIONS = ("allow", "terminate", "redirect", "proceed", NO_ANSWER)


@dataclass
class Outcome:
    """Counts of one run. Times are seconds since its first question."""

    sent: int = 0
    sip_messages: int = 0
    attack: Counter[str] = field(default_factory=Counter)
    """Action → calls of the attack; `proceed`: the server had no opinion."""
    ordinary: Counter[str] = field(default_factory=Counter)
    by_second: dict[int, Counter[str]] = field(default_factory=dict)
    first_refused_s: float | None = None
    """When the answer came that was the first to refuse a call of the attack."""
    last_refused_s: float | None = None
    refused_ordinary: list[str] = field(default_factory=list)
    """Destinations of ordinary calls that were refused, the first few."""
    took_ms: list[float] = field(default_factory=list)

    def answered(self, call: ModelCall, asked_s: float, action: str, at_s: float) -> None:
        """Note one answer, which came at `at_s` to a question of `asked_s`."""
        self.took_ms.append((at_s - asked_s) * 1000)
        self._note(call, asked_s, action)
        if action not in REFUSING:
            return
        if call.label == ORDINARY:
            if len(self.refused_ordinary) < 20:
                self.refused_ordinary.append(call.destination)
            return
        self.first_refused_s = at_s if self.first_refused_s is None else self.first_refused_s
        self.last_refused_s = at_s

    def unanswered(self, call: ModelCall, asked_s: float) -> None:
        """Note that the server said nothing."""
        self._note(call, asked_s, NO_ANSWER)

    def _note(self, call: ModelCall, asked_s: float, action: str) -> None:
        (self.ordinary if call.label == ORDINARY else self.attack)[action] += 1
        self.by_second.setdefault(int(asked_s), Counter())[action] += 1

    def as_json(self) -> dict[str, Any]:
        """Every figure under the words that the command prints."""
        return {
            "sent": self.sent,
            "sip_messages": self.sip_messages,
            "attack": dict(self.attack),
            "ordinary": dict(self.ordinary),
            "first_refused_s": _rounded(self.first_refused_s),
            "last_refused_s": _rounded(self.last_refused_s),
            "refused_ordinary": self.refused_ordinary,
            "median_ms": _rounded(statistics.median(self.took_ms)) if self.took_ms else None,
            "by_second": [{"second": second, **self.by_second[second]} for second in sorted(self.by_second)],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
