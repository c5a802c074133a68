"""ENUM client of the test SBC: one NAPTR question a call, with the source URI in an EDNS0 option.

Runs in two places: inside Kamailio (`call_logic.py`, Debian's Python, so the standard library only) and in the test
suite. It behaves as an Oracle SBC does: round robin, short time-out, a rest after a failure, out of service after
several in a row, and back by itself. What the servers' states are kept in is passed in, because Kamailio's workers
are processes and share them.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

NAPTR = 35
OPT = 41
IN = 1
OPTION_SOURCE_URI = 4  # draft-kaplan-enum-source-uri; the code SBCs use for it
UDP_PAYLOAD = 1232
FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5
SERVER_FAULTS = frozenset({FORMERR, SERVFAIL, NOTIMP, REFUSED})

Address = tuple[str, int]


class MalformedAnswerError(ValueError):
    """A datagram that is not a DNS answer."""


class Naptr(NamedTuple):
    """The fields of a NAPTR record (RFC 3403 section 4.1) that an ENUM client uses."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str


class Answer(NamedTuple):
    """What matters of a DNS answer."""

    identifier: int
    question: bytes
    rcode: int
    naptrs: tuple[Naptr, ...]


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


def encode_name(name: str) -> bytes:
    """Domain name in wire form (RFC 1035 section 3.1), without compression."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def enum_name(destination: str, apex: str) -> str:
    """Name that ENUM asks for `+E.164` (RFC 6116 section 3.2): the digits in reverse order under the apex."""
    return ".".join(reversed(destination.lstrip("+"))) + "." + apex


def encode_question(name: str) -> bytes:
    """Question section of a NAPTR query."""
    return encode_name(name) + struct.pack(">HH", NAPTR, IN)


def encode_query(identifier: int, name: str, source_uri: str | None) -> bytes:
    """NAPTR query with an OPT record (RFC 6891) that carries the source URI, if there is one."""
    option = b""
    if source_uri:
        data = source_uri.encode("utf-8")
        option = struct.pack(">HH", OPTION_SOURCE_URI, len(data)) + data
    header = struct.pack(">6H", identifier, 0x0100, 1, 0, 0, 1)
    record = b"\0" + struct.pack(">HHIH", OPT, UDP_PAYLOAD, 0, len(option)) + option
    return header + encode_question(name) + record


def decode_answer(message: bytes) -> Answer:
    """Header, question and NAPTR records of an answer. Raises MalformedAnswerError."""
    try:
        identifier, flags, questions, answers = struct.unpack_from(">4H", message)
        if not flags & 0x8000 or questions != 1:
            raise MalformedAnswerError("not an answer to one question")
        end = _skip_name(message, 12) + 4
        return Answer(identifier, message[12:end], flags & 0xF, tuple(_naptrs(message, end, answers)))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedAnswerError(str(error)) from None


def _skip_name(message: bytes, offset: int) -> int:
    while True:
        length = message[offset]
        if length & 0xC0:
            return offset + 2
        offset += 1 + length
        if length == 0:
            return offset


def _naptrs(message: bytes, offset: int, count: int) -> Iterator[Naptr]:
    for _ in range(count):
        offset = _skip_name(message, offset)
        kind, _class, _ttl, length = struct.unpack_from(">HHIH", message, offset)
        offset += 10
        if kind == NAPTR:
            yield _naptr(message[offset : offset + length])
        offset += length


def _naptr(data: bytes) -> Naptr:
    order, preference = struct.unpack_from(">HH", data)
    offset, texts = 4, []
    for _ in range(3):
        length = data[offset]
        texts.append(data[offset + 1 : offset + 1 + length].decode("utf-8"))
        offset += 1 + length
    return Naptr(order, preference, *texts)


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
            usable = [naptr for naptr in answer.naptrs if _is_terminal_sip(naptr)]
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


def _is_terminal_sip(naptr: Naptr) -> bool:
    return naptr.flags.lower() == "u" and naptr.service.lower() in {"e2u+sip", "sip+e2u"}
