"""`ringfence policy reset` on a node: the edge forgets its policy and fetches the wanted one (R4)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import run_ringfence
from tests.edge.edge_process import Edge
from tests.edge.partners import CREDENTIAL, FakeMediation, document, sha256, wait_until

from ringfence.edge.policy_reset import request_reset
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.errors import UnavailableError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def credential(data: Path) -> None:
    file = data / "enum" / "credential"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    file.write_text(CREDENTIAL)


def store(data: Path, version: int) -> PolicyStore:
    policies = PolicyStore(data / "enum" / "policy")
    content = document(version)
    policies.save(StoredPolicy(version, sha256(content), content))
    return policies


def reset(data: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return run_ringfence("policy", "reset", "--data", str(data), *flags)


def test_without_a_mediation_the_fail_mode_answers_and_the_command_says_so(data: Path) -> None:
    policies = store(data, 7)
    edge = Edge(data)
    try:
        done = reset(data)

        assert done.returncode == 0, done.stderr
        said = (
            "Policy version 7 is dropped; there is no mediation to fetch one from: "
            "calls are answered by the fail mode (allow)."
        )
        assert " ".join(done.stdout.split()) == said
        assert policies.load() is None
        assert "allow.e164.internal" in edge.ask()
        assert "ringfence_enum_policy_version 0.0" in edge.get("/metrics")[1]
    finally:
        edge.stop()


@pytest.mark.usefixtures("credential")
def test_the_mediations_policy_is_fetched_again_at_once(data: Path, mediation: FakeMediation) -> None:
    content = document(3)
    mediation.policy = (3, content)
    edge = Edge(data, "--mediation", mediation.address)
    try:
        wait_until(lambda: "ringfence_enum_policy_version 3.0" in edge.get("/metrics")[1], "it has the policy")
        # The long poll for a change of version 3 hangs now; the reset must not wait for it.
        wait_until(lambda: mediation.polls[-1] == (3, sha256(content)), "it waits for a change")

        done = reset(data, "--json")

        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "dropped": 3,
            "version": 3,
            "has_mediation": True,
            "fail_mode": "allow",
            "refused": None,
        }
        assert (0, "") in mediation.polls[1:]
        stored = PolicyStore(data / "enum" / "policy").load()
        assert stored is not None
        assert stored.version == 3
    finally:
        edge.stop()


@pytest.mark.usefixtures("credential")
def test_a_mediation_without_a_policy_is_told_of(data: Path, mediation: FakeMediation) -> None:
    store(data, 7)
    edge = Edge(data, "--mediation", mediation.address)
    try:
        done = reset(data)

        assert done.returncode == 0, done.stderr
        assert "the mediation has sent none yet: calls are answered by the fail mode (allow)" in " ".join(
            done.stdout.split()
        )
    finally:
        edge.stop()


def test_without_an_enum_server_nothing_is_reset(data: Path) -> None:
    done = reset(data)

    assert done.returncode != 0
    assert "no ENUM server runs with this data folder" in " ".join(done.stderr.split())


def test_a_server_that_is_gone_is_noticed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (tmp_path / "enum.json").write_text(json.dumps({"pid": child.pid, "listen": []}))

    with pytest.raises(UnavailableError):
        request_reset(tmp_path, 1)

    assert not (tmp_path / "policy-reset.json").exists()
