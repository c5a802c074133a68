"""What a probe of the lab reads: the loopback interface, by a kernel filter only the addresses of its site."""

from __future__ import annotations

INTERFACE = "lo"
_ALL = 262_144
_IPV4 = 0x0800
_MASK = 0xFFFF0000


def network_of(site: int) -> str:
    """First two octets of a site's loopback addresses; sites count from 0."""
    return f"127.{40 + site}"


def site_filter(site: int) -> str:
    """Classic BPF for IPv4 packets from or to the site's /16, as `tcpdump -ddd net 127.40.0.0/16` prints it."""
    network = (127 << 24) | ((40 + site) << 16)
    program = (
        (0x28, 0, 0, 12),  # ldh [12]: EtherType
        (0x15, 0, 7, _IPV4),
        (0x20, 0, 0, 26),  # ld [26]: source
        (0x54, 0, 0, _MASK),
        (0x15, 3, 0, network),
        (0x20, 0, 0, 30),  # ld [30]: destination
        (0x54, 0, 0, _MASK),
        (0x15, 0, 1, network),
        (0x06, 0, 0, _ALL),
        (0x06, 0, 0, 0),
    )
    lines = [str(len(program)), *(" ".join(str(part) for part in line) for line in program)]
    return "\n".join(lines)
