"""What a channel says: one alert, or many in one message that says how many and names the first few. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ringfence.detection.alerts.alert import SEVERITIES, Alert
from ringfence.detection.alerts.words import headline, what_happened
from ringfence.detection.firing import Severity

MAX_NAMED = 5
TEST_TEXT = "This is a test of a channel for alerts. Nothing has happened."


@dataclass(frozen=True)
class Message:
    """`alerts` are the first few of `count`. `message_id` is the same for every attempt, so that who gets a second
    copy can tell."""

    message_id: str
    occasion: Literal["opened", "closed", "test"]
    alerts: tuple[Alert, ...]
    count: int
    made_at: datetime

    @property
    def severity(self) -> Severity:
        """The highest of those named; of a test the lowest."""
        return max((one.severity for one in self.alerts), key=SEVERITIES.index, default=Severity.INFO)

    @property
    def detection(self) -> str:
        """Empty when of several, and of a test."""
        names = {one.detection for one in self.alerts}
        return names.pop() if len(names) == 1 else ""

    @property
    def subject(self) -> str:
        """One line."""
        if self.occasion == "test":
            return "Ringfence: test of a channel"
        closed = "closed: " if self.occasion == "closed" else ""
        if self.count == 1:
            return f"[{self.severity.value}] {closed}{headline(self.alerts[0])}"
        names = self.detection or "several detections"
        return f"[{self.severity.value}] {closed}{self.count} alerts of {names}"

    @property
    def lines(self) -> list[str]:
        """The text, a paragraph a line."""
        if self.occasion == "test":
            return [TEST_TEXT]
        if self.count == 1:
            alert = self.alerts[0]
            return [headline(alert), *what_happened(alert), *_times(alert), f"Alert {alert.alert_id}."]
        said = [f"{self.count} alerts. The first {len(self.alerts)}:" if self.count > len(self.alerts) else
                f"{self.count} alerts:"]  # fmt: skip
        said += [
            f"{headline(alert)} (alert {alert.alert_id}): {' '.join(what_happened(alert))}" for alert in self.alerts
        ]
        if self.count > len(self.alerts):
            said.append(f"… and {self.count - len(self.alerts)} more, which the console lists.")
        return said

    def as_json(self) -> dict[str, Any]:
        """What a webhook gets."""
        return {
            "version": 1,
            "id": self.message_id,
            "occasion": self.occasion,
            "made_at": self.made_at.isoformat(),
            "severity": self.severity.value,
            "subject": self.subject,
            "text": "\n".join(self.lines),
            "count": self.count,
            "alerts": [one.as_json() for one in self.alerts],
        }


def message_of(
    message_id: str, occasion: Literal["opened", "closed"], alerts: Sequence[Alert], count: int, at: datetime
) -> Message:
    """The message about `count` alerts, of which those given are the first few."""
    return Message(message_id, occasion, tuple(alerts[:MAX_NAMED]), count, at)


def make_test(message_id: str, at: datetime) -> Message:
    """What the test button sends."""
    return Message(message_id, "test", (), 0, at)


def _times(alert: Alert) -> list[str]:
    if alert.is_system:
        return [f"Since {alert.opened_at:%Y-%m-%d %H:%M:%S} UTC."]
    return [
        f"First call {alert.started_at:%Y-%m-%d %H:%M:%S} UTC; threshold passed {alert.first_at:%H:%M:%S}; "
        f"last seen {alert.last_at:%H:%M:%S}."
    ]
