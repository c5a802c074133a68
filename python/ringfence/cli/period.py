"""Times as people type them: `90s`, `24h`, `1d12h` ago, or a date and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from ringfence.errors import InvalidInputError

_PART = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(option: str, text: str, now: datetime) -> datetime:
    """The moment meant by `text`: so long before `now`, or ISO 8601 (without offset: local time)."""
    parts = _PART.findall(text)
    if parts and "".join(f"{count}{unit}" for count, unit in parts) == text:
        try:
            return now - sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in parts), timedelta())
        except OverflowError:
            raise InvalidInputError(f"{option}: {text} is longer ago than there is a calendar for") from None
    try:
        return datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"{option}: {text!r} is no time, must be such as 90s, 24h, 7d or 2026-11-20T12:00"
        ) from None


def parse_duration(option: str, text: str) -> timedelta:
    """How long `text` says: `90s`, `10m`, `1d12h`; a bare number is minutes. InvalidInputError."""
    parts = _PART.findall(text if not text.isdigit() else f"{text}m")
    if not parts or "".join(f"{count}{unit}" for count, unit in parts) not in (text, f"{text}m"):
        raise InvalidInputError(f"{option}: {text!r} is not a duration; expected such as 90s, 10m, 2h, or minutes")
    return sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in parts), timedelta())


def parse_named(option: str, words: Sequence[str] | None) -> dict[str, str]:
    """`["call_type=premium"]` → {"call_type": "premium"}. InvalidInputError for what has no name or value."""
    found: dict[str, str] = {}
    for word in words or ():
        name, sign, value = word.partition("=")
        if not (name and sign and value):
            raise InvalidInputError(f"{option}: {word!r} is not NAME=VALUE, must be such as call_type=premium")
        found[name.replace("-", "_")] = value
    return found
