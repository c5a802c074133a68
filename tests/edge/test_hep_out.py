"""HEP out: what a small collector receives of ENUM decisions and of calls (E10)."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.partners import wait_until
from tests.ingest.samples import NOON, upload
from tests.ingest.sip_samples import sip_upload

from ringfence.edge.hep import Kind, Sender, hep3
from ringfence.edge.hep_out import HepOut
from ringfence.errors import ConfigurationError
from ringfence.settings import HepOutSettings
from ringfence.vocabulary import Dataset


def chunks_of(packet: bytes) -> dict[int, bytes]:
    """Read as the specification says it, independently of the writer."""
    assert packet[:4] == b"HEP3"
    assert int.from_bytes(packet[4:6]) == len(packet)
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack_from("!HHH", packet, at)
        assert vendor == 0
        found[kind] = packet[at + 6 : at + length]
        at += length
    return found


class Journal:
    """A journal's reading side with as many events as `batches` say."""

    def __init__(self, *batches: tuple[int, int, bytes]) -> None:
        self.batches = list(batches)
        self.durable = 0

    journal_id, lost = 1, 0

    def streams(self) -> list[tuple[int, int, int, int]]:
        return [(0, 1, self.durable, 0)]

    def read(self, stream: int, first: int, max_events: int) -> tuple[int, int, bytes] | None:
        return next((batch for batch in self.batches if batch[0] <= first <= min(batch[1], self.durable)), None)

    def acknowledge(self, stream: int, sequence: int) -> None: ...
    def reconcile(self, received: dict[int, int]) -> str | None: ...
    def wait(self, timeout_ms: int) -> bool:
        return False

    def take_notices(self) -> list[str]:
        return []


@contextmanager
def collector() -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        line.settimeout(30)
        yield line, f"udp:127.0.0.1:{line.getsockname()[1]}"


def copied(journal: Journal, to: str, dataset: Dataset, until: Any, **more: Any) -> HepOut:
    """Run HEP out until `until(out)` holds; events become durable after it has begun."""
    settings = HepOutSettings(to=to, key="secret", node="edge-1", **more)
    out = HepOut(journal, settings, dataset, lambda: (ip_address("127.0.0.1"), 53))

    async def run() -> None:
        task = asyncio.create_task(out.run())
        await asyncio.sleep(0)
        journal.durable = max(last for _, last, _ in journal.batches)
        await asyncio.to_thread(wait_until, lambda: until(out), "the copies are sent")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    return out


def test_a_decision_is_copied_as_dns() -> None:
    with collector() as (line, to):
        out = copied(Journal((1, 1, upload([{"action": 2}]))), to, Dataset.ENUM, lambda out: out.sent == 1)
        chunks = chunks_of(line.recv(65_535))
    assert (chunks[1], chunks[2], chunks[0x0B]) == (b"\x02", b"\x06", b"\x35")
    assert (chunks[3], chunks[4]) == (bytes([192, 0, 2, 7]), bytes([127, 0, 0, 1]))
    assert (chunks[7], chunks[8]) == (struct.pack("!H", 40_000), struct.pack("!H", 53))
    assert int.from_bytes(chunks[9]) == int(NOON.timestamp())
    assert (chunks[0x0E], chunks[0x13], chunks[0x0C]) == (b"secret", b"edge-1", struct.pack("!I", 2001))
    decision = json.loads(chunks[0x0F])
    assert (decision["source"], decision["destination"], decision["action"]) == (
        "+12105550123",
        "+19005550100",
        "terminate",
    )
    assert (out.dropped, out.failures) == (0, 0)


def test_a_call_is_copied_as_cdr_with_its_call_id_to_correlate_by() -> None:
    with collector() as (line, to):
        copied(Journal((1, 1, sip_upload([{}]))), to, Dataset.SIP, lambda out: out.sent == 1)
        chunks = chunks_of(line.recv(65_535))
    assert chunks[0x0B] == b"\x3c"
    assert chunks[0x11] == b"a84b4c76e66710@192.0.2.7"
    # Its ends are of two families: both are written as IPv6.
    assert chunks[1] == b"\x0a"
    assert chunks[5] == ip_address("::ffff:192.0.2.7").packed
    call = json.loads(chunks[0x0F])
    assert (call["from_user"], call["result"], call["duration_ms"]) == ("2105550123", "answered", 61_500)


def test_what_lies_too_far_behind_is_left_out_and_counted() -> None:
    events = upload([{}] * 100)
    batches = (1, 90, events), (91, 100, upload([{}] * 10, 91))
    with collector() as (_, to):
        out = copied(Journal(*batches), to, Dataset.ENUM, lambda out: out.sent == 10, max_lag=10)
    assert out.dropped == 90


def test_a_collector_that_is_away_is_tried_again() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    journal = Journal((1, 1, upload([{}])))
    out = copied(journal, f"tcp:127.0.0.1:{port}", Dataset.ENUM, lambda out: out.failures >= 2)
    assert out.sent == 0


@pytest.mark.parametrize("to", ["", "localhost:9060", "udp:host", "sctp:host:1", "udp::9060", "tcp:host:0"])
def test_an_address_that_makes_no_sense_is_refused(to: str) -> None:
    with pytest.raises(ConfigurationError, match=r"edge\.hep_out\.to"):
        HepOut(Journal(), HepOutSettings(to=to), Dataset.ENUM)


@given(st.text(max_size=400), st.text(max_size=100), st.integers(0, 2**52))
def test_any_text_makes_a_packet_that_can_be_read(text: str, correlation: str, time_us: int) -> None:
    end = (ip_address("192.0.2.1"), 5060)
    packet = hep3(Sender(1, "n"), Kind.CDR, time_us, "udp", (end, end), {"x": text}, correlation)
    assert packet is not None
    chunks_of(packet)


def test_what_is_longer_than_a_packet_is_left_out() -> None:
    end = (ip_address("192.0.2.1"), 5060)
    assert hep3(Sender(1, "n"), Kind.CDR, 0, "udp", (end, end), {"x": "y" * 70_000}) is None
