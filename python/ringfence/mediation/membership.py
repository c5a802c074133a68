"""What this process knows of its cluster: its term, and whether another pair holds a higher one.

    edge, partner, `ringfence failover` ── X-Ringfence-Term ──► meet ──► proven and higher? ──► fence: database, memory
    another process of this pair ── NOTIFY, at commit ──► ChannelFollower ──► reload ──► fence, or no fence any more

A higher term fences at once, whether the database can keep it or not. A fenced mediation takes no event, hands out no
policy, changes nothing (its `Database` gives transactions that only read) and says so; it can still be looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import httpx
import psycopg
import structlog

from ringfence.availability import cluster
from ringfence.availability.cluster import Cluster
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.term import HEADER, Term
from ringfence.database.connection import Database
from ringfence.errors import FencedError, UnavailableError
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels
from ringfence.trust.verification import Trust, verify_argument

ASK_PARTNERS_S = 3.0
_ASK_TIMEOUT_S = 2.0
log = structlog.get_logger()


class Membership:
    """One per process. Methods may be called from any thread."""

    def __init__(
        self,
        database: Database,
        channels: Channels,
        partners: tuple[str, ...] = (),
        data: Path | None = None,
        trust: Trust | None = None,
    ) -> None:
        """`data`: the node's folder, which remembers terms beside the database; `trust`: whom to believe as partner."""
        self._trust = trust or Trust()
        self._database = database
        self._partners = partners
        self._node = NodeTerm(data) if data is not None else None
        self._known: Cluster | None = None
        self._lock = Lock()
        self._follower = ChannelFollower(channels, cluster.CHANNEL, self._reload)

    @property
    def term(self) -> Term | None:
        """This pair's own term; None until the database has told it."""
        return self._known.term if self._known else None

    @property
    def highest(self) -> Term | None:
        """The highest term that is known here: this pair's own, or that of who fenced it."""
        return self._known.highest if self._known else None

    @property
    def is_fenced(self) -> bool:
        """Whether another pair is known to be active."""
        return self._known is not None and self._known.is_fenced

    @property
    def reason(self) -> str | None:
        """Why this pair takes no work, and what can be done; None while it does."""
        return _reason(self._known) if self._known is not None and self._known.is_fenced else None

    def as_json(self) -> dict[str, object]:
        """For status."""
        known = self._known
        if known is None:
            return {"epoch": None, "is_fenced": False, "fenced_by": None, "fenced_at": None}
        return {
            "epoch": known.term.epoch,
            "is_fenced": known.is_fenced,
            "fenced_by": known.fenced_by.epoch if known.is_fenced and known.fenced_by else None,
            "fenced_at": known.fenced_at.isoformat() if known.is_fenced and known.fenced_at else None,
        }

    def require_active(self) -> Term:
        """This pair's term. FencedError when another is active, UnavailableError while its own is not known."""
        if self._known is None:
            self.load()
        reason = self.reason
        if reason is not None:
            raise FencedError(reason)
        assert self._known is not None  # noqa: S101 - loaded, or raised
        return self._known.term

    def load(self) -> None:
        """Read it from the database. UnavailableError without."""
        with self._database.connection(even_if_fenced=True) as connection:
            read = cluster.ensure_cluster(connection)
            if self._node is not None:
                read = self._node.settle(connection, read, datetime.now(UTC))
            known = self._known
            if known and known.fenced_by and known.fenced_by.is_above(read.fenced_by or read.term):
                # Learnt while the database could not keep it.
                read = cluster.record_fence(connection, known.fenced_by, known.fenced_at or datetime.now(UTC))
        self._take(read)

    def meet(self, text: str | None) -> Term | None:
        """Hear the highest term that somebody has seen; it, if proven. Fences when it is above this pair's."""
        claim = Term.parse(text)
        if claim is None:
            return None
        if self._known is None:
            self.load()
        known = self._known
        assert known is not None  # noqa: S101 - loaded, or raised
        if claim.cluster != known.term.cluster or not claim.is_proven(known.secret):
            return None
        heard = known.hear(claim, datetime.now(UTC))
        if heard is not known:
            self._fence(heard)
        return claim

    async def run(self) -> None:
        """Follow the database until cancelled."""
        await self._follower.run()

    async def ask_partners(self) -> None:
        """Ask the other pairs for their term until cancelled; each answers with it to whoever shows a proven one."""
        verify = next(
            (verify_argument(url, self._trust) for url in self._partners if url.startswith("https://")), False
        )
        async with httpx.AsyncClient(timeout=_ASK_TIMEOUT_S, trust_env=False, verify=verify) as client:
            while True:
                for partner in self._partners:
                    await self._ask(client, partner)
                await asyncio.sleep(ASK_PARTNERS_S)

    def stop(self) -> None:
        """Idempotent."""
        self._follower.stop()

    async def _ask(self, client: httpx.AsyncClient, partner: str) -> None:
        if self.highest is None:
            return
        try:
            answer = await client.get(f"{partner.rstrip('/')}/healthz", headers={HEADER: str(self.highest)})
            await asyncio.to_thread(self.meet, told_in(answer.headers))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnavailableError, psycopg.Error):
            return  # away: nothing is known of it, and the edges tell as well

    def _fence(self, fenced: Cluster) -> None:
        """At once in memory, then in the database."""
        assert fenced.fenced_by is not None  # noqa: S101 - that is what was heard
        assert fenced.fenced_at is not None  # noqa: S101 - likewise
        self._take(fenced)
        try:
            with self._database.connection(even_if_fenced=True) as connection:
                cluster.record_fence(connection, fenced.fenced_by, fenced.fenced_at)
        except (UnavailableError, psycopg.Error) as error:
            log.warning("mediation.fence_not_kept", error=str(error).splitlines()[0])

    async def _reload(self) -> None:
        try:
            await asyncio.to_thread(self.load)
        except UnavailableError:
            if self._known is None:
                raise

    def _take(self, read: Cluster) -> None:
        """Keep what was read, but forget no fence that stands above it."""
        with self._lock:
            known = self._known
            if known and known.fenced_by and known.fenced_by.is_above(read.fenced_by or read.term):
                read = Cluster(read.term, read.secret, known.fenced_by, known.fenced_at)
            was_fenced = known is not None and known.is_fenced
            self._known = read
            self._database.fence = _reason(read) if read.is_fenced else None
            if self._node is not None:
                self._node.keep(read)
        if read.is_fenced and not was_fenced:
            log.error("mediation.fenced", epoch=read.term.epoch, by=read.fenced_by.epoch if read.fenced_by else None)
        elif was_fenced and not read.is_fenced:
            log.warning("mediation.active_again", epoch=read.term.epoch)


def told_in(headers: Mapping[str, str]) -> str | None:
    """The term that an answer or a request carries."""
    return headers.get(HEADER.lower()) or headers.get(HEADER)


def _reason(known: Cluster) -> str:
    by = known.fenced_by.epoch if known.fenced_by else known.term.epoch
    return (
        f"is fenced: this pair has epoch {known.term.epoch}, another is active with epoch {by}; "
        "make this one its standby (`ringfence standby init`)"
    )
