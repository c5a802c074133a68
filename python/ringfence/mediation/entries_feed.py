"""The feed of dynamic entries: tells every waiting edge of a change the moment it is committed.

    add, remove (any mediation) ── NOTIFY, at commit ──► ChannelFollower ──► newest change ──► long polls wake

Only the number of the newest change is held; what an edge lacks is read once for all edges that have the same
change, and kept as bytes until the next one.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from ringfence.database.connection import Database
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels
from ringfence.policy import dynamic


class EntriesFeed:
    """The newest change of dynamic entries, and those who wait for it. Lives on one event loop."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._database = database
        self._newest: int | None = None
        self._follower = ChannelFollower(channels, dynamic.CHANNEL, self._reload)
        self._answers: dict[int, asyncio.Task[tuple[int, bytes]]] = {}

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

    async def wait_for_change(self, have: int, wait_s: float) -> bytes | None:
        """What an edge that has change `have` lacks, as soon as it lacks any; None after `wait_s`."""
        if self._newest is None:
            await self._reload()
        lacks = await self._follower.wait_for(lambda: self._newest != have or None, wait_s)
        return await self._answer(have) if lacks else None

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

    async def _reload(self) -> None:
        newest = await asyncio.to_thread(self._read_newest)
        if newest != self._newest:
            self._announce(newest)

    def _announce(self, newest: int) -> None:
        self._newest = newest
        self._answers.clear()
        self._follower.announce()

    def _read_newest(self) -> int:
        with self._database.connection() as connection:
            return dynamic.last_change(connection)

    def _read_changes(self, have: int) -> tuple[int, bytes]:
        with self._database.connection() as connection:
            changes = dynamic.changes_since(connection, have, datetime.now(UTC))
        return changes["change"], json.dumps(changes, separators=(",", ":"), ensure_ascii=False).encode()
