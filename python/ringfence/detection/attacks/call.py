"""One call of a traffic model, the place it happens in and how fast it comes. Values only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from ringfence.vocabulary import CallResult, Direction

ORDINARY = "ordinary"
ANONYMOUS = "anonymous"
OWN_LINES = 5000


class ModelCall(NamedTuple):
    """One call, as the site's SBC has it. Numbers are `+E.164`, short digits, `anonymous`, or what a caller made up."""

    at: float
    """Seconds after the model's beginning."""
    source: str
    destination: str
    direction: Direction
    device: str
    """Which edge sees it."""
    site: str
    answered: bool
    duration_s: float
    """Talk time; 0 when nobody answered."""
    result: CallResult
    label: str
    """Word of the attack's kind, or `ordinary`."""

    @property
    def is_from_trunk(self) -> bool:
        """Whether the call comes in from the carrier's side."""
        return self.direction in (Direction.INBOUND, Direction.TRANSIT)


@dataclass(frozen=True)
class Scene:
    """One site: the edge that sees its calls, and its own numbers: the lower half of an exchange of ten thousand."""

    site: str = "main"
    device: str = "enum-1"
    exchange: str = "+1210555"
    """Country code, area code and exchange of the own numbers: all but the last four digits."""
    main_line: int = 100
    """The last digits of the number that the public calls."""

    @property
    def own_ranges(self) -> tuple[str, ...]:
        """The own numbers as patterns of the site."""
        return f"{self.exchange}0000-{self.exchange}{OWN_LINES - 1:04d}", self.toll_free

    def own(self, line: int) -> str:
        """An own number by its last four digits."""
        return f"{self.exchange}{line % OWN_LINES:04d}"

    @property
    def main_number(self) -> str:
        """What the public calls, and who wants to harm the site calls first."""
        return self.own(self.main_line)

    @property
    def voicemail(self) -> str:
        """The number from which mailboxes are asked."""
        return self.own(4900)

    @property
    def toll_free(self) -> str:
        """The site's number that callers do not pay for."""
        return f"+1800{self.exchange[5:8]}{self.exchange[2:5]}0"


@dataclass(frozen=True)
class Pace:
    """How fast calls come, and for how long."""

    calls_per_second: float
    seconds: float

    def times(self, randomness: Random) -> Iterator[float]:
        """Moments of independent calls (a Poisson process), seconds from 0; the first is at 0."""
        at = 0.0
        while at < self.seconds:
            yield at
            at += randomness.expovariate(self.calls_per_second)


Generate = Callable[[Scene, Pace, Random], Iterator[ModelCall]]
