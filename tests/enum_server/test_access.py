"""Who is answered, and how often (docs/contracts.md 5: `allow_from`, `client_limit_qps`)."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest
from tests.conformance.targets import query
from tests.enum_server.exchange import NUMBER, Server, naptr, policy

from ringfence._native import EnumServer

# Every address of this machine: 127/8 is always let in.
OUTSIDE = "0.0.0.0:0"


def own_address() -> str:
    """An address of this machine beyond loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            channel.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address beyond loopback")
        address: str = channel.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address beyond loopback")
    return address


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_listening_beyond_loopback_needs_an_access_list(listen: str) -> None:
    with pytest.raises(ValueError, match=r"^allow_from: must name the SBCs' addresses"):
        EnumServer(json.dumps({"listen": [listen], "apex": ["e164.internal"]}))


def test_who_is_not_listed_is_dropped_silently_and_counted(start: Callable[..., Server]) -> None:
    own = own_address()
    server = start(listen=[OUTSIDE], allow_from=["198.51.100.0/24"])

    assert server.exchange(query(NUMBER), own, to=own, timeout_s=0.3) is None
    assert server.counter("dropped_acl") == 1
    assert server.counter("queries") == 0
    with socket.create_connection((own, server.address[1]), timeout=5, source_address=(own, 0)) as stream:
        assert stream.recv(1) == b"", "a connection is closed at once"
    assert server.counter("dropped_acl") == 2
    assert server.exchange(query(NUMBER), "127.0.0.1", to="127.0.0.1") is not None, "loopback is let in"


def test_who_is_listed_is_answered(start: Callable[..., Server]) -> None:
    own = own_address()
    server = start(listen=[OUTSIDE], allow_from=[own])

    assert server.exchange(query(NUMBER), own, to=own) is not None
    assert server.counter("dropped_acl") == 0


def answered(server: Server, client: str, count: int) -> int:
    """How many of so many queries sent at once are answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind((client, 0))
        channel.connect(server.address)
        channel.settimeout(0.3)
        for index in range(count):
            channel.send(query(NUMBER, identifier=index))
        got = 0
        try:
            while got < count:
                channel.recv(2048)
                got += 1
        except TimeoutError:
            pass
        return got


def test_a_client_is_limited_and_others_are_not_hurt(start: Callable[..., Server]) -> None:
    server = start(client_limit_qps=20)

    got = answered(server, "127.2.0.1", 200)

    # A second's worth at once, and what the time of sending added.
    assert 20 <= got < 60
    assert server.counter("dropped_limit") == 200 - got
    assert answered(server, "127.2.0.2", 10) == 10


def test_an_sbc_is_never_limited(start: Callable[..., Server]) -> None:
    server = start(client_limit_qps=20, allow_from=["127.2.0.7", "127.2.1.0/24"])
    profiles: dict[str, dict[str, str]] = {"oracle": {}}
    server.native.install(
        policy(profiles=profiles, clients=[{"network": "127.2.2.0/24", "profile": "oracle", "name": "edge-2"}])
    )

    assert answered(server, "127.2.0.7", 100) == 100, "a host of allow_from"
    assert answered(server, "127.2.2.9", 100) == 100, "a client of the policy"
    assert answered(server, "127.2.1.1", 100) < 60, "a network of allow_from is not an SBC"


def test_the_answer_comes_from_the_address_asked(start: Callable[..., Server]) -> None:
    server = start(listen=["0.0.0.0:0", "[::]:0"], allow_from=["127.0.0.0/8"])
    # A connected socket takes answers from there only.
    for asked in ("127.0.0.1", "127.3.4.5", "127.255.0.1"):
        answer = server.exchange(query(NUMBER), "127.0.0.1", to=asked)
        assert answer is not None, asked

    port = int(server.native.addresses[1].rpartition(":")[2])
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as channel:
        channel.settimeout(5)
        channel.connect(("::1", port))
        channel.send(query(NUMBER))
        assert channel.recv(2048)[:2] == b"\x12\x34"


def test_answers_of_one_batch_go_to_whom_they_belong(start: Callable[..., Server]) -> None:
    server = start(listen=["0.0.0.0:0"], allow_from=["127.0.0.0/8"])
    channels = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    try:
        for index, channel in enumerate(channels):
            channel.settimeout(5)
            channel.connect((f"127.0.0.{index % 3 + 1}", server.address[1]))
        for number in range(50):
            for channel in channels:
                channel.send(query(NUMBER, identifier=number))
        for channel in channels:
            assert [channel.recv(2048)[:2] for _ in range(50)] == [number.to_bytes(2) for number in range(50)]
    finally:
        for channel in channels:
            channel.close()
    assert naptr(server.ask(query(NUMBER)))[0] == "E2U+sip"
