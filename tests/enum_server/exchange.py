"""Datagrams to a server under test and back, from a chosen client address of the loopback network."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

import dns.message
import dns.rcode
from tests.conformance.targets import policy_document, query

from ringfence._native import EnumServer

TIMEOUT_S = 5.0
SILENCE_S = 0.2
NUMBER = "+12105550123"


@dataclass(frozen=True)
class Server:
    """A running server."""

    native: EnumServer

    @property
    def address(self) -> tuple[str, int]:
        """Its first address."""
        host, _, port = self.native.addresses[0].rpartition(":")
        return "127.0.0.1" if host == "0.0.0.0" else host.strip("[]"), int(port)

    def counter(self, name: str) -> int:
        """One of its counters."""
        return int(json.loads(self.native.counters())[name])

    def notices(self) -> list[dict[str, Any]]:
        """Its notices, which are then gone."""
        found: list[dict[str, Any]] = json.loads(self.native.notices())
        return found

    def exchange(
        self, wire: bytes, client: str = "127.0.0.1", to: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> bytes | None:
        """Send from `client`; the answer, which must come from where the query went, or None in time."""
        family = socket.AF_INET6 if ":" in client else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.bind((client, 0))
            channel.connect((to or self.address[0], self.address[1]))
            channel.settimeout(timeout_s)
            channel.send(wire)
            try:
                return channel.recv(65535)
            except TimeoutError:
                return None

    def ask(self, wire: bytes, client: str = "127.0.0.1") -> dns.message.Message:
        """The answer, read."""
        answer = self.exchange(wire, client)
        assert answer is not None, "no answer"
        return dns.message.from_wire(answer)

    def is_silent(self, client: str, wire: bytes | None = None) -> bool:
        """Whether this client is not answered."""
        return self.exchange(wire or query(NUMBER), client, timeout_s=SILENCE_S) is None


def naptr(answer: dns.message.Message) -> tuple[str, str]:
    """(service, regexp) of the only record."""
    assert answer.rcode() == dns.rcode.NOERROR
    ((record,),) = answer.answer
    return record.service.decode(), record.regexp.decode()


def policy(**changes: Any) -> bytes:
    """The conformance suite's policy with some fields changed."""
    return json.dumps(json.loads(policy_document()) | changes).encode()
