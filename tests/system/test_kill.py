"""Kill -9 of each process in turn under load: what was answered is recorded exactly once (issue 2, done when 4)."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.system.running_node import RunningNode, eventually

RATE_PER_S = 2000
FIRST_NUMBER = 1_212_200_0000
_APEX = b"\x04e164\x08internal\x00"


def query_bytes(identity: int, number: int) -> bytes:
    """A NAPTR query for a number's ENUM name (RFC 6116 section 3.2), without EDNS."""
    labels = b"".join(b"\x01" + digit.encode() for digit in reversed(str(number)))
    return struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + _APEX + struct.pack("!HH", 35, 1)


@dataclass
class Load:
    """Asks about one new number after the other, and knows which were answered."""

    address: tuple[str, int]
    sent: list[float] = field(default_factory=list)  # when number FIRST_NUMBER + index was asked
    answered: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("127.0.0.1", 0))  # not connected: a dead server's ICMP must not disturb us
        self._socket.settimeout(0.2)
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._listen)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._socket.close()

    def end(self) -> None:
        """Stop asking; return when no more answers come."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * RATE_PER_S)
            while len(self.sent) < due:
                index = len(self.sent)
                self.sent.append(time.monotonic())
                self._socket.sendto(query_bytes(index & 0xFFFF, FIRST_NUMBER + index), self.address)
            time.sleep(0.002)

    def _listen(self) -> None:
        quiet_since = time.monotonic()
        while not self._stop.is_set() or time.monotonic() < quiet_since + 1:
            try:
                packet = self._socket.recv(4096)
            except TimeoutError:
                continue
            quiet_since = time.monotonic()
            identity = int.from_bytes(packet[:2], "big")
            # 16 bits of identity: the newest number asked with it.
            newest = len(self.sent) - 1
            self.answered.add(newest - ((newest - identity) & 0xFFFF))

    def unanswered_between(self, first: float, last: float) -> int:
        """How many questions of that time have no answer."""
        return sum(1 for index, at in enumerate(list(self.sent)) if first <= at < last and index not in self.answered)


@pytest.mark.load
@pytest.mark.slow
def test_kill_of_each_process_in_turn_under_load_loses_and_doubles_nothing(node: RunningNode) -> None:
    with Load(node.enum_address()) as load:
        eventually(lambda: len(load.answered) > RATE_PER_S, "the load is answered")
        quiet: list[tuple[str, float, float]] = []
        for service in ("mediation", "database"):
            began = time.monotonic()
            node.kill_service(service)
            quiet.append((service, began, time.monotonic()))
        node.kill_service("enum")
        after = len(load.answered)
        eventually(lambda: len(load.answered) > after + RATE_PER_S, "the restarted ENUM server answers")
        load.end()
    for service, first, last in quiet:
        assert load.unanswered_between(first, last) == 0, f"while {service} was dead"

    answered = {FIRST_NUMBER + index for index in load.answered}
    recorded: dict[int, int] = {}

    def all_recorded() -> bool:
        rows = node.rows(f"SELECT destination, count(*) FROM enum_event WHERE destination >= {FIRST_NUMBER} GROUP BY 1")
        recorded.clear()
        recorded.update(rows)
        return answered <= recorded.keys()

    eventually(all_recorded, "every answered question is in the database", 60)
    assert {number: times for number, times in recorded.items() if times != 1} == {}
    # Nothing was invented either: what is recorded was asked.
    assert recorded.keys() <= {FIRST_NUMBER + index for index in range(len(load.sent))}


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", [("up", "enum", "mediation", "database"), ("database", "up", "mediation", "enum")], ids=" ".join
)
def test_up_starts_cleanly_after_kill_of_everything(node: RunningNode, order: tuple[str, ...]) -> None:
    number = f"+{FIRST_NUMBER + 900_000 + len(order[0])}"
    node.decide(number)
    eventually(lambda: any(call["destination"] == number for call in node.events()), "the call is recorded", 20)
    pids = {service: node.pid(service) for service in ("database", "mediation", "enum")}
    assert all(pids.values())
    for victim in order:
        if victim == "up":
            node.kill()
        else:
            with suppress(ProcessLookupError):  # it may have followed its supervisor already
                os.kill(pids[victim], signal.SIGKILL)
    node.start()
    assert "one-time password" not in node.said()
    assert node.decide(number)
    assert node.rows(f"SELECT count(*) >= 1 FROM enum_event WHERE destination = {number[1:]}") == [(True,)]
    assert node.rows("SELECT name FROM device") == [("enum-1",)]
