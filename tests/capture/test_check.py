"""What a check of the tap finds out (R9): the link, and what arrives."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.capture.link_state import read_link
from ringfence.capture.sample import Sample, classify, take_sample
from ringfence.errors import NotFoundError

BOND = """Ethernet Channel Bonding Driver: v6.1

Bonding Mode: load balancing (round-robin)
MII Status: up

Slave Interface: tap1
MII Status: up

Slave Interface: tap2
MII Status: down
"""


def write_link(root: Path, name: str, **values: object) -> None:
    folder = root / "sys/class/net" / name
    (folder / "statistics").mkdir(parents=True)
    fields = {"operstate": "up", "speed": 10_000, "mtu": 1500} | values
    for field, value in fields.items():
        place = folder / "statistics" / field if field.startswith("rx_") else folder / field
        place.write_text(f"{value}\n")


def test_a_bond_is_shown_with_its_members_and_what_is_wrong(tmp_path: Path) -> None:
    write_link(tmp_path, "bond0", rx_packets=70, rx_bytes=7000, rx_dropped=3)
    write_link(tmp_path, "tap1", rx_crc_errors=2)
    write_link(tmp_path, "tap2", operstate="down", speed=-1)
    (tmp_path / "proc/net/bonding").mkdir(parents=True)
    (tmp_path / "proc/net/bonding/bond0").write_text(BOND)
    link = read_link("bond0", tmp_path)
    assert (link.bond_mode, link.packets, link.drops) == ("load balancing (round-robin)", 70, 3)
    assert [(member.name, member.is_up, member.speed_mbps) for member in link.members] == [
        ("tap1", True, 10_000),
        ("tap2", False, None),
    ]
    assert link.problems() == [
        "bond0: not all members are up",
        "bond0: 3 packets dropped by the interface since the system started",
        "tap1: 2 rx_crc_errors",
        "tap2: is down",
    ]


@pytest.mark.parametrize("name", ["nothing0", "../lo", "", ".", "a name", "x" * 16])
def test_what_is_no_interface_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError, match="there is none named"):
        read_link(name)


def ethernet(payload: bytes, *, protocol: int = 17, vlans: tuple[int, ...] = ()) -> bytes:
    tags = b"".join(b"\x81\x00" + vlan.to_bytes(2) for vlan in vlans)
    head = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2])
    transport = b"\x13\xc4\x13\xc4\0\0\0\0" if protocol == 17 else b"\0" * 12 + b"\x50" + b"\0" * 7
    return b"\0" * 12 + tags + b"\x08\x00" + head + transport + payload


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (ethernet(b"INVITE sip:b@x SIP/2.0\r\n"), "sip"),
        (ethernet(b"\r\n\r\nSIP/2.0 200 OK\r\n"), "sip"),
        (ethernet(b"REGISTER sips:x SIP/2.0\r\n", protocol=6), "sip"),
        (ethernet(b"\x80\x00" + b"\0" * 20), "rtp"),
        (ethernet(b"\x80\xc8" + b"\0" * 20), "rtcp"),
        (ethernet(b"GET / HTTP/1.1\r\n", protocol=6), "other"),
        (ethernet(b""), "other"),
        (b"", "other"),
    ],
)
def test_packets_are_sorted(packet: bytes, kind: str) -> None:
    assert classify(packet)[0] == kind


def test_vlans_and_talkers_are_counted() -> None:
    sample = Sample(seconds=2.0)
    for _ in range(3):
        sample.add(ethernet(b"OPTIONS sip:x SIP/2.0\r\n", vlans=(100, 7)))
    shown = sample.as_json()
    assert shown["vlans"] == {100: 3}
    assert shown["talkers"] == [{"kind": "sip", "source": "192.0.2.1", "destination": "192.0.2.2", "packets": 3}]
    assert shown["packets_per_second"] == 1.5


@given(st.binary(max_size=120), st.integers(0, 120))
def test_no_packet_breaks_the_check(octets: bytes, cut: int) -> None:
    classify(octets)
    classify(ethernet(octets, vlans=(1,))[:cut])


@pytest.mark.skipif(os.geteuid() != 0, reason="reading packets needs root")
def test_sip_on_the_loopback_is_seen() -> None:
    found: list[Sample] = []
    watcher = threading.Thread(target=lambda: found.append(take_sample("lo", 1.5)))
    watcher.start()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        while watcher.is_alive():
            sender.sendto(b"OPTIONS sip:check@127.0.0.1 SIP/2.0\r\n\r\n", receiver.getsockname())
            watcher.join(0.02)
    assert found[0].kinds["sip"] > 0
