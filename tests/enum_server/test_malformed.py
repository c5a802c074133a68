"""Ten thousand malformed messages, mutated from real queries with a fixed seed: the server goes on answering."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator

from tests.conformance.targets import encode_name, message, opt, option, query
from tests.enum_server.exchange import NUMBER, Server, naptr, policy

SEED = 6116
MESSAGES = 10_000
CHECK_EVERY = 250
TCP_MESSAGES = 2_000

REAL = (
    query(NUMBER),
    query(NUMBER, additional=opt(option(4, b"sip:+12105550199;tgrp=tg1@sbc.example;user=phone"))),
    query(NUMBER, additional=opt(option(65001, b"\0\0tel:+12105550199\0") + option(10, b"cookie01" + b"\1" * 16))),
    message(encode_name("3.2.1.0.5.5.5.0.1.2.1.src.9.9.1.0.5.5.5.0.1.2.1.e164.internal")),
    message(encode_name("health.e164.internal")),
    message(encode_name("e164.internal"), kind=6),
    message(encode_name("version.bind"), kind=16, klass=3),
    message(encode_name("e164.internal"), kind=252),
    query(NUMBER, additional=opt(version=1)),
    query(NUMBER, flags=0x2800),
)


def malformed(chance: random.Random) -> bytes:
    """One mutated query."""
    wire = bytearray(chance.choice(REAL))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(wire)) if wire else 0
        match chance.randrange(9):
            case 0 if wire:
                wire[at] ^= 1 << chance.randrange(8)
            case 1 if wire:
                wire[at] = chance.choice((0, 1, 0x3F, 0x40, 0x80, 0xC0, 0xFF))
            case 2:
                del wire[at:]
            case 3:
                wire[at:at] = chance.randbytes(chance.randint(1, 40))
            case 4:
                del wire[at : at + chance.randint(1, 12)]
            case 5 if len(wire) > 12:
                # A pointer into the message, perhaps to itself.
                wire[12:14] = struct.pack(">H", 0xC000 | chance.randrange(len(wire)))
            case 6 if len(wire) >= 12:
                field = chance.randrange(2, 12, 2)
                wire[field : field + 2] = struct.pack(">H", chance.choice((0, 1, 2, 255, 65535)))
            case 7:
                wire += chance.choice(REAL)[12:]
            case 8:
                wire += opt(option(chance.randrange(65536), chance.randbytes(chance.randint(0, 60))))
    return bytes(wire[:1400])


def messages(count: int) -> Iterator[bytes]:
    chance = random.Random(SEED)
    for _ in range(count):
        yield malformed(chance)


def test_goes_on_answering_through_ten_thousand_malformed_datagrams(start: Callable[..., Server]) -> None:
    server = start()
    server.native.install(policy())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(server.address)
        channel.settimeout(5)
        for index, wire in enumerate(messages(MESSAGES), 1):
            channel.send(wire)
            if index % CHECK_EVERY == 0:
                assert naptr(server.ask(query(NUMBER)))[1] == r"!^(.*)$!sip:\1@allow.e164.internal!"

    checks = MESSAGES // CHECK_EVERY
    dropped = server.counter("dropped_malformed") + server.counter("dropped_not_query")
    assert server.counter("answers") + dropped == MESSAGES + checks, "each was looked at"
    assert server.counter("rcode_2") == 0, "nothing is a failure of the server"
    assert server.counter("answers") == server.counter("queries")
    assert dropped > 100
    assert server.counter("rcode_1") > 1000


def test_every_answer_to_a_malformed_datagram_is_a_response_to_it(start: Callable[..., Server]) -> None:
    server = start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(server.address)
        channel.settimeout(5)
        expected = 0
        for wire in messages(2_000):
            before = server.counter("answers")
            channel.send(wire)
            channel.send(query(NUMBER, identifier=0xBEEF))
            answer = channel.recv(2048)
            if answer[:2] != wire[:2] and answer[:2] == b"\xbe\xef":
                continue
            assert answer[:2] == wire[:2]
            assert answer[2] & 0x80, "QR"
            assert len(answer) <= 1232
            assert channel.recv(2048)[:2] == b"\xbe\xef"
            assert server.counter("answers") >= before + 2
            expected += 1
        assert expected > 1000


def test_goes_on_answering_over_tcp(start: Callable[..., Server]) -> None:
    server = start()
    for wire in messages(TCP_MESSAGES):
        with socket.create_connection(server.address, timeout=5) as stream:
            stream.sendall(struct.pack(">H", len(wire)) + wire)
            good = query(NUMBER, identifier=0xBEEF)
            try:
                stream.sendall(struct.pack(">H", len(good)) + good)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(4096):
                    pass
            except OSError:
                continue  # what is no message ends the connection
    assert naptr(server.ask(query(NUMBER)))[0] == "E2U+sip"
