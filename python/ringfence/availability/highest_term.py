"""The highest term that was ever seen here, kept on the disk: what an edge and a pair's node must not forget.

A credential, or a node, belongs to one cluster. When a database of another cluster takes its place (made anew, restored
from before there were terms), its term counts from then on, and the one that was left must show a higher term than it
had to be taken again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import structlog

from ringfence.availability.term import Term
from ringfence.private_file import write_private

log = structlog.get_logger()


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

    def seen(self, cluster: str) -> Term | None:
        """The highest ever seen of a cluster, whether it is the one in use or not."""
        return self._seen.get(cluster)

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
            log.info("term.seen", epoch=term.epoch, before=own.epoch if own else None)
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
            log.error("term.memory_lost", file=str(file), error=str(error))
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
            log.error("term.not_kept", file=str(self._file), error=str(error))
