"""`ringfence enum` as a process: answers without a mediation, stops cleanly, loses nothing when killed (R4)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import dns.message
import dns.query
import pytest
from tests.edge.partners import CREDENTIAL, FakeMediation, document, sha256, wait_until

from ringfence._native import open_journal
from ringfence.edge.policy_store import PolicyStore, StoredPolicy


class Edge:
    """A child process and where it listens."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self.address_file = data / "run" / "enum.json"
        self.address_file.unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
        environment |= {"RINGFENCE_ENUM_JOURNAL_STAGE": str(data / "stage"), "RINGFENCE_EDGE_HEARTBEAT_S": "0.1"}
        command = [sys.executable, "-m", "ringfence", "enum", "--data", str(data), "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(self._is_up, "the ENUM server writes its addresses")
        self.addresses = json.loads(self.address_file.read_text())

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read().decode()
        return self.address_file.exists()

    def ask(self, count: int = 1) -> str:
        host, port = self.addresses["listen"][0].rsplit(":", 1)
        query = dns.message.make_query("0.0.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR")
        for _ in range(count):
            answer = dns.query.udp(query, host, port=int(port), timeout=5)
        return answer.answer[0].to_text()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.addresses['metrics']}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def journaled(self) -> int:
        journal = open_journal(str(self.data / "enum" / "journal"), str(self.data / "stage"))
        try:
            # Closing makes durable what the stage still held.
            assert journal.close()
            return sum(stream[2] for stream in journal.streams())
        finally:
            del journal


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_answers_without_a_mediation_and_stops_cleanly(data: Path, number: int) -> None:
    edge = Edge(data)
    assert "allow.e164.internal" in edge.ask(30)
    assert edge.stop(number) == 0
    assert not edge.address_file.exists()
    assert edge.journaled() == 30


def test_no_answered_query_is_missing_after_kill_9(data: Path) -> None:
    edge = Edge(data)
    edge.ask(200)
    edge.stop(signal.SIGKILL)
    assert edge.journaled() == 200


def test_answers_with_the_policy_of_its_disk(data: Path) -> None:
    content = document(9)
    PolicyStore(data / "enum" / "policy").save(StoredPolicy(9, sha256(content), content))
    edge = Edge(data)
    try:
        assert "ringfence_policy_version 9.0" in edge.get("/metrics")[1]
    finally:
        edge.stop()


def test_pages_tell_counters_and_health(data: Path) -> None:
    edge = Edge(data)
    try:
        edge.ask(3)
        assert edge.get("/healthz") == (200, "ok\n")
        status, text = edge.get("/metrics")
        assert status == 200
        assert "ringfence_enum_queries_total 3.0" in text
        assert edge.get("/other")[0] == 404
    finally:
        edge.stop()


def test_works_with_its_mediation(data: Path, mediation: FakeMediation) -> None:
    credential = data.parent / "credential"
    credential.write_text(CREDENTIAL)
    credential.chmod(0o600)
    mediation.policy = (2, document(2))
    edge = Edge(data, "--mediation", mediation.address, "--credential-file", str(credential))
    try:
        edge.ask(20)
        wait_until(lambda: mediation.events() == 20, "events arrive")
        wait_until(lambda: any(one["policy_version"] == 2 for one in mediation.heartbeats), "version 2 is reported")
        assert mediation.heartbeats[-1]["listen"] == edge.addresses["listen"]
    finally:
        assert edge.stop() == 0


def test_a_credential_that_others_can_read_is_refused(data: Path) -> None:
    credential = data.parent / "credential"
    credential.write_text(CREDENTIAL)
    credential.chmod(0o644)
    command = [sys.executable, "-m", "ringfence", "enum", "--data", str(data), "--credential-file", str(credential)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "must be 0600" in done.stderr
