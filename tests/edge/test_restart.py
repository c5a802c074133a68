"""A restart under load: from the first answer on the stored policy decides, never the fail mode (R4)."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import dns.message
import pyarrow.compute as pc
import pytest
from tests.edge.edge_process import Edge
from tests.edge.partners import DOCUMENT, sha256, wait_until

from ringfence.edge.policy_store import PolicyStore, StoredPolicy

VERSION = 9
RESTARTS = 3


def large_policy() -> bytes:
    """Takes long enough to compile that queries would find a server without it."""
    entries = [f"+1900{number:07d}" for number in range(100_000)]
    return json.dumps({**DOCUMENT, "version": VERSION, "lists": {"bad": {"entries": entries}}}).encode()


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Queries all the time, whether somebody listens or not."""
    host, port = address.rsplit(":", 1)
    query = dns.message.make_query("0.0.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR").to_wire()
    stopping = Event()

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            while not stopping.is_set():
                with suppress(OSError):
                    line.sendto(query, (host, int(port)))
                with suppress(OSError):
                    line.recv(512)
                time.sleep(0.0005)

    thread = Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@pytest.mark.slow
def test_no_query_meets_the_fail_mode_over_restarts_under_load(tmp_path: Path) -> None:
    content = large_policy()
    data = tmp_path / "data"
    PolicyStore(data / "enum" / "policy").save(StoredPolicy(VERSION, sha256(content), content))
    edge = Edge(data)
    address = edge.addresses["listen"][0]
    with asking(address):
        for number in [signal.SIGKILL, *[signal.SIGTERM] * (RESTARTS - 1)]:
            answered = edge.metric("ringfence_enum_answers_total")
            wait_until(lambda: edge.metric("ringfence_enum_answers_total") > answered, "it answers")  # noqa: B023
            edge.stop(number)
            edge = Edge(data, listen=address)
    edge.stop()
    events = edge.events()
    assert events.num_rows > RESTARTS
    assert pc.unique(events["policy_version"]).to_pylist() == [VERSION]
