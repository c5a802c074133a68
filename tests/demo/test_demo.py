"""Attacks played on a real ENUM server and a real probe, and what the command says of them (E4)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.cli.conftest import run_ringfence
from tests.edge.partners import DOCUMENT, open_server, wait_until

from ringfence._native import EnumServer, Probe
from ringfence.demo.enum_line import EnumLine
from ringfence.demo.limits import loopback_address, traffic
from ringfence.demo.player import Lines, play
from ringfence.demo.sip_line import CARRIER, SipLine
from ringfence.detection.attacks.call import Pace, Scene
from ringfence.detection.attacks.kinds import KINDS, kind_of
from ringfence.errors import InvalidInputError

SCENE = Scene()
POLICY = {
    **DOCUMENT,
    "lists": {"under-attack": {"dynamic": True}},
    "rules": [
        {
            "id": 1, "name": "attack", "mode": "enforce", "direction": "any", "sources": [],
            "destinations": ["list:under-attack"], "action": "terminate", "target": None, "schedule": None,
            "rate": None,
        }
    ],
}  # fmt: skip
ENTRIES = {"format": 1, "change": 1, "lists": {"under-attack": {SCENE.main_number: None}}}


def octets(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EnumServer]:
    server = open_server(tmp_path, octets(POLICY))
    yield server
    server.stop()


def test_the_first_refused_call_is_timed_and_ordinary_calls_are_told_apart(server: EnumServer) -> None:
    line = EnumLine(loopback_address(server.addresses[0], "--to"), "e164.internal")
    listed_s: list[float] = []

    def progress(now_s: float, _so_far: object) -> None:
        if now_s > 0.3 and not listed_s:
            server.install_entries(octets(ENTRIES))
            listed_s.append(now_s)

    calls = traffic(kind_of("tdos-number"), SCENE, Pace(200, 1.0), 30, seed=1)
    outcome = play(calls, Lines(line), progress)
    line.close()
    assert outcome.sent == sum(outcome.attack.values()) + sum(outcome.ordinary.values())
    assert outcome.first_refused_s is not None
    assert outcome.first_refused_s >= listed_s[0]
    assert outcome.attack["allow"] > 20
    assert outcome.attack["terminate"] > 20
    assert set(outcome.ordinary) == {"allow"}
    assert sum(sum(counts.values()) for counts in outcome.by_second.values()) == outcome.sent


def test_a_probe_sees_the_sip_of_calls_that_were_let_through(server: EnumServer, tmp_path: Path) -> None:
    live = {"engine": {}, "interfaces": [], "hep": [{"listen": "127.0.0.1:0", "key": "k", "allow_from": []}]}
    journal = {"folder": str(tmp_path / "probe"), "segment_bytes": 65536, "max_bytes": 1 << 24, "keep_hours": 72.0,
               "sync_ms": 5, "stage": str(tmp_path / "probe-stage"), "stage_bytes": 1 << 20}  # fmt: skip
    trunk = [f"{CARRIER[0]}/32"]
    probe = Probe(json.dumps({"live": live, "trunk_networks": trunk, "call_octets": None, "journal": journal}))
    enum = EnumLine(loopback_address(server.addresses[0], "--to"), "e164.internal")
    sip = SipLine(loopback_address(probe.addresses[0], "--hep"), "k")
    try:
        outcome = play(traffic(kind_of("short-call-burst"), SCENE, Pace(20, 1.0), 0, seed=1), Lines(enum, sip))
        assert outcome.attack["allow"] == outcome.sent
        assert outcome.sip_messages == 7 * outcome.sent
        wait_until(lambda: outcome.sip_messages == _seen(probe), "the probe has all messages")
    finally:
        sip.close()
        enum.close()
        probe.stop()
    rows = _events(probe)
    assert len(rows) == outcome.sent
    assert {row["result"] for row in rows} == {1}
    assert {row["side"] for row in rows} == {1}


def _seen(probe: Probe) -> int:
    return int(json.loads(probe.counters())["sip_messages"])


def _events(probe: Probe) -> list[dict[str, object]]:
    journal = probe.journal()
    found: list[dict[str, object]] = []
    for stream, first, last, _acknowledged in journal.streams():
        part = journal.read(stream, first, 10_000) if last >= first else None
        if part is not None:
            found += pa.ipc.open_stream(part[2]).read_all().to_pylist()
    return found


def test_nothing_is_sent_beyond_this_machine_or_without_bounds() -> None:
    for address in ("10.0.0.1:53", "192.0.2.1:1053", "[2001:db8::1]:53", "0.0.0.0:53"):
        with pytest.raises(InvalidInputError, match="is not this machine; attacks are played on loopback only"):
            loopback_address(address, "--to")
    assert loopback_address("localhost:1053", "--to") == ("127.0.0.1", 1053)
    for refused, says in (
        (("phishing",), "attack 'phishing': there is none; one of tdos-number"),
        (("tdos-number", "--to", "10.0.0.1:53"), "--to: 10.0.0.1:53 is not this machine"),
        (("tdos-number", "--calls-per-second", "5000"), "--calls-per-second: 5000 must be more than 0, at most 2000"),
        (("tdos-number", "--seconds", "601"), "--seconds: 601 must be more than 0, at most 600"),
        (("tdos-number", "--seconds", "600", "--calls-per-second", "2000"), "1200000 calls, at most 100000"),
        (("short-call-burst", "--to", "127.0.0.1:1053"), "--hep: is missing; short-call-burst shows only in the"),
    ):
        done = run_ringfence("demo", "attack", *refused)
        assert done.returncode in (2, 3)
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_command_tells_what_came_back(server: EnumServer) -> None:
    server.install_entries(octets(ENTRIES))
    words = (
        "demo",
        "attack",
        "tdos-number",
        "--to",
        server.addresses[0],
        "--calls-per-second",
        "100",
        "--seconds",
        "0.3",
    )
    done = run_ringfence(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SECOND  TERMINATED\n0 ")
    assert "First refused call: 0.0" in done.stdout
    found = json.loads(run_ringfence(*words, "--ordinary", "20", "--json").stdout)
    assert found["attack_kind"] == "tdos-number"
    assert found["attack"] == {"terminate": found["sent"] - sum(found["ordinary"].values())}
    kinds = json.loads(run_ringfence("demo", "list", "--json").stdout)
    assert [kind["kind"] for kind in kinds] == [kind.name for kind in KINDS]


def test_a_server_that_is_not_there_is_told_of() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        began = time.monotonic()
        done = run_ringfence("demo", "attack", "harassing-caller", "--to", f"127.0.0.1:{taken.getsockname()[1]}",
                             "--seconds", "0.1")  # fmt: skip
    assert done.returncode == 6
    assert "no answer from the ENUM server" in done.stderr
    assert time.monotonic() - began < 30
