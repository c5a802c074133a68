"""Facts up: reads durable events from the journal and uploads them until the mediation holds them all.

```text
hello ──► received of each stream ──► read(received + 1) ──► POST ──► acknowledge ─┐
  ▲                                        ▲───────────────────────────────────────┘
  └── any failure: pause, next mediation, ask again: what the *committed* database holds rules
```
Exactly once: an upload whose answer was lost is repeated from what hello tells, and the mediation trims what it
knows. One upload at a time per stream; streams do not wait for each other. A mediation that holds more than this
journal can have sent tells that its folder was set back: the journal then goes on under a new id.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from ringfence import __version__
from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import EventJournal
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import GapError, Hello, MediationClient, TooLargeError
from ringfence.errors import RingfenceError, UnavailableError

# What a kind of device records.
DATASETS = {"enum": "enum", "probe": "sip"}

log = structlog.get_logger()


class Uplink:
    """Uploads one journal."""

    def __init__(
        self, journal: EventJournal, *, kind: str, upload_events: int, upload_ms: int, failures: Failures | None = None
    ) -> None:
        self._journal = journal
        self._failures = failures or Failures()
        self._kind = kind
        self._dataset = DATASETS[kind]
        self._upload_events = upload_events
        self._upload_ms = upload_ms
        self._received: dict[int, int] = {}
        self.is_connected = False
        self.uploaded = 0
        self.uploads = 0
        self.failures = 0

    async def run(self, client: MediationClient) -> None:
        """Upload until cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self._connect(client)
                while True:
                    await self._send_all(client)
                    backoff.reset()
                    await asyncio.to_thread(self._journal.wait, self._upload_ms)
            except RingfenceError as error:
                self.failures += 1
                self._failures.tell("uplink.failed", error)
            finally:
                self.is_connected = False
            await asyncio.sleep(backoff.next_s())

    async def _connect(self, client: MediationClient) -> None:
        """Learn what the mediation holds: that rules, also when it is less than it once acknowledged."""
        self._generation = client.generation
        hello = await self._hello(client)
        try:
            retired = await asyncio.to_thread(self._journal.reconcile, dict(hello.received))
        except OSError as error:
            raise UnavailableError(f"journal: what it agreed with the mediation cannot be kept: {error}") from None
        if retired is not None:
            # The one place where a journal changes its name: whoever audits the numbers looks for this line.
            log.error("uplink.journal_retired", why=retired, journal_id=self._journal.journal_id, device=hello.device)
            hello = await self._hello(client)
        self._received = dict(hello.received)
        self.is_connected = True
        log.info("uplink.connected", mediation=hello.address, device=hello.device, received=dict(hello.received))

    async def _hello(self, client: MediationClient) -> Hello:
        return await client.hello(self._kind, __version__, self._journal.journal_id, time.time_ns() // 1000)

    async def _send_all(self, client: MediationClient) -> None:
        streams = [stream for stream, *_ in self._journal.streams()]
        outcomes = await asyncio.gather(*(self._send(client, one) for one in streams), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        # Another task met a dead mediation: its successor may hold less.
        if client.generation != self._generation:
            raise UnavailableError("the mediation changed; asking the new one what it holds")

    async def _send(self, client: MediationClient, stream: int) -> None:
        """Upload everything durable of one stream."""
        received = self._received.get(stream, 0)
        durable = self._durable(stream)
        if received > durable:
            raise UnavailableError(f"stream {stream}: the mediation holds {received}, the journal only {durable}")
        self._journal.acknowledge(stream, received)
        while True:
            batch = await asyncio.to_thread(self._journal.read, stream, received + 1, self._upload_events)
            if batch is None:
                return
            received = await self._upload(client, stream, received, batch)
            self._received[stream] = received
            self._journal.acknowledge(stream, min(received, self._durable(stream)))

    async def _upload(self, client: MediationClient, stream: int, received: int, batch: tuple[int, int, bytes]) -> int:
        first, last, arrow = batch
        first_kept = None
        if first > received + 1:
            first_kept = first
            log.error("uplink.hole", stream=stream, missing_from=received + 1, missing_to=first - 1)
        try:
            now = await client.post_events(
                self._journal.journal_id, stream, arrow, dataset=self._dataset, first_kept=first_kept
            )
        except GapError as gap:
            if gap.received >= received:
                raise UnavailableError(f"stream {stream}: {gap.message}, {first} to {last} does not continue") from gap
            # The database was set back: send the difference again.
            log.warning("uplink.gap", stream=stream, received=gap.received, sent_from=first)
            return gap.received
        except TooLargeError as error:
            if first == last:
                raise
            self._upload_events = max(1, min(self._upload_events, last - first + 1) // 2)
            log.warning("uplink.too_large", error=error.message, upload_events=self._upload_events)
            return received
        if now > last:
            raise UnavailableError(f"stream {stream}: the mediation holds {now}, but {last} was sent: asking it again")
        if now <= received:
            raise UnavailableError(f"stream {stream}: the mediation took {first} to {last} but holds {now} only")
        self.uploads += 1
        self.uploaded += now - received
        return now

    def _durable(self, stream: int) -> int:
        return next((durable for one, _, durable, _ in self._journal.streams() if one == stream), 0)
