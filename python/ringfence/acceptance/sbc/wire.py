"""DNS as an ENUM client writes and reads it: one NAPTR question, with the source URI in an EDNS0 option.

The standard library only: also Kamailio's own Python runs this (`lab.kamailio.call_logic`). Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

NAPTR = 35
OPT = 41
IN = 1
OPTION_SOURCE_URI = 4  # draft-kaplan-enum-source-uri; the code SBCs use for it
UDP_PAYLOAD = 1232
FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5
SERVER_FAULTS = frozenset({FORMERR, SERVFAIL, NOTIMP, REFUSED})


class MalformedAnswerError(ValueError):
    """A datagram that is not a DNS answer."""


class Naptr(NamedTuple):
    """The fields of a NAPTR record (RFC 3403 section 4.1) that an ENUM client uses."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    ttl: int


class Answer(NamedTuple):
    """What matters of a DNS answer."""

    identifier: int
    question: bytes
    rcode: int
    naptrs: tuple[Naptr, ...]


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
        kind, _class, ttl, length = struct.unpack_from(">HHIH", message, offset)
        offset += 10
        if kind == NAPTR:
            yield _naptr(message[offset : offset + length], ttl)
        offset += length


def _naptr(data: bytes, ttl: int) -> Naptr:
    order, preference = struct.unpack_from(">HH", data)
    offset, texts = 4, list[str]()
    for _ in range(3):
        length = data[offset]
        texts.append(data[offset + 1 : offset + 1 + length].decode("utf-8"))
        offset += 1 + length
    flags, service, regexp = texts
    return Naptr(order, preference, flags, service, regexp, ttl)


def is_terminal_sip(naptr: Naptr) -> bool:
    """Whether an ENUM client takes it: terminal, and of SIP in the order of RFC 6116 or of RFC 2916."""
    return naptr.flags.lower() == "u" and naptr.service.lower() in {"e2u+sip", "sip+e2u"}
