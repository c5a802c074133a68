"""The servers under test, both answering for the zone `e164.internal`, and the exchange of raw datagrams with them.

Ringfence has a policy, NSD a zone that says the same as far as a zone can: any number is allowed (a wildcard),
`+19005550100` is terminated, `+12105550100` redirected. What depends on the caller a zone cannot say.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APEX = "e164.internal"
ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
REDIRECT = "!^.*$!sip:+12105550199@redirect.e164.internal!"
ANSWER_TIMEOUT_S = 2.0
SILENCE_S = 0.3


@dataclass(frozen=True)
class Target:
    """A server under test."""

    name: str
    address: tuple[str, int]

    def exchange(self, wire: bytes, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes | None:
        """Send one datagram; the answer, or None when none came in time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(timeout_s)
            channel.connect(self.address)
            channel.send(wire)
            try:
                return channel.recv(65535)
            except TimeoutError:
                return None

    def is_silent(self, wire: bytes) -> bool:
        """Whether a datagram stays without an answer. What follows it is answered, so it was looked at."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(ANSWER_TIMEOUT_S)
            channel.connect(self.address)
            channel.send(wire)
            channel.send(query("+12105550123", identifier=0xBEEF))
            first = channel.recv(65535)
            if first[:2] != b"\xbe\xef":
                return False
            channel.settimeout(SILENCE_S)
            try:
                channel.recv(65535)
            except TimeoutError:
                return True
            return False

    def is_alive(self) -> bool:
        """Whether an ordinary query is answered."""
        answer = self.exchange(query("+12105550123"))
        return answer is not None and answer[3] & 0xF == 0 and answer[7] == 1


def encode_name(name: str) -> bytes:
    """Domain name in wire form; the root for an empty one."""
    labels = [label.encode("latin-1") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def enum_name(number: str, apex: str = APEX) -> str:
    """ENUM name of `+E.164`."""
    return ".".join(reversed(number.lstrip("+"))) + "." + apex


def option(code: int, data: bytes) -> bytes:
    """One EDNS0 option."""
    return struct.pack(">HH", code, len(data)) + data


def opt(options: bytes = b"", payload: int = 1232, version: int = 0, name: bytes = b"\0") -> bytes:
    """OPT record."""
    return name + struct.pack(">HHIH", 41, payload, version << 16, len(options)) + options


def message(
    name: bytes,
    *,
    kind: int = 35,
    klass: int = 1,
    identifier: int = 0x1234,
    flags: int = 0x0100,
    counts: tuple[int, int, int, int] | None = None,
    additional: bytes = b"",
) -> bytes:
    """DNS message with one question; `counts` overrides what the header says of the sections."""
    header = struct.pack(">2H", identifier, flags)
    header += struct.pack(">4H", *(counts or (1, 0, 0, 1 if additional else 0)))
    return header + name + struct.pack(">HH", kind, klass) + additional


def query(number: str, **how: Any) -> bytes:
    """NAPTR query for a number."""
    return message(encode_name(enum_name(number)), **how)


@contextmanager
def ringfence(folder: Path, listen: str = "127.0.0.1:0") -> Iterator[Target]:
    """Our server, in this process, with a policy."""
    from ringfence._native import EnumServer

    configuration = {
        "listen": [listen],
        "apex": [APEX],
        "workers": 1,
        "source_option_codes": [4, 65001],
        "fail_mode": "allow",
        "journal": {
            "folder": str(folder / "journal"), "segment_bytes": 1 << 20, "max_bytes": 64 << 20, "keep_hours": 1,
            "sync_ms": 100, "stage": None, "stage_bytes": 1 << 20,
        },
    }  # fmt: skip
    server = EnumServer(json.dumps(configuration))
    try:
        server.install(policy_document())
        host, _, port = server.addresses[0].rpartition(":")
        yield Target("ringfence", (host, int(port)))
    finally:
        server.stop()


def policy_document() -> bytes:
    """Policy of the suite (docs/contracts.md 4)."""
    rules = [
        rule(1, destinations=["+19005550100"], action="terminate"),
        rule(2, destinations=["+12105550100"], action="redirect", target="+12105550199"),
        rule(3, sources=["+19005550111"], action="terminate"),
    ]
    document = {
        "format": 1,
        "version": 1,
        "site": {
            "country": "US", "country_code": "1", "national_prefix": "1", "international_prefixes": ["011"],
            "national_lengths": [10], "local_prefix": "", "local_lengths": [], "extension_lengths": [],
            "own_ranges": [],
        },
        "protected": ["911", "112"],
        "answers": {
            "allow": "!^(.*)$!sip:\\1@allow.{host}!", "terminate": "!^(.*)$!sip:\\1@terminate.{host}!",
            "redirect": "!^.*$!sip:{target}@redirect.{host}!", "service": "E2U+sip", "host": None,
        },
        "lists": {},
        "schedules": {},
        "rules": rules,
    }  # fmt: skip
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def rule(number: int, **fields: Any) -> dict[str, Any]:
    """A rule of the policy document with the fields that matter."""
    return {
        "id": number, "name": f"rule-{number}", "mode": "enforce", "direction": "any", "sources": [],
        "destinations": [], "target": None, "schedule": None, "rate": None, **fields,
    }  # fmt: skip


def nsd_program() -> str | None:
    """Path of NSD, if it is installed."""
    return shutil.which("nsd") or shutil.which("nsd", path="/usr/sbin")


@contextmanager
def nsd(folder: Path) -> Iterator[Target]:
    """NSD with a zone that says what the policy says."""
    address = ("127.0.0.1", _free_port())
    zone = folder / "zone"
    zone.write_text("".join(zone_lines()))
    configuration = folder / "nsd.conf"
    configuration.write_text(
        f"""server:
  ip-address: {address[0]}@{address[1]}
  do-ip6: no
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  zonelistfile: "{folder}/zone.list"
  pidfile: "{folder}/pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  minimal-responses: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {APEX}
  zonefile: {zone}
"""
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(nsd_program()), "-d", "-c", str(configuration)], stdout=log, stderr=log)
    target = Target("nsd", address)
    try:
        _await_answer(target, process, folder / "log")
        yield target
    finally:
        process.terminate()
        process.wait(10)


def zone_lines() -> Iterator[str]:
    """The policy as a master file."""
    yield f"$ORIGIN {APEX}.\n$TTL 0\n@ IN SOA ns1 hostmaster 1 3600 600 604800 0\n@ IN NS ns1\nns1 IN A 127.0.0.1\n"
    decisions = {"health": ALLOW, "*": ALLOW}
    for number, regexp in (("+19005550100", TERMINATE), ("+12105550100", REDIRECT)):
        digits = number.lstrip("+")
        decisions[".".join(reversed(digits))] = regexp
        # A wildcard does not reach below a name that exists, and every name above a number does.
        decisions |= {"*." + ".".join(reversed(digits[:length])): ALLOW for length in range(1, len(digits))}
    for name, regexp in decisions.items():
        text = regexp.replace("\\", "\\\\")
        yield f'{name} IN NAPTR 100 10 "u" "E2U+sip" "{text}" .\n'


def _await_answer(target: Target, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        try:
            if target.exchange(query("+12105550123"), 0.2):
                return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(f"NSD did not start: {log.read_text()}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        port: int = channel.getsockname()[1]
        return port
