"""`ringfence enum` as a process: answers without a mediation, stops cleanly, loses nothing when killed (R4)."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.edge.edge_process import Edge
from tests.edge.partners import CREDENTIAL, FakeMediation, document, sha256, wait_until

from ringfence.edge.policy_store import PolicyStore, StoredPolicy


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
        assert "ringfence_enum_policy_version 9.0" in edge.get("/metrics")[1]
    finally:
        edge.stop()


def test_pages_tell_counters_and_health(data: Path) -> None:
    edge = Edge(data)
    try:
        edge.ask(3)
        status, text = edge.get("/metrics")
        assert status == 200
        assert "ringfence_enum_queries_total 3.0" in text
        assert edge.get("/healthz") == (200, "ok\n")
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
        assert mediation.heartbeats[-1]["entries_change"] == 0
    finally:
        assert edge.stop() == 0


def test_a_new_policy_is_reported_at_once_not_at_the_next_interval(data: Path, mediation: FakeMediation) -> None:
    credential = data.parent / "credential"
    credential.write_text(CREDENTIAL)
    credential.chmod(0o600)
    flags = ("--mediation", mediation.address, "--credential-file", str(credential))
    edge = Edge(data, *flags, RINGFENCE_EDGE_HEARTBEAT_S="300")
    try:
        wait_until(lambda: len(mediation.heartbeats) == 1, "the first heartbeat")
        mediation.policy = (4, document(4))
        wait_until(lambda: len(mediation.heartbeats) == 2, "the one after the change", 10)
        report = mediation.heartbeats[1]
        assert (report["policy_version"], report["policy_hash"]) == (4, sha256(document(4)))
        assert report["journal"] == {"durable": 0, "acknowledged": 0, "lost": 0}
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
