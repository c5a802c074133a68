"""Assembles what runs beside the data plane, and keeps each part running.

A part that fails unexpectedly is logged and started again; the data plane does not notice either way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import DataPlane, EventJournal
from ringfence.edge.dynamic_entries import EntriesFollower
from ringfence.edge.failures import Failures
from ringfence.edge.health import what_is_wrong
from ringfence.edge.heartbeat import Heartbeat
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.metrics import EdgeMetrics, MetricsServer
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.edge.uplink import Uplink
from ringfence.settings import EdgeSettings

_NOTICES_S = 1.0

log = structlog.get_logger()


class Agent:
    """One edge's agent. Without mediation or credential it serves metrics and runs the further `parts` only."""

    def __init__(
        self,
        server: DataPlane,
        journal: EventJournal,
        store: PolicyStore,
        running: StoredPolicy | None,
        settings: EdgeSettings,
        credential: str | None,
        *,
        apex: str,
        kind: str = "enum",
        entries: EntriesFollower | None = None,
    ) -> None:
        """`running`: the policy that the data plane was started with; `apex`: a zone that it answers."""
        self._server = server
        self._journal = journal
        self._entries = entries
        self._settings = settings
        self._credential = credential
        self._parts: dict[str, Callable[[], Awaitable[None]]] = {}
        self._apex = apex
        failures = Failures()
        if entries is not None:
            entries.failures = failures
        self.uplink = Uplink(
            journal,
            kind=kind,
            upload_events=settings.upload_events,
            upload_ms=settings.upload_ms,
            failures=failures,
        )
        self.follower = PolicyFollower(
            server, store, running=running, installed=lambda: self.heartbeat.send_soon(), failures=failures
        )
        self.heartbeat = Heartbeat(server, journal, self.follower, settings.heartbeat_s, failures)

    def add_part(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        """Run something more, with or without a mediation; before `run`."""
        self._parts[name] = part

    async def run(self, ready: Callable[[str], None] = lambda _: None) -> None:
        """Run until cancelled; `ready` is told the address of /metrics."""
        metrics = MetricsServer(
            EdgeMetrics(self._server, self._journal, self.follower, self.uplink, self.heartbeat), self._wrong
        )
        try:
            ready(await metrics.start(self._settings.metrics_host, self._settings.metrics_port))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_running("notices", self._report_notices))
                for name, part in self._parts.items():
                    tasks.create_task(keep_running(name, part))
                if self._settings.mediation and self._credential:
                    tasks.create_task(self._beside_mediation(self._credential))
                else:
                    log.warning("agent.alone", reason="no mediation" if self._credential else "no credential")
        finally:
            await metrics.stop()

    async def _beside_mediation(self, credential: str) -> None:
        # Each part its own connections: a long upload never delays a policy or a heartbeat.
        parts: list[tuple[str, Callable[[MediationClient], Coroutine[Any, Any, None]]]] = [
            ("policy", self.follower.run),
            ("uplink", self.uplink.run),
            ("heartbeat", self.heartbeat.run),
        ]
        if self._entries is not None:
            parts.append(("entries", self._entries.run))
        clients = {name: MediationClient(self._settings.mediation, credential) for name, _ in parts}
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
                log.warning(f"enum.{fields.pop('notice')}", **fields)
            await asyncio.sleep(_NOTICES_S)

    def _wrong(self) -> str | None:
        return what_is_wrong(self._server.addresses, self._apex)


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
