"""An alert in plain words, the same in console, mail, syslog, webhook, trap and command line. Pure."""

from __future__ import annotations

from ringfence.detection.alerts.alert import Alert
from ringfence.detection.firing import Mode

_SHOWN = 5


def headline(alert: Alert) -> str:
    """One line: what and whom it is about."""
    if alert.is_system:
        return f"Alerts do not get out: {alert.key_text}"
    return f"{alert.detection}: {whom(alert)}"


def whom(alert: Alert) -> str:
    """What was counted for."""
    return alert.key_text or "all calls"


def what_happened(alert: Alert) -> list[str]:
    """Sentences that say what was seen, and what was done about it."""
    if alert.is_system:
        return [f"Sending through {alert.key_text} fails: {alert.note or 'no reason is known'}.",
                "It is tried again; this alert closes by itself when a message gets through."]  # fmt: skip
    side = "above" if alert.value > alert.threshold else "at" if alert.value == alert.threshold else "below"
    said = [
        f"{number(alert.value)} within {span(alert.window_s)}, {side} the threshold of {number(alert.threshold)}, "
        f"for {whom(alert)}."
    ]
    if alert.last_at > alert.first_at:
        said.append(f"It went on until {alert.last_at:%H:%M:%S} UTC; at its worst it was {number(alert.peak)}.")
    return [*said, *containment(alert)]


def containment(alert: Alert) -> list[str]:
    """What was done, and what was not."""
    said = []
    if alert.contained:
        patterns = listed([one.pattern for one in alert.contained])
        ends = [one.expires_at for one in alert.contained]
        until = max((end for end in ends if end is not None), default=None)
        lasts = "until removed" if None in ends or until is None else f"until {until:%Y-%m-%d %H:%M} UTC at the latest"
        said.append(f"Contained: {patterns} on list {alert.contained[0].list}, {lasts}.")
    if alert.held_back:
        reasons = listed([f"{one.pattern} ({one.why})" for one in alert.held_back])
        said.append(f"Not contained: {reasons}.")
    if alert.mode is Mode.REPORT:
        said.append("The detection only reports: no call was blocked by it.")
    return said


def listed(texts: list[str]) -> str:
    """The first few, and how many more."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def number(value: float) -> str:
    """Without digits that say nothing."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def span(seconds: int) -> str:
    """A window's length."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
