"""Tells the mediation what this edge enforces and how it is: every few seconds, and at once after each change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from ringfence.edge.data_plane import DataPlane, EventJournal
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import MediationClient
from ringfence.errors import RingfenceError

log = structlog.get_logger()


class Heartbeat:
    """Sends reports; a failed one is simply followed by the next. `policy` tells the version and hash in force."""

    def __init__(
        self,
        server: DataPlane,
        journal: EventJournal,
        policy: Callable[[], tuple[int, str]],
        interval_s: float,
        failures: Failures | None = None,
    ) -> None:
        self._server = server
        self._failures = failures or Failures()
        self._journal = journal
        self._policy = policy
        self._interval_s = interval_s
        # The zones that an ENUM server answers; reported, so that explain can fill in the host of an answer.
        self.apex: list[str] = []
        # What this process knows of itself (ringfence.node.facts).
        self.facts: Callable[[], dict[str, int]] = dict
        # What else an edge of its kind reports, asked at each heartbeat.
        self.more: Callable[[], dict[str, Any]] = dict
        # Mediation's clock minus ours at the last heartbeat, microseconds; half of the round trip is its error.
        self.clock_offset_us: int | None = None
        self._soon = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def send_soon(self) -> None:
        """Report now rather than at the next interval. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._soon.set)

    async def run(self, client: MediationClient) -> None:
        """Report until cancelled."""
        self._loop = asyncio.get_running_loop()
        was_failing = False
        while True:
            # Cleared before the report is made: a change during the call is reported by the next one.
            self._soon.clear()
            try:
                sent_us = time.time_ns() // 1000
                their_us = await client.heartbeat(self.report())
                self.clock_offset_us = their_us - (sent_us + time.time_ns() // 1000) // 2
                was_failing = False
            except RingfenceError as error:
                if not was_failing:
                    self._failures.tell("heartbeat.failed", error)
                was_failing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._soon.wait()

    def report(self) -> dict[str, Any]:
        """The body of docs/contracts.md 2; journal figures are sums over the streams."""
        streams = self._journal.streams()
        version, policy_hash = self._policy()
        return {
            "policy_version": version,
            "policy_hash": policy_hash,
            "now_us": time.time_ns() // 1000,
            "listen": self._server.addresses,
            "apex": self.apex,
            "entries_change": getattr(self._server, "entries_change", 0),  # a probe has none
            "process": self.facts(),
            "counters": json.loads(self._server.counters()),
            "journal": {
                "durable": sum(durable for _, _, durable, _ in streams),
                "acknowledged": sum(acknowledged for *_, acknowledged in streams),
                "lost": self._journal.lost,
            },
            **self.more(),
        }
