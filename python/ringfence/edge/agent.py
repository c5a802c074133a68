"""Assembles what runs beside the data plane, and keeps each part running.

A part that fails unexpectedly is logged and started again; the data plane does not notice either way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from prometheus_client.registry import Collector

from ringfence.availability.highest_term import HighestTerm
from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import DataPlane, DecidingPlane, EventJournal
from ringfence.edge.dynamic_entries import EntriesFollower
from ringfence.edge.enrolment import Identity
from ringfence.edge.failures import Failures
from ringfence.edge.health import what_is_wrong
from ringfence.edge.heartbeat import Heartbeat
from ringfence.edge.hep_out import HepOut
from ringfence.edge.home import Home
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.metrics import EdgeMetrics, MetricsServer
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.edge.renewal import Renewal
from ringfence.edge.scout import Scout
from ringfence.edge.uplink import Uplink
from ringfence.settings import EdgeSettings

_NOTICES_S = 1.0

log = structlog.get_logger()


Part = Callable[[MediationClient], Coroutine[Any, Any, None]]


class EdgeAgent:
    """What every edge has beside its data plane: uplink, heartbeat, /metrics and /healthz, notices.

    Without mediation or credential it serves metrics and runs the further `parts` only.
    """

    kind = ""

    def __init__(
        self,
        server: DataPlane,
        journal: EventJournal,
        settings: EdgeSettings,
        identity: Identity,
        policy: Callable[[], tuple[int, str]],
        highest: HighestTerm | None = None,
    ) -> None:
        """`policy` tells the version and hash that are in force; `highest` is the term that was last seen."""
        self.home = Home(identity.addresses or ("",), highest)
        self._server = server
        self._journal = journal
        self._settings = settings
        self._identity = identity
        self._parts: dict[str, Callable[[], Awaitable[None]]] = {}
        self.failures = Failures()
        self.hep_out: HepOut | None = None
        self.uplink = Uplink(
            journal,
            kind=self.kind,
            upload_events=settings.upload_events,
            upload_ms=settings.upload_ms,
            failures=self.failures,
        )
        self.heartbeat = Heartbeat(server, journal, policy, settings.heartbeat_s, self.failures)

    def add_part(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        """Run something more, with or without a mediation; before `run`."""
        self._parts[name] = part

    def collector(self) -> Collector:
        """What /metrics shows."""
        raise NotImplementedError

    def what_is_wrong(self) -> str | None:
        """What /healthz says; None when nothing is wrong."""
        raise NotImplementedError

    def beside_mediation(self) -> list[tuple[str, Part]]:
        """What runs while there is a mediation to speak to."""
        parts: list[tuple[str, Part]] = [("uplink", self.uplink.run), ("heartbeat", self.heartbeat.run)]
        if len(self._identity.addresses) > 1:
            parts.append(("scout", Scout(self._settings.heartbeat_s).run))
        if self._identity.is_enrolled:
            parts.append(("renewal", Renewal(self._identity, self.failures).run))
        return parts

    async def run(self, ready: Callable[[str], None] = lambda _: None) -> None:
        """Run until cancelled; `ready` is told the address of /metrics."""
        metrics = MetricsServer(self.collector(), self.what_is_wrong)
        try:
            ready(await metrics.start(self._settings.metrics_host, self._settings.metrics_port))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_running("notices", self._report_notices))
                for name, part in self._parts.items():
                    tasks.create_task(keep_running(name, part))
                if self._identity.addresses and self._identity.has_proof:
                    tasks.create_task(self._beside_mediation(self._identity))
                else:
                    log.warning("agent.alone", reason="no mediation" if self._identity.has_proof else "no credential")
        finally:
            await metrics.stop()

    async def _beside_mediation(self, identity: Identity) -> None:
        # Each part its own connections: a long upload never delays a policy or a heartbeat.
        parts = self.beside_mediation()
        clients = {name: MediationClient(identity.addresses, identity, home=self.home) for name, _ in parts}
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, part in parts:
                    client = clients[name]
                    tasks.create_task(keep_running(name, lambda part=part, client=client: part(client)))  # type: ignore[misc]
        finally:
            for client in clients.values():
                await client.close()

    async def _report_notices(self) -> None:
        while True:
            for notice in self._journal.take_notices():
                log.warning("journal.notice", notice=notice)
            for fields in json.loads(self._server.notices()):
                log.warning(f"{self.kind}.{fields.pop('notice')}", **fields)
            await asyncio.sleep(_NOTICES_S)


class Agent(EdgeAgent):
    """The agent of an ENUM server: it also follows the policy and its dynamic entries."""

    def __init__(
        self,
        server: DecidingPlane,
        journal: EventJournal,
        store: PolicyStore,
        running: StoredPolicy | None,
        settings: EdgeSettings,
        identity: Identity,
        *,
        apex: str,
        kind: str = "enum",
        entries: EntriesFollower | None = None,
        highest: HighestTerm | None = None,
    ) -> None:
        """`running`: the policy that the data plane was started with; `apex`: a zone that it answers."""
        self.kind = kind
        super().__init__(server, journal, settings, identity, self._policy, highest)
        self._deciding = server
        self._entries = entries
        self._apex = apex
        self.heartbeat.apex = [apex]
        if entries is not None:
            entries.failures = self.failures
        self.follower = PolicyFollower(
            server, store, running=running, installed=lambda: self.heartbeat.send_soon(), failures=self.failures
        )

    def collector(self) -> Collector:
        """What /metrics shows."""
        return EdgeMetrics(self._deciding, self._journal, self.follower, self.uplink, self.heartbeat, self.hep_out)

    def what_is_wrong(self) -> str | None:
        """Which address does not answer, and how."""
        return what_is_wrong(self._server.addresses, self._apex)

    def beside_mediation(self) -> list[tuple[str, Part]]:
        """The policy first."""
        entries: list[tuple[str, Part]] = [("entries", self._entries.run)] if self._entries is not None else []
        return [("policy", self.follower.run), *super().beside_mediation(), *entries]

    def _policy(self) -> tuple[int, str]:
        version = self._deciding.policy_version
        return version, self.follower.running_hash if version else ""


async def keep_running(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run `part` for ever: an unexpected error is logged, and after a pause it is started again."""
    backoff = Backoff()
    while True:
        try:
            await part()
            log.error("agent.part_ended", part=name)
        except Exception:  # the one place that must outlive any defect in a part
            log.exception("agent.part_failed", part=name)
        await asyncio.sleep(backoff.next_s())
