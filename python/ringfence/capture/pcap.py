"""SIP messages as a capture file again, for Wireshark and its like: values → bytes. Pure.

pcap with raw IP packets (LINKTYPE_RAW, 101): each message as one UDP datagram between its addresses, whatever carried
it on the wire; longer than a datagram holds, it is cut, and the packet's original length says so. Checksums are right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

_LINKTYPE_RAW = 101
_SNAP = 262_144
_UDP = 17
_MAX_PAYLOAD = 65_507


def write_pcap(messages: Iterable[dict[str, Any]]) -> bytes:
    """A whole file."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAP, _LINKTYPE_RAW)
    return header + b"".join(_record(message) for message in messages)


def _record(message: dict[str, Any]) -> bytes:
    whole = str(message["text"]).encode("utf-8", "replace")
    packet = _packet(str(message["source"]), str(message["destination"]), whole[:_MAX_PAYLOAD])
    time_us = int(message["time_us"])
    length = len(packet) + max(0, len(whole) - _MAX_PAYLOAD)
    return struct.pack("<IIII", time_us // 1_000_000, time_us % 1_000_000, len(packet), length) + packet


def _packet(source: str, destination: str, payload: bytes) -> bytes:
    (source_ip, source_port), (destination_ip, destination_port) = _end(source), _end(destination)
    if source_ip.version != destination_ip.version:
        source_ip, destination_ip = (_as_6(address) for address in (source_ip, destination_ip))
    if isinstance(source_ip, IPv6Address):
        payload = payload[: _MAX_PAYLOAD - 20]
    length = 8 + len(payload)
    ports = struct.pack("!HHH", source_port, destination_port, length)
    pseudo = source_ip.packed + destination_ip.packed + struct.pack("!IHBB", length, 0, 0, _UDP)
    checksum = _checksum(pseudo + ports + b"\0\0" + payload) or 0xFFFF
    datagram = ports + struct.pack("!H", checksum) + payload
    if isinstance(source_ip, IPv6Address):
        return struct.pack("!IHBB", 6 << 28, length, _UDP, 64) + source_ip.packed + destination_ip.packed + datagram
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0x4000, 64, _UDP)
    addresses = source_ip.packed + destination_ip.packed
    return head + struct.pack("!H", _checksum(head + b"\0\0" + addresses)) + addresses + datagram


def _end(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    host, _, port = text.rpartition(":")
    return ip_address(host.strip("[]").partition("%")[0]), int(port)


def _as_6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address


def _checksum(octets: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
