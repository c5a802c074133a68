"""Distribution: which policy version each device should have, and telling it the moment that changes.

    install (any mediation) ── NOTIFY, at commit ──► every mediation's LISTEN connection ──► reload ──► long polls wake

The wanted state is small and held in memory; it is read again at every notification, after every reconnection
(what was notified meanwhile is gone) and every few seconds in any case. While the database is away the last state
known stands.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import structlog

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation import devices
from ringfence.policy import versions
from ringfence.policy.versions import UNINSTALLED, Installed

RELOAD_EVERY_S = 5.0
RECONNECT_AFTER_S = 0.2
_DOCUMENTS_KEPT = 4
log = structlog.get_logger()


@dataclass(frozen=True)
class _Wanted:
    """What is installed everywhere, and the devices that are told otherwise."""

    everywhere: Installed
    overrides: dict[int, Installed]

    def of(self, device_id: int) -> Installed:
        return self.overrides.get(device_id, self.everywhere)


class Distribution:
    """The wanted state of every device, and those who wait for it to change. Lives on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted: _Wanted | None = None
        self._changed = asyncio.Event()
        self._documents: OrderedDict[int, bytes] = OrderedDict()
        self._stopping = False
        self.waiting = 0  # polls under way

    async def run(self) -> None:
        """Follow the database until cancelled; reconnects for ever."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, UnavailableError) as error:
                log.warning("distribution.disconnected", error=str(error).strip().split("\n")[0])
                await asyncio.sleep(RECONNECT_AFTER_S)

    def stop(self) -> None:
        """Send every waiting poll home with nothing new."""
        self._stopping = True
        self._changed.set()

    async def wait_for_change(self, device_id: int, version: int, hash_: str, wait_s: float) -> Installed | None:
        """What the device should have, as soon as that differs from (version, hash); None after `wait_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        if self._wanted is None:
            await self._reload()
        while not self._stopping:
            assert self._wanted is not None  # noqa: S101 - loaded above, never taken back
            changed = self._changed
            wanted = self._wanted.of(device_id)
            if (wanted.version, wanted.hash) != (version, hash_):
                return wanted
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

    async def document(self, version: int) -> bytes:
        """A version's document, from memory where it was asked for lately."""
        if version not in self._documents:
            self._documents[version] = await asyncio.to_thread(self._read_document, version)
        self._documents.move_to_end(version)
        while len(self._documents) > _DOCUMENTS_KEPT:
            self._documents.popitem(last=False)
        return self._documents[version]

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(f"LISTEN {versions.CHANNEL}")
            while True:
                await self._reload()
                async for _ in connection.notifies(timeout=RELOAD_EVERY_S, stop_after=1):
                    pass

    async def _reload(self) -> None:
        wanted = await asyncio.to_thread(self._read_wanted)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        log.info("distribution.wanted", version=wanted.everywhere.version, overrides=len(wanted.overrides))
        waiters, self._changed = self._changed, asyncio.Event()
        waiters.set()

    def _read_wanted(self) -> _Wanted:
        with self._database.connection() as connection:
            everywhere = versions.installed_everywhere(connection)
            overrides = devices.wanted_overrides(connection)
            hashes = versions.hashes_of(connection, set(overrides.values()))
        return _Wanted(
            everywhere,
            {
                device: Installed(version, hashes.get(version, UNINSTALLED.hash))
                for device, version in overrides.items()
            },
        )

    def _read_document(self, version: int) -> bytes:
        with self._database.connection() as connection:
            return versions.read_document(connection, version)
