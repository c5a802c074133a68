"""What changed among alerts, for those who wait for it.

commit (any mediation) ── NOTIFY ──► ChannelFollower ──► newest change ──► long polls wake
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ringfence.database.connection import Database
from ringfence.detection.alerts import reading, store
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels


class AlertsFeed:
    """The newest change of alerts. Lives on one event loop."""

    def __init__(self, database: Database, channels: Channels, on_change: Callable[[], object]) -> None:
        """`on_change` is called off the event loop."""
        self._database = database
        self._on_change = on_change
        self._newest: int | None = None
        self._follower = ChannelFollower(channels, store.CHANNEL, self._reload)

    @property
    def waiting(self) -> int:
        """Polls under way."""
        return self._follower.waiting

    async def run(self) -> None:
        """Follow the database until cancelled; reconnects for ever."""
        await self._follower.run()

    def stop(self) -> None:
        """Send every waiting poll home with nothing new."""
        self._follower.stop()

    async def wait_for_change(self, have: int, wait_s: float) -> bool:
        """Whether anything changed after `have`, as soon as it does; False after `wait_s`."""
        if self._newest is None:
            await self._reload()
        return await self._follower.wait_for(lambda: (self._newest or 0) > have or None, wait_s) is not None

    async def _reload(self) -> None:
        newest = await asyncio.to_thread(self._read_newest)
        if newest != self._newest:
            self._newest = newest
            self._follower.announce()
            await asyncio.to_thread(self._on_change)

    def _read_newest(self) -> int:
        with self._database.connection() as connection:
            return reading.newest_change(connection)
