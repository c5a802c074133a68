"""Tells the mediation, every few seconds, what this edge enforces and how it is."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import structlog

from ringfence.edge.data_plane import DataPlane, EventJournal
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.errors import RingfenceError

log = structlog.get_logger()


class Heartbeat:
    """Sends reports; a failed one is simply followed by the next."""

    def __init__(self, server: DataPlane, journal: EventJournal, follower: PolicyFollower, interval_s: float) -> None:
        self._server = server
        self._journal = journal
        self._follower = follower
        self._interval_s = interval_s
        # Mediation's clock minus ours at the last heartbeat, microseconds; half of the round trip is its error.
        self.clock_offset_us: int | None = None

    async def run(self, client: MediationClient) -> None:
        """Report until cancelled."""
        was_failing = False
        while True:
            try:
                sent_us = time.time_ns() // 1000
                their_us = await client.heartbeat(self.report())
                self.clock_offset_us = their_us - (sent_us + time.time_ns() // 1000) // 2
                was_failing = False
            except RingfenceError as error:
                if not was_failing:
                    log.warning("heartbeat.failed", code=error.code, error=error.message)
                was_failing = True
            await asyncio.sleep(self._interval_s)

    def report(self) -> dict[str, Any]:
        """The body of docs/contracts.md 2; journal figures are sums over the streams."""
        streams = self._journal.streams()
        version = self._server.policy_version
        return {
            "policy_version": version,
            "policy_hash": self._follower.running_hash if version else "",
            "now_us": time.time_ns() // 1000,
            "listen": self._server.addresses,
            "counters": json.loads(self._server.counters()),
            "journal": {
                "durable": sum(durable for _, _, durable, _ in streams),
                "acknowledged": sum(acknowledged for *_, acknowledged in streams),
                "lost": self._journal.lost,
            },
        }
