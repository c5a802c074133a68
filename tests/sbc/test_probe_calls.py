"""Calls through a real SBC, seen by a probe on the loopback, in call log and Analytics (R10, R12, R13)."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import run_ringfence
from tests.environment import environment
from tests.mediation_server import RunningMediation
from tests.sbc.conftest import StartSbc

from ringfence.acceptance.lab.kamailio.running import CallResult, Sbc, deadline
from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 90.0
PCMA, PACKET_S, SAMPLES = 8, 0.02, 160
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket needs root")


class ProbeProcess:
    """`ringfence probe run` as a child process."""

    def __init__(self, data: Path, *flags: str, **settings: str) -> None:
        self.data = data
        ours = {"PYTHONPATH": str(ROOT / "python"), "RINGFENCE_PROBE_JOURNAL_STAGE": str(data / "stage")}
        self._log = (data.parent / "probe.log").open("wb")
        self.process = subprocess.Popen(
            self._command("probe", "run", *flags),
            env=environment(**ours | settings),
            stdout=self._log,
            stderr=self._log,
        )
        for _ in deadline(TIMEOUT_S, step_s=0.05):
            if (data / "run" / "probe.json").exists():
                break
            assert self.process.poll() is None, (data.parent / "probe.log").read_text(errors="replace")
        self.addresses = json.loads((data / "run" / "probe.json").read_text())

    def cli(self, *words: str) -> str:
        """What a command prints that has to succeed."""
        done = self._run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ladder(self, call_id: str) -> dict[str, Any]:
        """What `probe ladder` prints of an ended call; its messages reach the disk up to a second after the call."""
        for _ in deadline(TIMEOUT_S, step_s=0.3):
            done = self._run("probe", "ladder", call_id, "--json")
            if done.returncode == 0:
                break
        shown: dict[str, Any] = json.loads(done.stdout)
        return shown

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(TIMEOUT_S) == 0
        finally:
            self.process.kill()
            self.process.wait()
            self._log.close()

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_ringfence(*words, "--data", str(self.data))

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ringfence", *words, "--data", str(self.data)]


@pytest.fixture
def mediation(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    with RunningMediation(database, tmp_path / "mediation") as running:
        with database.connection() as connection:
            connection.execute("UPDATE site SET own_ranges = '{+12105550000-+12105559999}'")
        yield running


@pytest.fixture
def probe(mediation: RunningMediation, tmp_path: Path) -> Iterator[ProbeProcess]:
    with mediation.database.connection() as connection:
        _, credential = register_device(connection, "probe-1", "probe", None, "test")
    file = tmp_path / "credential"
    file.write_text(credential)
    file.chmod(0o600)
    running = ProbeProcess(tmp_path / "probe", "-i", "lo", "--mediation", mediation.url, "--credential-file", str(file))
    try:
        yield running
    finally:
        running.stop()


def talk(host: str, until: threading.Event) -> None:
    """Audio both ways between the announced ports; of the caller's, each tenth packet is never sent."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as called,
    ):
        caller.bind((host, 40002))
        called.bind((host, 40000))
        for sequence in range(1000):
            if until.wait(PACKET_S):
                return
            head = struct.pack("!BBHI", 0x80, PCMA, sequence, sequence * SAMPLES)
            if sequence % 10 != 9:
                caller.sendto(head + struct.pack("!I", 7) + b"\xd5" * SAMPLES, (host, 40000))
            called.sendto(head + struct.pack("!I", 9) + b"\x55" * SAMPLES, (host, 40002))


def place_call(sbc: Sbc, destination: str, hold_ms: int) -> CallResult:
    over = threading.Event()
    talking = threading.Thread(target=talk, args=(sbc.host, over))
    talking.start()
    try:
        return sbc.call("+13005550000", destination, asserted="+442079460000", hold_ms=hold_ms)
    finally:
        over.set()
        talking.join()


def seen(mediation: RunningMediation, host: str, count: int) -> list[dict[str, Any]]:
    """The calls of one SBC as the API tells them, oldest first, once there are `count`."""
    client = mediation.client()
    found: list[dict[str, Any]] = []
    for _ in deadline(TIMEOUT_S, step_s=0.3):
        calls = client.get("events", params={"dataset": "sip", "device": "probe-1"}).json()["calls"]
        found = [call for call in calls if call["source_peer"].startswith(f"{host}:")]
        if len(found) >= count:
            break
    return sorted(found, key=lambda call: str(call["time"]))


@needs_root
@pytest.mark.slow
def test_calls_through_the_sbc_appear_with_numbers_direction_result_duration_and_mos(
    mediation: RunningMediation, probe: ProbeProcess, start_sbc: StartSbc
) -> None:
    sbc = start_sbc([("127.0.0.1", 9)])
    began = time.time()
    assert place_call(sbc, "2105550123", hold_ms=3000).final_code == 200

    (call,) = seen(mediation, sbc.host, 1)
    assert (call["source"], call["destination"], call["direction"]) == ("+442079460000", "+12105550123", "inbound")
    assert (call["result"], call["status"], call["released_by"]) == ("answered", 200, "source")
    assert 2_900 <= call["duration_ms"] <= 1000 * (time.time() - began)
    assert 0 <= call["pdd_ms"] <= call["answer_ms"]
    assert call["codec"] == "PCMA"
    forward, backward = call["media"]["forward"], call["media"]["backward"]
    assert forward["packets"] > 10
    assert forward["lost"] >= 1
    assert backward["lost"] == 0
    assert 1.0 <= forward["mos"] <= backward["mos"] <= 4.5
    assert call["details"]["from_user"] == "+13005550000"

    rows = mediation.client().get("analytics", params={"dataset": "sip", "view": "calls", "device": "probe-1"}).json()
    assert sum(row[rows["columns"].index("answered")] for row in rows["rows"]) >= 1

    shown = probe.ladder(call["call_id"])
    texts = [message["text"] for ladder in shown["ladders"] for message in ladder["messages"]]
    assert texts[0].startswith("INVITE sip:2105550123@")
    assert any(text.startswith("BYE ") for text in texts)

    asked = mediation.client().get(f"events/{call['id']}/ladder").json()
    assert (asked["state"], [message["text"] for message in asked["messages"]]) == ("shown", texts)
