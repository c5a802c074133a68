"""The live rows: two virtual interfaces in a network namespace of their own, a sender, the probe on the other end."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.report import Row, row  # noqa: E402

NAMESPACE = "ringfence-bench"
SENDER, RECEIVER = "rfb0", "rfb1"
ETH_P_ALL = 3
PACKET_QDISC_BYPASS = 20
SOL_PACKET = 263


class Captured(Protocol):
    """A capture."""

    @property
    def path(self) -> Path:
        """The capture."""

    @property
    def packets(self) -> int:
        """Packets in it."""


def rows(binaries: Path, capture: Captured) -> list[Row]:
    """Packets a second, drops and processor time of the probe; nothing without root."""
    if os.geteuid() != 0:
        print("==> live: needs root, left out", flush=True)
        return []
    try:
        run("ip", "netns", "add", NAMESPACE)
        run("ip", "-n", NAMESPACE, "link", "add", SENDER, "type", "veth", "peer", "name", RECEIVER)
        for name in (SENDER, RECEIVER):
            run("ip", "-n", NAMESPACE, "link", "set", name, "mtu", "9000", "up")
        return measure(binaries, capture)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"==> live: not possible here ({error}), left out", flush=True)
        return []
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, stderr=subprocess.DEVNULL)


def measure(binaries: Path, capture: Captured) -> list[Row]:
    """Sends the capture as fast as the sender can."""
    print(f"==> live: {capture.packets:,} packets over a veth pair", flush=True)
    configuration = capture.path.with_suffix(".live.json")
    configuration.write_text(json.dumps({"interfaces": [{"interface": RECEIVER}]}))
    inside = ["ip", "netns", "exec", NAMESPACE]
    probe = subprocess.Popen(
        ["taskset", "-c", "0", *inside, str(binaries / "probe-live"), str(configuration)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert probe.stdout is not None
    assert probe.stderr is not None
    if probe.stderr.readline().strip() != "ready":
        raise OSError("the probe did not start")
    sender = [*inside, sys.executable, __file__, SENDER, str(capture.path)]
    sent = json.loads(subprocess.run(["taskset", "-c", "1", *sender], check=True, capture_output=True).stdout)
    output = probe.stdout.read()
    _, _, usage = os.wait4(probe.pid, 0)
    probe.returncode = 0
    seen = json.loads(output)
    frames = seen["statistics"]["engine"]["decode"]["frames"]
    lost = seen["statistics"]["probe_lost"]
    cpu_us = (usage.ru_utime + usage.ru_stime) * 1e6 / max(1, frames)
    rate = round(sent["packets"] / sent["seconds"])
    unaccounted = sent["packets"] - frames - lost
    return [
        row("live: packets a second sent", rate, {}, "the sender's limit", True),
        row("live: packets dropped", lost, {}, "0", lost == 0),
        row("live: packets unaccounted for", unaccounted, {}, "≤ 0", unaccounted <= 0),
        row("live: CPU a packet (µs)", round(cpu_us, 3), {}, "≤ 1.6 µs", cpu_us <= 1.6),
    ]


def run(*command: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def send(interface: str, path: str) -> None:
    """Sends every frame of a capture once, past the queueing discipline; prints how fast."""
    data = Path(path).read_bytes()
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    sock.bind((interface, 0))
    view, at, packets = memoryview(data), 24, 0
    started = time.monotonic()
    while at + 16 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        sock.send(view[at + 16 : at + 16 + length])
        at += 16 + length
        packets += 1
    print(json.dumps({"packets": packets, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    send(sys.argv[1], sys.argv[2])
