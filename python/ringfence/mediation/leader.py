"""Leadership: of all mediations on one database, exactly one does the scheduled work.

The leader is who holds a session-level advisory lock, on a connection of its own: when the process or its
connection dies, PostgreSQL frees the lock and another mediation takes over within `RETRY_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import structlog

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError

RETRY_S = 1.0
LEADER_LOCK = 7_201_002  # advisory lock of the whole database
log = structlog.get_logger()


@dataclass(frozen=True)
class ScheduledWork:
    """Something the leader does at once and then every `every_s` seconds, off the event loop."""

    name: str
    every_s: float
    work: Callable[[Database], object]


class Leader:
    """Tries to be the leader; while it is, does the scheduled work."""

    def __init__(self, database: Database, schedule: tuple[ScheduledWork, ...]) -> None:
        self._database = database
        self._schedule = schedule
        self._due = dict.fromkeys((item.name for item in schedule), 0.0)
        self.is_leader = False

    async def run(self) -> None:
        """Until cancelled; a lost connection is a lost leadership, and tried for again."""
        while True:
            try:
                await self._lead()
            except (psycopg.Error, UnavailableError) as error:
                log.warning("leader.disconnected", error=str(error).strip().split("\n")[0])
            finally:
                self.is_leader = False
            await asyncio.sleep(RETRY_S)

    async def _lead(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True, connect_timeout=5)
        async with connection:
            while True:
                if not self.is_leader:
                    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,))
                    row = await cursor.fetchone()
                    self.is_leader = bool(row and row[0])
                    if self.is_leader:
                        log.info("leader.elected")
                else:
                    await connection.execute("SELECT 1")  # a dead connection holds no lock
                    await self._do_due_work()
                await asyncio.sleep(RETRY_S)

    async def _do_due_work(self) -> None:
        if self._database.fence is not None:
            return  # the active pair's leader does it
        now = asyncio.get_running_loop().time()
        for item in self._schedule:
            if self._due[item.name] > now:
                continue
            self._due[item.name] = now + item.every_s
            try:
                await asyncio.to_thread(item.work, self._database)
            except (psycopg.Error, UnavailableError) as error:
                log.warning("leader.work_failed", work=item.name, error=str(error).strip().split("\n")[0])
