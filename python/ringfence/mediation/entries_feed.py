"""The feed of dynamic entries: tells every waiting edge of a change the moment it is committed.

    add, remove (any mediation) ── NOTIFY, at commit ──► LISTEN connection ──► newest change ──► long polls wake

Only the number of the newest change is held; what an edge lacks is read once for all edges that have the same
change, and kept as bytes until the next one.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import structlog

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation.distribution import RECONNECT_AFTER_S, RELOAD_EVERY_S
from ringfence.policy import dynamic

log = structlog.get_logger()


class EntriesFeed:
    """The newest change of dynamic entries, and those who wait for it. Lives on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest: int | None = None
        self._changed = asyncio.Event()
        self._answers: dict[int, asyncio.Task[tuple[int, bytes]]] = {}
        self._stopping = False
        self.waiting = 0  # polls under way

    async def run(self) -> None:
        """Follow the database until cancelled; reconnects for ever."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, UnavailableError) as error:
                log.warning("entries_feed.disconnected", error=str(error).strip().split("\n")[0])
                await asyncio.sleep(RECONNECT_AFTER_S)

    def stop(self) -> None:
        """Send every waiting poll home with nothing new."""
        self._stopping = True
        self._changed.set()

    async def wait_for_change(self, have: int, wait_s: float) -> bytes | None:
        """What an edge that has change `have` lacks, as soon as it lacks any; None after `wait_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        if self._newest is None:
            await self._reload()
        while not self._stopping:
            changed = self._changed
            if self._newest != have:
                return await self._answer(have)
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

    async def _answer(self, have: int) -> bytes:
        task = self._answers.get(have)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._read_changes, have))
            self._answers[have] = task
            task.add_done_callback(lambda done: self._forget_failed(have, done))
        # Several polls share one reading: none of them may cancel it for the others.
        change, answer = await asyncio.shield(task)
        if self._newest is None or change > self._newest:
            self._announce(change)  # committed, and not yet notified of
        return answer

    def _forget_failed(self, have: int, task: asyncio.Task[tuple[int, bytes]]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._answers.get(have) is task:
            del self._answers[have]

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(f"LISTEN {dynamic.CHANNEL}")
            while True:
                await self._reload()
                async for _ in connection.notifies(timeout=RELOAD_EVERY_S, stop_after=1):
                    pass

    async def _reload(self) -> None:
        newest = await asyncio.to_thread(self._read_newest)
        if newest != self._newest:
            self._announce(newest)

    def _announce(self, newest: int) -> None:
        self._newest = newest
        self._answers.clear()
        waiters, self._changed = self._changed, asyncio.Event()
        waiters.set()

    def _read_newest(self) -> int:
        with self._database.connection() as connection:
            return dynamic.last_change(connection)

    def _read_changes(self, have: int) -> tuple[int, bytes]:
        with self._database.connection() as connection:
            changes = dynamic.changes_since(connection, have, datetime.now(UTC))
        return changes["change"], json.dumps(changes, separators=(",", ":"), ensure_ascii=False).encode()
