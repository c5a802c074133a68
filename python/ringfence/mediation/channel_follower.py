"""Following a NOTIFY channel of the database, and those who wait for what it tells of.

    commit (any mediation) ── NOTIFY ──► LISTEN connection ──► reload ──► announce ──► long polls wake

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

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError

RELOAD_EVERY_S = 5.0
RECONNECT_AFTER_S = 0.2
T = TypeVar("T")
log = structlog.get_logger()


class ChannelFollower:
    """Calls `reload` whenever something may have changed; `reload` calls `announce` when it has. On one event loop."""

    def __init__(self, database: Database, channel: str, reload: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._channel = channel
        self._reload = reload
        self._changed = asyncio.Event()
        self._stopping = False
        self._is_away = False
        self.waiting = 0  # polls under way

    async def run(self) -> None:
        """Follow the database until cancelled; reconnects for ever, and logs each loss and each return once."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, UnavailableError) as error:
                if not self._is_away:
                    log.warning("channel.disconnected", channel=self._channel, error=str(error).strip().split("\n")[0])
                self._is_away = True
                await asyncio.sleep(RECONNECT_AFTER_S)

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

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(f"LISTEN {self._channel}")
            while True:
                await self._reload()
                if self._is_away:
                    self._is_away = False
                    log.info("channel.connected_again", channel=self._channel)
                async for _ in connection.notifies(timeout=RELOAD_EVERY_S, stop_after=1):
                    pass
