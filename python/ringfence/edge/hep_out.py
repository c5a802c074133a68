"""HEP out: what the edge records, copied to a HEP collector (E10): ENUM decisions as DNS (53), SIP calls as CDR (60).

```text
journal ── durable events, a reader of its own ──► rows ──► HEP3 ──► UDP or TCP
```
The journal is the queue: nothing waits for the collector, and what it was away for is sent when it is back, up to
`max_lag` events; older ones are left out and counted. It begins with what is recorded after the start. HEP has no
acknowledgement: a collector that fails may miss some and see some twice. Who needs every event reads the API.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pyarrow as pa
import structlog

from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import EventJournal
from ringfence.edge.hep import Endpoint, Kind, Sender, hep3
from ringfence.errors import ConfigurationError
from ringfence.numbering.display import e164
from ringfence.settings import HepOutSettings
from ringfence.vocabulary import Action, CallResult, Dataset, Direction, NumberClass, Reason, Transport

_BATCH = 1000
_WAIT_MS = 500
_SEND_TIMEOUT_S = 5.0

log = structlog.get_logger()


class HepOut:
    """Copies one journal to one collector."""

    def __init__(
        self,
        journal: EventJournal,
        settings: HepOutSettings,
        dataset: Dataset,
        own: Callable[[], Endpoint] = lambda: (ip_address("127.0.0.1"), 0),
    ) -> None:
        """`own` tells the address that an ENUM query was sent to. ConfigurationError: `to` makes no sense."""
        self._journal = journal
        self._address = _address(settings.to or "")
        self._sender = Sender(settings.capture_id, settings.node or socket.gethostname(), settings.key)
        self._max_lag = settings.max_lag
        self._packets = _calls if dataset is Dataset.SIP else _queries
        self._own = own
        self._sent_up_to: dict[int, int] = {}
        self.sent = 0
        self.dropped = 0
        self.failures = 0

    async def run(self) -> None:
        """Send until cancelled; a collector that is away is tried again."""
        self._sent_up_to = {stream: durable for stream, _, durable, _ in self._journal.streams()}
        backoff = Backoff()
        while True:
            try:
                await self._send_all()
                backoff.reset()
            except OSError as error:
                self.failures += 1
                log.warning("hep_out.failed", error=str(error), to=f"{self._address[1]}:{self._address[2]}")
            await asyncio.sleep(backoff.next_s())

    async def _send_all(self) -> None:
        with await asyncio.to_thread(self._connect) as line:
            while True:
                for stream, _, durable, _ in self._journal.streams():
                    await self._send(line, stream, durable)
                await asyncio.sleep(_WAIT_MS / 1000)

    def _connect(self) -> socket.socket:
        transport, host, port = self._address
        if transport == "tcp":
            return socket.create_connection((host, port), timeout=_SEND_TIMEOUT_S)
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        line = socket.socket(family, kind)
        line.connect(address)
        return line

    async def _send(self, line: socket.socket, stream: int, durable: int) -> None:
        at = self._sent_up_to.get(stream, 0)
        if durable < at:  # the journal began anew
            at = 0
        if durable - at > self._max_lag:
            self.dropped += durable - self._max_lag - at
            at = durable - self._max_lag
        self._sent_up_to[stream] = at
        while (batch := await asyncio.to_thread(self._journal.read, stream, at + 1, _BATCH)) is not None:
            first, last, arrow = batch
            self.dropped += first - at - 1
            await asyncio.to_thread(self._send_batch, line, arrow)
            at = self._sent_up_to[stream] = last

    def _send_batch(self, line: socket.socket, arrow: bytes) -> None:
        for packet in self._packets(pa.ipc.open_stream(arrow).read_all().to_pylist(), self._sender, self._own):
            if packet is None:
                self.dropped += 1
                continue
            line.sendall(packet)
            self.sent += 1


def _queries(rows: list[dict[str, Any]], sender: Sender, own: Callable[[], Endpoint]) -> Iterator[bytes | None]:
    """ENUM decisions as DNS."""
    for row in rows:
        payload = {
            "source": e164(row["source"]) or row["source_raw"] or NumberClass.word_of(row["source_class"]),
            "destination": e164(row["destination"]) or row["destination_raw"],
            "direction": Direction.word_of(row["direction"]),
            "action": Action.word_of(row["action"]),
            "reason": Reason.word_of(row["reason"]),
            "target": e164(row["target"]) or None,
            "rule_id": row["rule_id"],
            "policy_version": row["policy_version"],
            "rcode": row["rcode"],
            "latency_us": row["latency_ns"] / 1000,
        }
        transport = "tcp" if row["transport"] else "udp"
        ends = ((ip_address(row["peer"]), row["peer_port"]), own())
        yield hep3(sender, Kind.DNS, _microseconds(row), transport, ends, payload)


def _calls(rows: list[dict[str, Any]], sender: Sender, _own: Callable[[], Endpoint]) -> Iterator[bytes | None]:
    """SIP calls as CDR, with the names that Homer's users know beside ours."""
    for row in rows:
        payload = {
            "call_id": row["call_id"],
            "from_user": row["source_raw"],
            "ruri_user": row["destination_raw"],
            "result": CallResult.word_of(row["result"]),
            "status": row["status"],
            "user_agent": row["user_agent"],
            "codec": row["codec"],
        } | {
            name: row[name]
            for name in ("pdd_ms", "answer_ms", "duration_ms", "total_ms", "forward_mos_100", "backward_mos_100")
            if row[name] > 0
        }
        ends = (
            (ip_address(row["source_address"]), row["source_port"]),
            (ip_address(row["destination_address"]), row["destination_port"]),
        )
        transport = Transport.word_of(row["transport"])
        yield hep3(sender, Kind.CDR, _microseconds(row), transport, ends, payload, row["call_id"])


def _microseconds(row: dict[str, Any]) -> int:
    moment = row["time"]
    return int(moment.timestamp()) * 1_000_000 + int(moment.microsecond)


def _address(text: str) -> tuple[str, str, int]:
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if transport not in ("udp", "tcp") or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigurationError(f"edge.hep_out.to: {text!r} must be udp:HOST:PORT or tcp:HOST:PORT")
    return transport, host.strip("[]"), int(port)
