"""Messages as a capture file: what another reader finds in it."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.capture.pcap import write_pcap


def message(source: str, destination: str, text: str, time_us: int = 1_763_840_000_123_456) -> dict[str, Any]:
    return {"time_us": time_us, "source": source, "destination": destination, "text": text}


def packets_of(file: bytes) -> list[tuple[int, int, bytes]]:
    """(time in microseconds, original length, packet) of each record."""
    magic, major, minor, _, _, _, linktype = struct.unpack_from("<IHHiIII", file)
    assert (magic, major, minor, linktype) == (0xA1B2C3D4, 2, 4, 101)
    found, at = [], 24
    while at < len(file):
        seconds, microseconds, captured, length = struct.unpack_from("<IIII", file, at)
        found.append((seconds * 1_000_000 + microseconds, length, file[at + 16 : at + 16 + captured]))
        at += 16 + captured
    return found


def ones_complement(octets: bytes) -> int:
    octets += b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(octets[index : index + 2]) for index in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("text", ["", "BYE sip:x SIP/2.0\r\n\r\n", "odd"])
def test_a_message_comes_back_over_ipv4_with_right_checksums(text: str) -> None:
    ((time_us, length, packet),) = packets_of(write_pcap([message("192.0.2.1:5060", "198.51.100.2:5062", text)]))
    assert (time_us, length) == (1_763_840_000_123_456, len(packet))
    assert ones_complement(packet[:20]) == 0xFFFF
    pseudo = packet[12:20] + struct.pack("!BBH", 0, 17, len(packet) - 20)
    assert ones_complement(pseudo + packet[20:]) == 0xFFFF
    assert struct.unpack_from("!HH", packet, 20) == (5060, 5062)
    assert packet[28:].decode() == text


def test_mixed_families_become_ipv6() -> None:
    ((_, _, packet),) = packets_of(write_pcap([message("192.0.2.1:5060", "[2001:db8::1]:5060", "x")]))
    assert packet[0] >> 4 == 6
    assert ip_address(packet[8:24]) == ip_address("::ffff:192.0.2.1")
    assert ones_complement(packet[8:40] + struct.pack("!IHH", len(packet) - 40, 0, 17) + packet[40:]) == 0xFFFF


def test_what_is_longer_than_a_datagram_is_cut_and_says_so() -> None:
    ((_, length, packet),) = packets_of(write_pcap([message("192.0.2.1:1", "192.0.2.2:2", "x" * 70_000)]))
    assert len(packet) == 65_535
    assert length == 70_000 + 28


@given(st.lists(st.text(max_size=200), max_size=8))
def test_any_messages_make_a_readable_file(texts: list[str]) -> None:
    found = packets_of(write_pcap(message("192.0.2.1:1", "192.0.2.2:2", text) for text in texts))
    assert [packet[28:] for _, _, packet in found] == [text.encode("utf-8", "replace") for text in texts]
