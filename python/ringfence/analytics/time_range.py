"""A time as addresses and saved views say it: a span that ends now, or two instants. Pure.

A parameter that makes no sense is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ringfence.errors import InvalidInputError

SPANS: dict[str, tuple[str, timedelta]] = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "6h": ("Last 6 hours", timedelta(hours=6)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}


@dataclass(frozen=True)
class TimeRange:
    """Either a span that ends now (`span`), or two fixed instants."""

    span: str | None
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str], default: str) -> TimeRange:
        """Read `range`, or `start` and `end` (ISO 8601 with zone). InvalidInputError names the parameter."""
        if "start" in query or "end" in query:
            start, end = (instant_of(name, query.get(name)) for name in ("start", "end"))
            if end <= start:
                raise InvalidInputError("end: must be later than start")
            return cls(None, start, end)
        span = query.get("range", default)
        if span not in SPANS:
            raise InvalidInputError(f"range: no such range {span!r}; use one of {', '.join(SPANS)}")
        return cls(span)

    @property
    def is_live(self) -> bool:
        """Whether new calls can still fall into it."""
        return self.span is not None

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """First instant and the instant after the last one."""
        if self.span is not None:
            return now - SPANS[self.span][1], now
        assert self.start is not None  # noqa: S101  # one of the two forms always holds
        assert self.end is not None  # noqa: S101
        return self.start, self.end

    def as_query(self) -> dict[str, str]:
        """The parameters that read back as this range."""
        if self.span is not None:
            return {"range": self.span}
        start, end = self.bounds(datetime.now(UTC))
        return {"start": iso(start), "end": iso(end)}


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with `Z`, to the microsecond only where it has one."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant_of(name: str, text: str | None) -> datetime:
    """A time as it stands in an address. InvalidInputError names the parameter."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        raise InvalidInputError(f"{name}: {text!r} is not a time; write 2026-01-31T08:00:00Z") from None
    if instant.tzinfo is None:
        raise InvalidInputError(f"{name}: {text!r} has no zone; write 2026-01-31T08:00:00Z")
    return instant.astimezone(UTC)
