"""A few seconds of an interface, sorted into SIP, RTP and the rest: does the tap deliver what the probe needs? (R9)

Needs CAP_NET_RAW. A look by hand, not a measurement: a packet socket in Python; the probe itself reads otherwise.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ringfence.errors import ForbiddenError, UnavailableError

_EVERYTHING = 0x0003
_SNAP = 2048
_VLAN = frozenset((0x8100, 0x88A8, 0x9100))
_IP4, _IP6 = 0x0800, 0x86DD
_UDP, _TCP = 17, 6
_POLL_S = 0.2
_PACKET_OUTGOING = 4
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SIP = re.compile(rb"(?:SIP/2\.0 \d{3} |[A-Z]{3,12} sips?:|[A-Z]{3,12} tel:)")
# Payload types that RTP uses: not those that would be RTCP's packet types (RFC 5761, 4).
_RTCP_TYPES = range(72, 77)
_TOP = 8


@dataclass
class Sample:
    """What was seen. `talkers` counts packets by kind and pair of addresses."""

    seconds: float = 0.0
    packets: int = 0
    octets: int = 0
    lost: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    vlans: Counter[int] = field(default_factory=Counter)
    talkers: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, packet: bytes) -> None:
        """Sort one Ethernet frame."""
        self.packets += 1
        self.octets += len(packet)
        kind, source, destination, vlan = classify(packet)
        self.kinds[kind] += 1
        if vlan:
            self.vlans[vlan] += 1
        if kind in ("sip", "rtp", "rtcp"):
            self.talkers[kind, source, destination] += 1

    def as_json(self) -> dict[str, Any]:
        """Plain values; rates are of one second."""
        seconds = max(self.seconds, 0.001)
        return {
            "seconds": round(self.seconds, 3),
            "packets": self.packets,
            "lost": self.lost,
            "packets_per_second": round(self.packets / seconds, 1),
            "megabits_per_second": round(self.octets * 8 / seconds / 1e6, 3),
            "kinds": {kind: self.kinds[kind] for kind in ("sip", "rtp", "rtcp", "other")},
            "vlans": dict(self.vlans.most_common(_TOP)),
            "talkers": [
                {"kind": kind, "source": source, "destination": destination, "packets": count}
                for (kind, source, destination), count in self.talkers.most_common(_TOP)
            ],
        }


def take_sample(interface: str, seconds: float) -> Sample:
    """Look at an interface for some seconds. ForbiddenError, UnavailableError: it cannot be read, or not by us."""
    sample = Sample()
    try:
        line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    except PermissionError:
        raise ForbiddenError(f"{interface}: reading packets needs root or CAP_NET_RAW") from None
    with line:
        try:
            line.bind((interface, 0))
        except OSError as error:
            raise UnavailableError(f"{interface}: cannot be read: {error.strerror}") from None
        line.settimeout(_POLL_S)
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            try:
                packet, address = line.recvfrom(_SNAP)
            except TimeoutError:
                continue
            except OSError as error:
                raise UnavailableError(f"{interface}: {error.strerror}") from None
            # The loopback shows each packet twice: as it leaves and as it arrives.
            if not (address[2] == _PACKET_OUTGOING and interface == "lo"):
                sample.add(packet)
        sample.seconds = passed
        _, sample.lost = struct.unpack("=II", line.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return sample


def classify(packet: bytes) -> tuple[str, str, str, int]:
    """(sip, rtp, rtcp or other; source; destination; VLAN) of an Ethernet frame. Pure."""
    kind, at, vlan = int.from_bytes(packet[12:14]), 14, 0
    while kind in _VLAN:
        vlan = vlan or int.from_bytes(packet[at : at + 2]) & 0x0FFF
        kind, at = int.from_bytes(packet[at + 2 : at + 4]), at + 4
    if kind == _IP4 and len(packet) >= at + 20:
        protocol, size = packet[at + 9], (packet[at] & 0x0F) * 4
        addresses = packet[at + 12 : at + 16], packet[at + 16 : at + 20]
    elif kind == _IP6 and len(packet) >= at + 40:
        protocol, size = packet[at + 6], 40
        addresses = packet[at + 8 : at + 24], packet[at + 24 : at + 40]
    else:
        return "other", "", "", vlan
    at += size
    source, destination = (str(ip_address(octets)) for octets in addresses)
    if protocol == _UDP:
        return _kind_of_datagram(packet[at + 8 :]), source, destination, vlan
    if protocol == _TCP and len(packet) > at + 12 and _SIP.match(packet[at + (packet[at + 12] >> 4) * 4 :].lstrip()):
        return "sip", source, destination, vlan
    return "other", source, destination, vlan


def _kind_of_datagram(payload: bytes) -> str:
    if len(payload) >= 12 and payload[0] >> 6 == 2:
        return "rtcp" if payload[1] & 0x7F in _RTCP_TYPES else "rtp"
    return "sip" if _SIP.match(payload.lstrip(b"\r\n")) else "other"
