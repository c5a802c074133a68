"""Distribution: which policy version each device should have, and telling it the moment that changes.

    install (any mediation) ── NOTIFY, at commit ──► ChannelFollower ──► reload ──► long polls wake

The wanted state is small and held in memory: for each device a version and the hash of its document.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from ringfence.database.connection import Database
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels
from ringfence.mediation.wanted import NOTHING, Wanted, read_wanted
from ringfence.policy.documents import read_document_by_hash
from ringfence.policy.targets import CHANNEL

_DOCUMENTS_KEPT = 8
log = structlog.get_logger()


class Distribution:
    """The wanted state of every device, and those who wait for it to change. Lives on one event loop."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._database = database
        self._wanted: dict[int, Wanted] | None = None
        self._follower = ChannelFollower(channels, CHANNEL, self._reload)
        self._documents: OrderedDict[str, bytes] = OrderedDict()

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

    async def wait_for_change(self, device_id: int, version: int, hash_: str, wait_s: float) -> Wanted | None:
        """What the device should have, as soon as that differs from (version, hash); None after `wait_s`."""
        if self._wanted is None or device_id not in self._wanted:
            await self._reload()  # the first poll, or of a device that was registered just now

        def differs() -> Wanted | None:
            wanted = (self._wanted or {}).get(device_id)
            return None if wanted is None or (wanted.version, wanted.hash) == (version, hash_) else wanted

        return await self._follower.wait_for(differs, wait_s)

    async def document(self, wanted: Wanted) -> bytes:
        """A device's document, from memory where it was asked for lately."""
        if wanted.hash not in self._documents:
            self._documents[wanted.hash] = await asyncio.to_thread(self._read_document, wanted.hash)
        self._documents.move_to_end(wanted.hash)
        while len(self._documents) > _DOCUMENTS_KEPT:
            self._documents.popitem(last=False)
        return self._documents[wanted.hash]

    async def _reload(self) -> None:
        wanted = await asyncio.to_thread(self._read_wanted)
        if wanted == self._wanted:
            return
        # A device whose document does not compile keeps what it was to have before.
        self._wanted = {**{device: kept for device, kept in (self._wanted or {}).items() if kept != NOTHING}, **wanted}
        log.info("distribution.wanted", versions=sorted({one.version for one in wanted.values()}), devices=len(wanted))
        self._follower.announce()

    def _read_wanted(self) -> dict[int, Wanted]:
        with self._database.connection() as connection:
            return read_wanted(connection, is_made=True)

    def _read_document(self, hash_: str) -> bytes:
        with self._database.connection() as connection:
            return read_document_by_hash(connection, hash_)
