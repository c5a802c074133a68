"""Which mediation an edge works for: the one with the highest term among those that it knows, shared by all its parts.

    accept   an answer whose term is at least the highest ever seen; a higher one is on the disk before it counts
    refuse   a lower term (an old active that came back), or none from a cluster that has failed over
    failed   no answer, or 5xx: the next address of the list
    settle   another address takes work, as its answer or the scout tells: requests under way elsewhere are given up

The highest term outlives the process: `term.json` in the edge's data folder. A credential belongs to one cluster; when
a database of another cluster accepts it (made anew, restored from before there were terms), its term counts from then
on, and the one that was left must show a higher term than it had to be taken again.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import structlog

from ringfence.availability.term import Term
from ringfence.errors import UnavailableError
from ringfence.private_file import write_private

log = structlog.get_logger()


class StaleMediationError(UnavailableError):
    """The mediation has a lower term than one that was seen: it was active once."""

    code = "unavailable.stale_mediation"


class HighestTerm:
    """The highest term of each cluster that was ever seen, and the cluster in use. Kept in `file`, if any."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._seen: dict[str, Term] = {}
        self._cluster = ""
        if file is not None:
            self._load(file)

    @property
    def term(self) -> Term | None:
        """The highest of the cluster in use; None before any was seen."""
        return self._seen.get(self._cluster)

    def is_acceptable(self, term: Term | None) -> bool:
        """Whether work may be done with a mediation of this term."""
        own = self.term
        if term is None:
            return own is None or own.epoch == 1  # an older mediation, of before there were terms
        before = self._seen.get(term.cluster)
        if before is None:
            return True
        if own is None or term.cluster == own.cluster:
            return term.order >= before.order
        return term.is_above(before)

    def accept(self, term: Term | None) -> bool:
        """Take it, where it is acceptable, before anything is done by it; whether it is."""
        if not self.is_acceptable(term):
            return False
        own = self.term
        if term is not None and (own is None or term != own):
            self._seen[term.cluster], self._cluster = term, term.cluster
            self._save()
            log.info("edge.term", epoch=term.epoch, before=own.epoch if own else None)
        return True

    def _load(self, file: Path) -> None:
        try:
            tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            terms = [term for text in tree["seen"] if (term := Term.parse(text)) is not None]
            self._cluster = str(tree["cluster"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            # The mediation tells it again; until then an old one would be believed: whoever looks must know.
            log.error("edge.term_lost", file=str(file), error=str(error))
            return
        self._seen = {term.cluster: term for term in terms}

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            tree = {"cluster": self._cluster, "seen": [str(term) for term in self._seen.values()]}
            write_private(self._file, json.dumps(tree) + "\n")
        except OSError as error:
            # It counts all the same; only a restart would believe less.
            log.error("edge.term_not_kept", file=str(self._file), error=str(error))


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
        self.failed(used)
        raise StaleMediationError(
            f"mediation {self.addresses[used]}: has epoch {term.epoch if term else 'none'}, "
            f"but epoch {known.epoch if known else '?'} was seen: it is not the active one any more"
        )

    def failed(self, used: int) -> None:
        """No answer, or a bad one. Several parts may fail on the same address: only the first turns to the next."""
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
        if self._settled == self.current:
            return
        log.warning("edge.mediation_changed", left=self.addresses[self._settled], to=self.address)
        self._settled = self.current
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
