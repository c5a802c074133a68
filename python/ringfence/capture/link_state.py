"""What an interface that is read is made of: the bond and its members, speed, errors, rings, drops (R9). Linux only.

Read from /proc/net/bonding, /sys/class/net and ethtool's ioctl; what the system does not tell is None.
"""

from __future__ import annotations

import array
import fcntl
import re
import socket
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ringfence.errors import NotFoundError

_SIOCETHTOOL = 0x8946
_GET_RINGS = 0x10
_NAME = re.compile(r"[^/\s]{1,15}")
_ERRORS = ("rx_errors", "rx_crc_errors", "rx_missed_errors", "rx_over_errors", "rx_frame_errors", "rx_length_errors")


@dataclass(frozen=True)
class LinkState:
    """One interface. Counters are since the system started; `ring_max` is what `ethtool -G` could set."""

    name: str
    is_up: bool
    speed_mbps: int | None
    mtu: int | None
    packets: int
    octets: int
    drops: int
    errors: dict[str, int]
    ring: int | None
    ring_max: int | None
    bond_mode: str | None = None
    active_member: str | None = None
    members: tuple[LinkState, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def problems(self) -> list[str]:
        """What a person should look at."""
        found = [] if self.is_up else [f"{self.name}: is down"]
        if self.members and sum(member.is_up for member in self.members) < len(self.members):
            found.append(f"{self.name}: not all members are up")
        found += [f"{self.name}: {count:,} {name}" for name, count in self.errors.items() if count]
        if self.drops:
            found.append(f"{self.name}: {self.drops:,} packets dropped by the interface since the system started")
        if self.ring is not None and self.ring_max is not None and self.ring < self.ring_max:
            found.append(f"{self.name}: ring {self.ring} of {self.ring_max}: ethtool -G {self.name} rx {self.ring_max}")
        if self.bond_mode and "active-backup" in self.bond_mode:
            found.append(f"{self.name}: active-backup reads one member only; a tap's two directions need both")
        return found + [problem for member in self.members for problem in member.problems()]


def read_link(name: str, root: Path = Path("/")) -> LinkState:
    """The state of an interface and, of a bond, of its members. NotFoundError: there is none of that name."""
    device = root / "sys/class/net" / name
    if not _NAME.fullmatch(name) or name in (".", "..") or not device.exists():
        raise NotFoundError(f"interface: there is none named {name!r}")
    bond = _text(root / "proc/net/bonding" / name)
    ring, ring_max = _rings(name) if root == Path("/") else (None, None)
    counts = {name_: _number(device / "statistics" / name_) or 0 for name_ in _ERRORS}
    return LinkState(
        name=name,
        is_up=_text(device / "operstate").strip() in ("up", "unknown"),
        speed_mbps=_positive(_number(device / "speed")),
        mtu=_number(device / "mtu"),
        packets=_number(device / "statistics/rx_packets") or 0,
        octets=_number(device / "statistics/rx_bytes") or 0,
        drops=_number(device / "statistics/rx_dropped") or 0,
        errors={name_: count for name_, count in counts.items() if count},
        ring=ring,
        ring_max=ring_max,
        bond_mode=_field(bond, "Bonding Mode"),
        active_member=_field(bond, "Currently Active Slave"),
        members=tuple(
            read_link(member, root)
            for member in re.findall(r"^Slave Interface: (\S+)", bond, re.MULTILINE)
            if (root / "sys/class/net" / member).exists()
        ),
    )


def _rings(name: str) -> tuple[int | None, int | None]:
    """(receive ring, its maximum) as the driver tells it."""
    request = bytearray(struct.pack("=9I", _GET_RINGS, *(0,) * 8))
    try:
        buffer = array.array("B", request)
        address, _ = buffer.buffer_info()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            fcntl.ioctl(line, _SIOCETHTOOL, struct.pack("16sP", name.encode(), address))
        values = struct.unpack("=9I", buffer.tobytes())
    except OSError:
        return None, None
    return values[5], values[1]


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{re.escape(name)}: (.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(_text(file))
    except ValueError:
        return None


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None
