"""The cluster's identity, term and fence, in the database (table `setting`, key `cluster`): the only SQL of it.

    {"id": "…", "secret": "…", "epoch": 2, "holder": "…", "fenced_by": TERM|null, "fenced_at": time|null}

Made with the first start of a mediation, from then on carried along by backups and replicas. A pair is *fenced* while
`fenced_by` is above its own term: it has learnt that another pair was made active. Taking a higher term ends that.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.availability.term import MAX_EPOCH, Term
from ringfence.errors import ConflictError

CHANNEL = "ringfence_cluster"
_KEY = "cluster"
_SELECT = "SELECT value FROM setting WHERE key = 'cluster'"
_LOCK = "SELECT value FROM setting WHERE key = 'cluster' FOR UPDATE"


@dataclass(frozen=True)
class Cluster:
    """What the database says of itself."""

    term: Term
    secret: bytes
    fenced_by: Term | None = None
    fenced_at: datetime | None = None

    @property
    def is_fenced(self) -> bool:
        """Whether another pair is known to be active."""
        return self.fenced_by is not None and self.fenced_by.is_above(self.term)

    @property
    def highest(self) -> Term:
        """The highest term known here: its own, or that of who fenced it."""
        return self.fenced_by if self.fenced_by is not None and self.is_fenced else self.term

    def hear(self, claim: Term, now: datetime) -> Cluster:
        """What it is after somebody said that there is such a term: fenced, if that is proven and the highest."""
        if not claim.is_above(self.highest) or not claim.is_proven(self.secret):
            return self
        return replace(self, fenced_by=claim, fenced_at=now)

    def next_term(self, above: Term | None = None) -> Term:
        """A fresh term above this pair's, what fenced it, and `above`; made, not taken yet."""
        known = [self.term, *(term for term in (self.fenced_by, above) if term and term.cluster == self.term.cluster)]
        return Term.sealed(self.term.cluster, max(term.epoch for term in known) + 1, secrets.token_hex(8), self.secret)


def read_cluster(connection: Connection[Any]) -> Cluster | None:
    """As committed; None before the first mediation has started on this database."""
    return _read(connection, _SELECT)


def ensure_cluster(connection: Connection[Any]) -> Cluster:
    """Read it; made on the first call. An epoch from before there were clusters is kept."""
    found = _read(connection, _SELECT)
    if found is not None:
        return found
    row = connection.execute("SELECT value FROM setting WHERE key = 'cluster_epoch'").fetchone()
    tree = {
        "id": secrets.token_hex(16),
        "secret": secrets.token_hex(32),
        "epoch": int(row[0]) if row else 1,
        "holder": secrets.token_hex(8),
        "fenced_by": None,
        "fenced_at": None,
    }
    connection.execute("INSERT INTO setting (key, value) VALUES (%s, %s) ON CONFLICT DO NOTHING", (_KEY, Jsonb(tree)))
    made = _read(connection, _SELECT)
    assert made is not None  # noqa: S101 - inserted here or by another
    return made


def record_fence(connection: Connection[Any], by: Term, now: datetime) -> Cluster:
    """Keep that a higher term exists; a lower one than known already changes nothing."""
    found = _locked(connection)
    fenced = found.hear(by, now)
    if fenced is found:
        return found
    _change(connection, {"fenced_by": str(by), "fenced_at": now.isoformat()})
    audit.record(connection, "cluster", "cluster.fenced", f"epoch {by.epoch}", {"own_epoch": found.term.epoch})
    return fenced


def take_term(connection: Connection[Any], term: Term, actor: str) -> Cluster:
    """Make this pair the holder of `term`; again changes nothing. ConflictError unless it is the highest known."""
    found = _locked(connection)
    if found.term == term:
        return found
    highest = found.highest
    if not term.is_proven(found.secret) or not (term.is_above(highest) or term == highest):
        raise ConflictError(
            f"epoch {term.epoch} cannot be taken: epoch {highest.epoch} is known already", code="conflict.term"
        )
    _change(connection, {"epoch": term.epoch, "holder": term.holder, "fenced_by": None, "fenced_at": None})
    audit.record(connection, actor, "cluster.term", f"epoch {term.epoch}", {"before": found.term.epoch})
    return Cluster(term, found.secret)


def _locked(connection: Connection[Any]) -> Cluster:
    ensure_cluster(connection)
    found = _read(connection, _LOCK)
    assert found is not None  # noqa: S101 - ensured
    return found


def _change(connection: Connection[Any], fields: dict[str, Any]) -> None:
    connection.execute(
        "UPDATE setting SET value = value || %s, changed_at = now() WHERE key = %s", (Jsonb(fields), _KEY)
    )
    connection.execute(f"NOTIFY {CHANNEL}")


def _read(connection: Connection[Any], statement: LiteralString) -> Cluster | None:
    row = connection.execute(statement).fetchone()
    if row is None:
        return None
    tree: dict[str, Any] = row[0]
    secret = bytes.fromhex(tree["secret"])
    epoch = min(int(tree["epoch"]), MAX_EPOCH)
    fenced_at = tree.get("fenced_at")
    return Cluster(
        Term.sealed(str(tree["id"]), epoch, str(tree["holder"]), secret),
        secret,
        Term.parse(tree.get("fenced_by")),
        datetime.fromisoformat(fenced_at) if fenced_at else None,
    )
