"""Which mediation an edge works for: the one with the highest term among those that it knows, shared by all its parts.

    accept   an answer whose term is at least the highest ever seen; a higher one is on the disk before it counts
    refuse   a lower term (an old active that came back), or none from a cluster that has failed over
    failed   no answer, or 5xx: the next address of the list
    settle   another address takes work, as its answer or the scout tells: requests under way elsewhere are given up

The highest term outlives the process: `term.json` in the edge's data folder.
"""

from __future__ import annotations

import asyncio

import structlog

from ringfence.availability.highest_term import HighestTerm
from ringfence.availability.term import Term
from ringfence.errors import UnavailableError

log = structlog.get_logger()


class StaleMediationError(UnavailableError):
    """The mediation has a lower term than one that was seen: it was active once."""

    code = "unavailable.stale_mediation"


class Home:
    """The addresses in order, and the one in use. Lives on one event loop."""

    def __init__(self, addresses: tuple[str, ...], highest: HighestTerm | None = None) -> None:
        self.addresses = addresses
        self.highest = highest or HighestTerm()
        self.current = 0
        # Counts changes of the address in use: who keeps what a mediation said asks again.
        self.generation = 0
        # The last one that answered while it was in use.
        self._settled = 0
        # What was wrong with that one, as it was last seen.
        self._why = ""
        self._moved = asyncio.Event()

    @property
    def address(self) -> str:
        """The one in use."""
        return self.addresses[self.current]

    def answered(self, used: int, term: Term | None) -> None:
        """An answer came. StaleMediationError when its term is too low: nothing of it may be used."""
        known = self.highest.term
        if self.highest.accept(term):
            if used == self.current:
                self._settle()
            return
        stale = StaleMediationError(
            f"mediation {self.addresses[used]}: has epoch {term.epoch if term else 'none'}, "
            f"but epoch {known.epoch if known else '?'} was seen: it is not the active one any more"
        )
        self.failed(used, stale.message)
        raise stale

    def failed(self, used: int, why: str) -> None:
        """No answer, or a bad one. Several parts may fail on the same address: only the first turns to the next."""
        if used == self._settled:
            self._why = why
        if used == self.current:
            self.current = (used + 1) % len(self.addresses)
            self.generation += 1

    def settle(self, index: int) -> None:
        """The active mediation is there: work with it, and leave what is under way elsewhere."""
        if index != self.current:
            self.current = index
            self.generation += 1
        self._settle()

    async def left(self, used: int) -> None:
        """Return when another address than `used` has taken over the work."""
        while True:
            await self._moved.wait()
            if self._settled != used:
                return

    def _settle(self) -> None:
        # Whoever asked there may have been called away before it heard what was wrong: it is told here, once.
        why, self._why = self._why or "another has a higher term", ""
        if self._settled == self.current:
            return
        log.warning("edge.mediation_changed", left=self.addresses[self._settled], to=self.address, why=why)
        self._settled = self.current
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
