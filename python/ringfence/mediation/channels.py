"""The one connection on which a process hears what its database tells: LISTEN on every channel that is followed.

    NOTIFY at a commit, by any mediation ──► LISTEN, one connection a process ──► the event of the channel

A notification is lost while the connection is: after each connecting everything may have changed.
"""

from __future__ import annotations

import asyncio

import psycopg
import structlog
from psycopg import sql

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError

RECONNECT_AFTER_S = 0.2
_CONNECT_TIMEOUT_S = 5
log = structlog.get_logger()


class Channels:
    """Lives on one event loop; channels are asked for before it runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[str, list[asyncio.Event]] = {}
        self.is_away = False
        """Whether the database does not tell anything at present, which has been logged."""

    def hear(self, channel: str) -> asyncio.Event:
        """Set when the channel may have something new; whoever asked for it clears it."""
        told = asyncio.Event()
        self._told.setdefault(channel, []).append(told)
        return told

    async def run(self) -> None:
        """Listen until cancelled; reconnects for ever, and logs each loss and each return once."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, UnavailableError) as error:
                if not self.is_away:
                    log.warning("channel.disconnected", error=str(error).strip().split("\n")[0])
                self.is_away = True
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _listen(self) -> None:
        url = self._database.url
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            await connection.execute(
                sql.SQL("; ").join(sql.SQL("LISTEN {}").format(sql.Identifier(channel)) for channel in self._told)
            )
            if self.is_away:
                self.is_away = False
                log.info("channel.connected_again")
            for channel in self._told:
                self._tell(channel)
            async for notification in connection.notifies():
                self._tell(notification.channel)
            raise UnavailableError("the connection that listens has ended")

    def _tell(self, channel: str) -> None:
        for told in self._told[channel]:
            told.set()
