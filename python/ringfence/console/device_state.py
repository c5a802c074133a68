"""What a device's last report comes to: a colour with a word, and its figures. Pure.

A report is what the device sent: anything may be missing or of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.mediation.devices import DeviceStatus


@dataclass(frozen=True)
class State:
    """A device's state: a colour, its word, and why."""

    colour: str
    word: str
    why: str


def state_of(device: DeviceStatus) -> State:
    """Green: lives and runs what it should. Amber: lives, but not so. Red: has not been heard of."""
    if device.last_seen_at is None:
        return State("red", "never seen", "It has not connected yet: give it its credential and start it.")
    if not device.is_live:
        return State("red", "away", "No heartbeat. It goes on with its last policy and keeps its calls meanwhile.")
    if lost_events(device):
        return State("amber", "lost events", "Its journal was full: some calls were answered but not recorded.")
    if not device.is_current:
        return State("amber", "policy pending", "It does not run the version it should yet.")
    return State("green", "up", "Connected, with the policy it should have.")


def queries(device: DeviceStatus) -> int | None:
    """Queries it has received since it started; None when it has not said."""
    return _figure(device.report, "counters", "queries")


def lost_events(device: DeviceStatus) -> int:
    """Calls that it answered but could not record."""
    return (_figure(device.report, "journal", "lost") or 0) or (_figure(device.report, "counters", "events_lost") or 0)


def _figure(report: dict[str, Any], part: str, name: str) -> int | None:
    """A figure that a device reported; what is no number counts as not said."""
    section = report.get(part)
    value = section.get(name) if isinstance(section, dict) else None
    return value if isinstance(value, int) else None
