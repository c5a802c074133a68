"""What can be asked of the proof of enforcement. Pure.

Verdicts. A call is all legs of one correlation; what is said of it rests on what a probe saw and never on a guess:

    unasked    no ENUM server was asked about the call
    ignored    every decision about it forbade what it did
    unproven   a decision forbade something, and what was seen does not show whether it happened
    followed   at least one decision about it allows what it did
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from ringfence.analytics.words import one_of
from ringfence.errors import InvalidInputError

# A query is sent when the INVITE is there; the two are seen by two clocks, so it may seem to come a little before.
DEFAULT_BEFORE_S = 2.0
# Last query of an SBC that tries a handful of silent servers, two seconds each, before it goes on.
DEFAULT_AFTER_S = 10.0
MAX_WINDOW_S = 60.0
MAX_LIMIT = 1000
MAX_PERIOD = timedelta(days=31)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Verdict(IntEnum):
    """What became of the decisions about a call; the numbers are those of `matching`."""

    UNASKED = 0
    FOLLOWED = 1
    UNPROVEN = 2
    IGNORED = 3

    @property
    def word(self) -> str:
        """The word people see."""
        return self.name.lower()


VERDICTS = tuple(verdict.word for verdict in Verdict)


def parse_verdict(word: str) -> Verdict:
    """The verdict for a word; InvalidInputError for anything else."""
    return Verdict[one_of("verdict", word, VERDICTS).upper()]


@dataclass(frozen=True)
class Window:
    """How far before and after the first message of a call a decision about it may stand, in seconds."""

    before_s: float = DEFAULT_BEFORE_S
    after_s: float = DEFAULT_AFTER_S

    @property
    def before(self) -> timedelta:
        """As a span of time."""
        return timedelta(seconds=self.before_s)

    @property
    def after(self) -> timedelta:
        """As a span of time."""
        return timedelta(seconds=self.after_s)


@dataclass(frozen=True)
class Place:
    """A place between two calls of the list: the page before ended with this one."""

    time: datetime
    correlation: int

    def __str__(self) -> str:
        text = f"{(self.time - _EPOCH) // _MICROSECOND}.{self.correlation}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that `str` wrote; InvalidInputError for anything else."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
            microseconds, correlation = (int(part) for part in plain.split("."))
            if not -(1 << 63) <= correlation < 1 << 63:
                raise ValueError("out of range")
            return cls(_EPOCH + microseconds * _MICROSECOND, correlation)
        except (binascii.Error, ValueError, OverflowError):
            raise InvalidInputError("before: is not a place that a page of calls gave") from None


@dataclass(frozen=True)
class EnforcementQuery:
    """Calls whose first leg began in [start, end). `device`: the probe that saw them, None: all; `number`: either side.

    `correlation` or `decision` (stream, sequence of a query) ask about one call; `limit` 0 asks for the counts alone.
    """

    start: datetime
    end: datetime
    verdict: Verdict | None = None
    device: str | None = None
    number: str | None = None
    correlation: int | None = None
    decision: tuple[int, int] | None = None
    window: Window = Window()
    limit: int = 100
    before: Place | None = None

    def check(self) -> None:
        """InvalidInputError names the field that makes no sense."""
        for field in ("start", "end"):
            moment: datetime = getattr(self, field)
            if moment.tzinfo is None:
                raise InvalidInputError(f"{field}: {moment.isoformat()} has no time zone, must have one")
        if self.start >= self.end:
            raise InvalidInputError(f"start: {self.start.isoformat()} must be before end {self.end.isoformat()}")
        if self.end - self.start > MAX_PERIOD:
            raise InvalidInputError(f"start: the period is longer than {MAX_PERIOD.days} days")
        if not 0 <= self.limit <= MAX_LIMIT:
            raise InvalidInputError(f"limit: {self.limit} must be from 0 to {MAX_LIMIT}")
        for name, seconds in (("before_s", self.window.before_s), ("after_s", self.window.after_s)):
            if not 0 <= seconds <= MAX_WINDOW_S:
                raise InvalidInputError(f"{name}: {seconds:g} must be from 0 to {MAX_WINDOW_S:g} seconds")
        if self.window.before_s + self.window.after_s < 1:
            raise InvalidInputError("after_s: the window must be a second long at least, before and after together")
