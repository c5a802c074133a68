"""Following a NOTIFY channel of the database, and those who wait for what it tells of.

    commit (any mediation) ── NOTIFY ──► Channels ──► reload ──► announce ──► long polls wake

What is followed is read again at every notification, after every reconnection (what was notified meanwhile is gone)
and every few seconds in any case. While the database is away the last state known stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import psycopg
import structlog

from ringfence.errors import UnavailableError
from ringfence.mediation.channels import Channels

RELOAD_EVERY_S = 5.0
_TRY_AGAIN_S = 0.2
T = TypeVar("T")
log = structlog.get_logger()


class ChannelFollower:
    """Calls `reload` whenever something may have changed; `reload` calls `announce` when it has. On one event loop."""

    def __init__(self, channels: Channels, channel: str, reload: Callable[[], Awaitable[None]]) -> None:
        self._channels = channels
        self._channel = channel
        self._told = channels.hear(channel)
        self._reload = reload
        self._changed = asyncio.Event()
        self._stopping = False
        self.waiting = 0  # polls under way

    async def run(self) -> None:
        """Follow the database until cancelled. What cannot be read is tried again for ever, and logged once."""
        has_failed = False
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), RELOAD_EVERY_S)
            self._told.clear()
            try:
                await self._reload()
                has_failed = False
            except (psycopg.Error, UnavailableError) as error:
                # With the whole database away, that is in the log already.
                if not has_failed and not self._channels.is_away:
                    log.warning("channel.not_read", channel=self._channel, error=str(error).strip().split("\n")[0])
                has_failed = True
                self._told.set()
                await asyncio.sleep(_TRY_AGAIN_S)

    def stop(self) -> None:
        """Send every waiting poll home with nothing new."""
        self._stopping = True
        self._changed.set()

    def announce(self) -> None:
        """Let those who wait look again."""
        waiters, self._changed = self._changed, asyncio.Event()
        waiters.set()

    async def wait_for(self, answer: Callable[[], T | None], wait_s: float) -> T | None:
        """The first answer that is not None, asked for after each announcement; None after `wait_s`, or at a stop."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while not self._stopping:
            changed = self._changed
            if (found := answer()) is not None:
                return found
            remaining = deadline - loop.time()
            if remaining <= 0:
                return None
            self.waiting += 1
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), remaining)
            finally:
                self.waiting -= 1
        return None
