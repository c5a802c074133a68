"""RFC 7766: DNS over TCP, where the server offers it."""

from __future__ import annotations

import socket
import struct

import pytest
from tests.conformance.targets import Target, query


def connect(target: Target) -> socket.socket:
    try:
        return socket.create_connection(target.address, 2)
    except ConnectionRefusedError:
        pytest.skip(f"{target.name} does not offer TCP")


def receive(channel: socket.socket) -> bytes:
    with channel.makefile("rb", buffering=0) as stream:
        length = struct.unpack(">H", _exactly(stream, 2))[0]
        return _exactly(stream, length)


def _exactly(stream: socket.SocketIO, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = stream.read(length - len(data))
        assert part, "connection ended"
        data += part
    return data


def framed(wire: bytes) -> bytes:
    return struct.pack(">H", len(wire)) + wire


def test_rfc7766_8_query_and_answer_carry_their_length(target: Target) -> None:
    with connect(target) as channel:
        channel.sendall(framed(query("+19005550100")))
        overtcp = receive(channel)

    assert overtcp == target.exchange(query("+19005550100"))


def test_rfc7766_6_2_1_1_queries_may_follow_without_waiting(target: Target) -> None:
    with connect(target) as channel:
        channel.sendall(b"".join(framed(query("+12105550123", identifier=n)) for n in range(20)))
        identifiers = {int.from_bytes(receive(channel)[:2], "big") for _ in range(20)}

    assert identifiers == set(range(20))


def test_rfc7766_8_length_and_message_may_come_apart(target: Target) -> None:
    wire = framed(query("+12105550123"))
    with connect(target) as channel:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in wire:
            channel.sendall(bytes([octet]))
        assert receive(channel)[:2] == b"\x12\x34"
