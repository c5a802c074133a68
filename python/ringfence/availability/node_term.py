"""What a pair's node remembers of terms beside its database, which may be set back by a restore, or not be running.

<data>/term.json        the highest term that this node has met: a mediation that starts hears it first
<data>/own-term.json    the term that this node's database had last
<data>/told-term.json   one that was told while no database could prove it (`ringfence fence`)

The files are read at every use: the mediation and the commands of this node both write them.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from ringfence.availability import cluster
from ringfence.availability.cluster import Cluster
from ringfence.availability.highest_term import HighestTerm
from ringfence.availability.term import Term


class NodeTerm:
    """The files of one data folder."""

    def __init__(self, data: Path) -> None:
        self._highest = data / "term.json"
        self._own = data / "own-term.json"
        self._told = data / "told-term.json"

    def highest_of(self, known: Cluster) -> Term | None:
        """The highest term of this cluster that the node has met; None for one that nobody of the cluster made."""
        seen = [HighestTerm(file).seen(known.term.cluster) for file in (self._highest, self._told)]
        proven = [term for term in seen if term is not None and term.is_proven(known.secret)]
        return max(proven, key=lambda term: term.order, default=None)

    def keep(self, known: Cluster) -> None:
        """Remember what the database says now. A disk that keeps nothing is logged."""
        HighestTerm(self._own).accept(known.term)
        HighestTerm(self._highest).accept(known.highest)

    def meet(self, term: Term) -> None:
        """Remember a term that somebody told, while the database that could prove it does not run."""
        HighestTerm(self._told).accept(term)

    def settle(self, connection: Connection[Any], found: Cluster, now: datetime) -> Cluster:
        """A database that was set back behind its node takes the node's own term again, or its fence."""
        highest = self.highest_of(found)
        if highest is None or not highest.is_above(found.highest):
            return found
        if highest == HighestTerm(self._own).seen(highest.cluster):
            return cluster.take_term(connection, highest, "node")
        return cluster.record_fence(connection, highest, now)

    def settle_restored(self, connection: Connection[Any], now: datetime) -> None:
        """The same for a database that was just restored, which may be of before there were terms."""
        if (found := cluster.read_cluster(connection)) is not None:
            self.settle(connection, found, now)
