"""Whether the data plane answers: asks it what an SBC's health check asks, on each of its addresses.

Nothing of the mediation is looked at: without it the edge is well (R4).
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address

from ringfence.edge.data_plane import DataPlane

_TIMEOUT_S = 1.0
_NAPTR, _IN = 35, 1
_IS_RESPONSE = 0x80
_HEADER = 12


def what_is_wrong(addresses: Sequence[str], apex: str) -> str | None:
    """Which of the addresses (ADDRESS:PORT) does not answer for `health.<apex>`, and how; None when all do."""
    if not addresses:
        return "the data plane listens nowhere"
    for address in addresses:
        if (wrong := _ask(address, apex)) is not None:
            return f"{address}: {wrong}"
    return None


class AnswersOrMoves:
    """For a watchdog: the data plane answers, or at least goes on counting.

    One that is flooded drops the health query with others; restarting it would only make that worse.
    """

    def __init__(self, server: DataPlane, apex: str) -> None:
        self._server = server
        self._apex = apex
        self._counters = ""

    def is_well(self) -> bool:
        """Whether it answers on every address, or its counters moved since the last time."""
        before, self._counters = self._counters, self._server.counters()
        return what_is_wrong(self._server.addresses, self._apex) is None or self._counters != before


def _ask(address: str, apex: str) -> str | None:
    host, _, port = address.rpartition(":")
    destination = ip_address(host.strip("[]"))
    if destination.is_unspecified:
        destination = ip_address("127.0.0.1" if destination.version == 4 else "::1")
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    query = _query(f"health.{apex}")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            line.settimeout(_TIMEOUT_S)
            line.connect((str(destination), int(port)))
            line.send(query)
            answer = line.recv(512)
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except OSError as error:
        return error.strerror or str(error)
    if len(answer) < _HEADER or answer[:2] != query[:2] or not answer[2] & _IS_RESPONSE:
        return "the answer is not one"
    rcode = answer[3] & 0x0F
    return f"answers RCODE {rcode}" if rcode else None


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.rstrip(".").split("."))
    head = struct.pack("!HHHHHH", secrets.randbits(16), 0, 1, 0, 0, 0)
    return head + labels + b"\0" + struct.pack("!HH", _NAPTR, _IN)
