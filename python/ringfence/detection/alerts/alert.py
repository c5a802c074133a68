"""What an alert is: its states, its times, what was done about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from ringfence.detection.firing import Mode, Severity

State = Literal["open", "acknowledged", "closed"]
STATES: tuple[State, ...] = ("open", "acknowledged", "closed")
# As the database orders them.
SEVERITIES: tuple[Severity, ...] = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)

# The name of alerts about a channel that cannot send; a detection's own has no underscore.
CHANNEL_FAILS = "alert_channel"


def rank_of(severity: Severity) -> int:
    """1 for info to 3 for critical."""
    return SEVERITIES.index(severity) + 1


class Listing(Protocol):
    """An entry of a dynamic list, as containment tells of it."""

    @property
    def list(self) -> str:
        """The list's name."""

    @property
    def pattern(self) -> str:
        """The numbers."""

    @property
    def expires_at(self) -> datetime | None:
        """None: until it is removed."""


class Holding(Protocol):
    """What containment did not list, as it tells of it."""

    @property
    def pattern(self) -> str:
        """The numbers."""

    @property
    def why(self) -> str:
        """The reason."""


@dataclass(frozen=True)
class Contained:
    """A pattern that containment put on a dynamic list. `expires_at` None: until it is removed."""

    list: str
    pattern: str
    expires_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "list": self.list,
            "pattern": self.pattern,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


@dataclass(frozen=True)
class HeldBack:
    """A pattern that containment did not list, and why: protected, too broad, over the limit."""

    pattern: str
    why: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"pattern": self.pattern, "why": self.why}


@dataclass(frozen=True)
class Alert:
    """One episode of one key of one detection. `calls` is the call log's filter, in words, for its calls.

    `started_at`, `first_at`, `last_at` are times of calls; the others of the clock.
    """

    alert_id: int
    change: int
    is_system: bool
    detection: str
    definition_version: int
    dataset: str
    key: Mapping[str, str]
    key_text: str
    severity: Severity
    mode: Mode
    state: State
    count: int
    value: float
    peak: float
    threshold: float
    window_s: int
    started_at: datetime
    first_at: datetime
    last_at: datetime
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None
    quiet_s: int
    numbers: tuple[str, ...]
    calls: Mapping[str, str]
    contained: tuple[Contained, ...]
    held_back: tuple[HeldBack, ...]
    note: str | None
    has_evidence: bool

    def is_over(self, now: datetime) -> bool:
        """Whether its episode has ended: it fired no more for as long as episodes may pause."""
        return now > self.seen_at + timedelta(seconds=self.quiet_s)

    def as_json(self) -> dict[str, Any]:
        """Plain values; no evidence, which is read by itself."""
        values: dict[str, Any] = {"id": self.alert_id, "change": self.change, "is_system": self.is_system}
        plain = ("detection", "definition_version", "dataset", "key_text", "state", "count", "value", "peak",
                 "threshold", "window_s", "quiet_s", "note", "has_evidence")  # fmt: skip
        values |= {name: getattr(self, name) for name in plain}
        for name in ("started_at", "first_at", "last_at", "opened_at", "seen_at", "closed_at"):
            moment: datetime | None = getattr(self, name)
            values[name] = moment.isoformat() if moment is not None else None
        return values | {
            "severity": self.severity.value,
            "mode": self.mode.value,
            "key": dict(self.key),
            "numbers": list(self.numbers),
            "calls": dict(self.calls),
            "contained": [one.as_json() for one in self.contained],
            "held_back": [one.as_json() for one in self.held_back],
        }


@dataclass(frozen=True)
class TimelineEntry:
    """What happened to an alert: a comment, or something of its own kind."""

    at: datetime
    actor: str
    kind: str
    words: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"at": self.at.isoformat(), "actor": self.actor, "kind": self.kind, "words": self.words}
