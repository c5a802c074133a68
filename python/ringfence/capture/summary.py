"""What a capture holds, in figures: calls by result, their times and their audio. Pure, one call at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ringfence.capture.reading import CaptureCall
from ringfence.numbering.display import e164
from ringfence.vocabulary import CallResult

_POOR_MOS = 3.6  # G.107 annex B: below, some users are dissatisfied


@dataclass
class Summary:
    """Grows with each call; holds counts, no calls."""

    calls: int = 0
    results: Counter[str] = field(default_factory=Counter)
    codecs: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    first_us: int | None = None
    last_us: int | None = None
    _talk_us: int = 0
    _pdd_us: int = 0
    _pdds: int = 0
    _mos: float = 0.0
    _heard: int = 0
    poor: int = 0

    def add(self, call: CaptureCall) -> None:
        """Count one call."""
        self.calls += 1
        self.results[call["result"]] += 1
        self.flags.update(call["flags"])
        start_us, last_us = call["times"]["start_us"], call["times"]["last_us"]
        self.first_us = start_us if self.first_us is None else min(self.first_us, start_us)
        self.last_us = last_us if self.last_us is None else max(self.last_us, last_us)
        self._talk_us += call["duration_us"] or 0
        if call["post_dial_delay_us"] is not None:
            self._pdd_us += call["post_dial_delay_us"]
            self._pdds += 1
        mos = worst_mos(call)
        if mos is not None:
            self._mos += mos
            self._heard += 1
            self.poor += mos < _POOR_MOS
        if call["codec"]:
            self.codecs[call["codec"]] += 1

    def as_json(self) -> dict[str, Any]:
        """Plain values; ratios and means are null where there is nothing to take them of."""
        answered = self.results[CallResult.ANSWERED.word]
        return {
            "calls": self.calls,
            "results": dict(self.results.most_common()),
            "answer_seizure_ratio": _ratio(answered, self.calls),
            "average_duration_ms": _ratio(self._talk_us / 1000, answered),
            "average_pdd_ms": _ratio(self._pdd_us / 1000, self._pdds),
            "average_mos": _ratio(self._mos, self._heard),
            "calls_with_audio": self._heard,
            "calls_with_poor_audio": self.poor,
            "codecs": dict(self.codecs.most_common()),
            "flags": dict(self.flags.most_common()),
            "first_us": self.first_us,
            "last_us": self.last_us,
        }


def worst_mos(call: CaptureCall) -> float | None:
    """Of the worse direction; None when no audio was seen."""
    heard: list[float] = [media["mos"] for media in call["media"] if media["packets"] and media["mos"] > 0]
    return min(heard, default=None)


def number_of(call: CaptureCall, side: str) -> str:
    """`+E.164`, else the text as it stood, else `anonymous` or `-`."""
    digits = call.get("numbers", {}).get(side, 0)
    raw: str = call["parties"][side]
    hidden = "anonymous" if side == "source" and call["parties"]["anonymous"] else "-"
    return e164(digits) or raw or hidden


def _ratio(amount: float, of: int) -> float | None:
    return round(amount / of, 4) if of else None
