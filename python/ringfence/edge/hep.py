"""HEP3 (EEP) packets as collectors such as Homer take them: values → bytes. Pure.

HEP3 Network Protocol Specification, revision 37. Everything is big-endian:
```text
"HEP3" │ u16 total length │ chunk … │ chunk: u16 vendor (0) │ u16 type │ u16 length with these 6 │ body
```
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

_MAGIC = b"HEP3"
_HEADER = struct.Struct("!4sH")
_CHUNK = struct.Struct("!HHH")
_MAX = 65_535
_FAMILY = {4: 2, 6: 10}
_PROTOCOL = {"udp": 17, "tcp": 6, "tls": 6, "ws": 6, "wss": 6, "sctp": 132}
_MICROSECONDS = 1_000_000


class Chunk(IntEnum):
    """Types of generic chunks (vendor 0)."""

    FAMILY = 0x0001
    PROTOCOL = 0x0002
    SOURCE_4 = 0x0003
    DESTINATION_4 = 0x0004
    SOURCE_6 = 0x0005
    DESTINATION_6 = 0x0006
    SOURCE_PORT = 0x0007
    DESTINATION_PORT = 0x0008
    SECONDS = 0x0009
    MICROSECONDS = 0x000A
    KIND = 0x000B
    CAPTURE_ID = 0x000C
    KEY = 0x000E
    PAYLOAD = 0x000F
    CORRELATION = 0x0011
    NODE = 0x0013


class Kind(IntEnum):
    """Protocol types (chunk 0x000b)."""

    SIP = 0x01
    DNS = 0x35
    CDR = 0x3C


@dataclass(frozen=True)
class Sender:
    """Who sends: the same in every packet."""

    capture_id: int
    node: str
    key: str | None = None


Endpoint = tuple[IPv4Address | IPv6Address, int]


def hep3(
    sender: Sender,
    kind: Kind,
    time_us: int,
    transport: str,
    ends: tuple[Endpoint, Endpoint],
    payload: Mapping[str, Any],
    correlation: str = "",
) -> bytes | None:
    """One packet with a JSON payload; see `hep3_octets`."""
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return hep3_octets(sender, kind, time_us, transport, ends, body, correlation)


def hep3_octets(
    sender: Sender,
    kind: Kind,
    time_us: int,
    transport: str,
    ends: tuple[Endpoint, Endpoint],
    body: bytes,
    correlation: str = "",
) -> bytes | None:
    """One packet with a payload as it is; None when it would be longer than HEP3 can say.

    Both ends are of one family; an IPv4 end beside an IPv6 one is written as mapped.
    """
    (source, source_port), (destination, destination_port) = ends
    if source.version != destination.version:
        source, destination = _mapped(source), _mapped(destination)
    version = source.version
    chunks = [
        (Chunk.FAMILY, bytes([_FAMILY[version]])),
        (Chunk.PROTOCOL, bytes([_PROTOCOL.get(transport, 17)])),
        (Chunk.SOURCE_4 if version == 4 else Chunk.SOURCE_6, source.packed),
        (Chunk.DESTINATION_4 if version == 4 else Chunk.DESTINATION_6, destination.packed),
        (Chunk.SOURCE_PORT, struct.pack("!H", source_port)),
        (Chunk.DESTINATION_PORT, struct.pack("!H", destination_port)),
        (Chunk.SECONDS, struct.pack("!I", time_us // _MICROSECONDS & 0xFFFFFFFF)),
        (Chunk.MICROSECONDS, struct.pack("!I", time_us % _MICROSECONDS)),
        (Chunk.KIND, bytes([kind])),
        (Chunk.CAPTURE_ID, struct.pack("!I", sender.capture_id)),
        (Chunk.NODE, sender.node.encode()),
        (Chunk.PAYLOAD, body),
    ]
    if sender.key:
        chunks.append((Chunk.KEY, sender.key.encode()))
    if correlation:
        chunks.append((Chunk.CORRELATION, correlation.encode("utf-8", "replace")))
    total = _HEADER.size + sum(_CHUNK.size + len(octets) for _, octets in chunks)
    if total > _MAX:
        return None
    written = b"".join(_CHUNK.pack(0, kind_, _CHUNK.size + len(octets)) + octets for kind_, octets in chunks)
    return _HEADER.pack(_MAGIC, total) + written


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address
