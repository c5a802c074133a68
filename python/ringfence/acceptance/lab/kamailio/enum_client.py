"""ENUM client of the test SBC: one NAPTR question a call, with the source URI in an EDNS0 option.

Runs in two places: inside Kamailio (`call_logic.py`, Debian's Python, so the standard library only) and in the test
suite. It behaves as an Oracle SBC does: round robin, short time-out, a rest after a failure, out of service after
several in a row, and back by itself. What the servers' states are kept in is passed in, because Kamailio's workers
are processes and share them.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from ringfence.acceptance.sbc.wire import (
    SERVER_FAULTS,
    Answer,
    MalformedAnswerError,
    decode_answer,
    encode_query,
    encode_question,
    enum_name,
    is_terminal_sip,
)

Address = tuple[str, int]


class Outcome(NamedTuple):
    """Result of a dip: a regular expression, no record, or no server that answered."""

    status: Literal["found", "none", "down"]
    regexp: str | None
    server: int | None


class SharedState(Protocol):
    """Small integers by name, shared by all workers of one SBC."""

    def increment(self, name: str) -> int:
        """Add one and return the new value, atomically."""

    def get(self, name: str) -> int:
        """Value of `name`, 0 when it was never set."""

    def put(self, name: str, value: int) -> None:
        """Set `name`."""


class PrivateState:
    """State of a single process."""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def increment(self, name: str) -> int:
        value = self._values.get(name, 0) + 1
        self._values[name] = value
        return value

    def get(self, name: str) -> int:
        return self._values.get(name, 0)

    def put(self, name: str, value: int) -> None:
        self._values[name] = value


class EnumClient:
    """Asks one of several ENUM servers; knows which of them not to ask for now."""

    def __init__(
        self,
        servers: Sequence[Address],
        apex: str,
        state: SharedState,
        *,
        timeout_s: float = 0.25,
        rest_s: float = 0.0,
        failures: int = 5,
        out_of_service_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers)
        self._apex = apex
        self._state = state
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._failures = failures
        self._out_of_service_s = out_of_service_s
        self._clock = clock

    def ask(self, destination: str, source_uri: str | None) -> Outcome:
        """Ask the servers in turn until one answers; each at most once."""
        name = enum_name(destination, self._apex)
        for server in self._order():
            answer = self._exchange(self._servers[server], name, source_uri)
            if answer is None or answer.rcode in SERVER_FAULTS:
                self._failed(server)
                continue
            self._state.put(f"failures{server}", 0)
            usable = [naptr for naptr in answer.naptrs if is_terminal_sip(naptr)]
            if not usable:
                return Outcome("none", None, server)
            return Outcome("found", min(usable, key=lambda naptr: (naptr.order, naptr.preference)).regexp, server)
        return Outcome("down", None, None)

    def _order(self) -> list[int]:
        now_ms = int(self._clock() * 1000)
        in_service = [n for n in range(len(self._servers)) if self._state.get(f"until{n}") <= now_ms]
        if not in_service:
            return []
        turn = self._state.increment("turn") - 1
        return [in_service[(turn + step) % len(in_service)] for step in range(len(in_service))]

    def _failed(self, server: int) -> None:
        failures = self._state.increment(f"failures{server}")
        hold_s = self._rest_s
        if failures >= self._failures:
            hold_s = self._out_of_service_s
            self._state.put(f"failures{server}", 0)
        self._state.put(f"until{server}", int((self._clock() + hold_s) * 1000))

    def _exchange(self, address: Address, name: str, source_uri: str | None) -> Answer | None:
        """One question to one server; None when it is silent or not there."""
        identifier = secrets.randbelow(1 << 16)
        question = encode_question(name)
        # A socket for each question, connected: a late answer to an earlier one cannot arrive here, and a server
        # that is not there shows at once (ICMP port unreachable).
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            try:
                channel.connect(address)
                channel.send(encode_query(identifier, name, source_uri))
                deadline = time.monotonic() + self._timeout_s
                while (left := deadline - time.monotonic()) > 0:
                    channel.settimeout(left)
                    try:
                        answer = decode_answer(channel.recv(4096))
                    except MalformedAnswerError:
                        continue
                    if answer.identifier == identifier and answer.question == question:
                        return answer
            except OSError:
                return None
        return None
