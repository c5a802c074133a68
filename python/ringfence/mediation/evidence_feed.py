"""The feed of questions for messages: probes wait here for questions, who asked waits here for answers.

    ask, answer (any mediation) ── NOTIFY, at commit ──► ChannelFollower ──► present questions ──► both sides wake

Only the questions are held, at most some dozens a probe; bodies stay in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from ringfence.database.connection import Database
from ringfence.mediation import evidence_requests
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels
from ringfence.mediation.evidence_requests import Request


class EvidenceFeed:
    """The questions that are open, and those who wait. Lives on one event loop."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._database = database
        self._open: dict[int, Request] | None = None
        self._follower = ChannelFollower(channels, evidence_requests.CHANNEL, self._reload)

    async def run(self) -> None:
        """Follow the database until cancelled; reconnects for ever."""
        await self._follower.run()

    def stop(self) -> None:
        """Send every waiting poll home with nothing new."""
        self._follower.stop()

    async def wait_for_questions(self, device_id: int, wait_s: float) -> tuple[Request, ...]:
        """What a probe is asked and has not answered, as soon as there is any; empty after `wait_s`."""
        if self._open is None:
            await self._reload()

        def asked() -> tuple[Request, ...] | None:
            return tuple(one for one in (self._open or {}).values() if one.device_id == device_id) or None

        return await self._follower.wait_for(asked, wait_s) or ()

    async def wait_for_answers(self, requests: Collection[int], wait_s: float) -> None:
        """Return when none of these questions is open any more, or after `wait_s`."""
        if not requests:
            return
        await self._reload()  # what was asked just now is known from here on
        wanted = set(requests)
        await self._follower.wait_for(lambda: None if self._open and wanted & self._open.keys() else True, wait_s)

    async def _reload(self) -> None:
        present = await asyncio.to_thread(self._read)
        if present != self._open:
            self._open = present
            self._follower.announce()

    def _read(self) -> dict[int, Request]:
        with self._database.connection() as connection:
            present = evidence_requests.present_requests(connection, datetime.now(UTC))
        return {one.request_id: one for one in present if one.outcome is None}
