"""A cluster's term: who may take work. Pure; what both pairs and every edge compare.

    cluster   which lineage of databases: made with the first database, kept by backups and replicas
    epoch     raised by each failover
    holder    drawn afresh with each epoch, so that two pairs that were both made active never share a term
    proof     HMAC of the three under the cluster's secret, which only its databases hold

Terms of one cluster are totally ordered by (epoch, holder): of two pairs that think themselves active exactly one has
the higher term, and everybody who has seen both agrees which. An edge passes terms on without being able to make one.
On the wire: `CLUSTER.EPOCH.HOLDER.PROOF` (header `X-Ringfence-Term`, docs/contracts.md 2).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

HEADER = "X-Ringfence-Term"
# Above it a claim is not looked at: no cluster fails over that often.
MAX_EPOCH = 2**53
_TEXT = re.compile(r"([0-9a-f]{32})\.([1-9][0-9]{0,15})\.([0-9a-f]{16})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Term:
    """One pair's claim to be the active one."""

    cluster: str
    epoch: int
    holder: str
    proof: str

    @classmethod
    def sealed(cls, cluster: str, epoch: int, holder: str, secret: bytes) -> Term:
        """Made by whoever knows the cluster's secret."""
        return cls(cluster, epoch, holder, _proof(cluster, epoch, holder, secret))

    @classmethod
    def parse(cls, text: str | None) -> Term | None:
        """From its text; None for anything else."""
        match = _TEXT.fullmatch(text or "")
        if match is None or int(match[2]) > MAX_EPOCH:
            return None
        return cls(match[1], int(match[2]), match[3], match[4])

    @property
    def order(self) -> tuple[int, str]:
        """Compares within one cluster."""
        return self.epoch, self.holder

    def is_above(self, other: Term) -> bool:
        """Whether this one outranks `other`; never, of another cluster."""
        return self.cluster == other.cluster and self.order > other.order

    def is_proven(self, secret: bytes) -> bool:
        """Whether someone who knows the secret made it."""
        return hmac.compare_digest(self.proof, _proof(self.cluster, self.epoch, self.holder, secret))

    def __str__(self) -> str:
        return f"{self.cluster}.{self.epoch}.{self.holder}.{self.proof}"


def _proof(cluster: str, epoch: int, holder: str, secret: bytes) -> str:
    return hmac.new(secret, f"ringfence-term {cluster} {epoch} {holder}".encode(), hashlib.sha256).hexdigest()
