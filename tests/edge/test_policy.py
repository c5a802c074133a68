"""Policy on the edge: follows the mediation, survives restart, never trusts a damaged file (R4)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from tests.edge.partners import CREDENTIAL, FakeMediation, document, sha256, wait_until

from ringfence._native import EnumServer
from ringfence.cli.enum import start_data_plane
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.edge.policy_store import PolicyStore, StoredPolicy


@contextmanager
def following(follower: PolicyFollower, address: str) -> Iterator[None]:
    loop = asyncio.new_event_loop()

    async def run() -> None:
        client = MediationClient((address,), CREDENTIAL, timeout_s=5)
        try:
            await follower.run(client)
        finally:
            await client.close()

    task = loop.create_task(run())
    thread = Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    return PolicyStore(tmp_path / "policy")


def stored(version: int) -> StoredPolicy:
    content = document(version)
    return StoredPolicy(version, sha256(content), content)


def test_a_change_is_enforced_and_saved_at_once(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore
) -> None:
    follower = PolicyFollower(enum_server, store)
    with following(follower, mediation.address):
        wait_until(lambda: bool(mediation.polls), "it asks")
        start = time.monotonic()
        mediation.policy = (3, document(3))
        wait_until(lambda: enum_server.policy_version == 3, "version 3 is enforced")
        assert time.monotonic() - start < 1.0
        wait_until(lambda: store.load() == stored(3), "version 3 is on the disk")
        mediation.policy = (0, b"")
        wait_until(lambda: enum_server.policy_version == 0, "it is uninstalled")
        wait_until(lambda: store.load() is None, "nothing is on the disk")


def started(store: PolicyStore) -> tuple[int, StoredPolicy | None]:
    """Version in force and stored policy of a data plane that starts from `store`."""
    server, running = start_data_plane(json.dumps({"listen": ["127.0.0.1:0"], "apex": ["e164.internal"]}), store)
    try:
        return server.policy_version, running
    finally:
        server.stop()


def test_the_last_policy_is_enforced_after_a_restart_without_mediation(store: PolicyStore) -> None:
    store.save(stored(5))
    assert started(store) == (5, stored(5))


def test_a_stored_policy_that_does_not_compile_is_set_aside_and_the_fail_mode_answers(
    store: PolicyStore, tmp_path: Path
) -> None:
    content = b'{"format": 1, "nonsense": true}'
    store.save(StoredPolicy(6, sha256(content), content))
    assert started(store) == (0, None)
    assert store.load() is None
    assert (tmp_path / "policy" / "installed.damaged").exists()


def test_every_change_is_told_at_once(mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore) -> None:
    versions: list[int] = []
    follower = PolicyFollower(enum_server, store, installed=lambda: versions.append(enum_server.policy_version))
    with following(follower, mediation.address):
        for wanted in (3, 0):
            mediation.policy = (wanted, document(wanted) if wanted else b"")
            wait_until(lambda wanted=wanted: versions[-1:] == [wanted], f"version {wanted} is told")  # type: ignore[misc]


def test_a_document_that_does_not_compile_leaves_the_running_one(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore
) -> None:
    store.save(stored(1))
    enum_server.install(document(1))
    follower = PolicyFollower(enum_server, store, running=stored(1))
    mediation.policy = (2, b'{"format": 1, "nonsense": true}')
    with following(follower, mediation.address):
        wait_until(lambda: follower.refused is not None, "it is refused")
        wait_until(lambda: mediation.polls[-1][0] == 2, "it goes on asking, for another than the refused one")
        assert (enum_server.policy_version, store.load()) == (1, stored(1))
        mediation.policy = (3, document(3))
        wait_until(lambda: enum_server.policy_version == 3, "the next one is taken")


def test_saved_policy_comes_back_exactly(store: PolicyStore) -> None:
    assert store.load() is None
    store.save(stored(1))
    store.save(stored(2))
    assert store.load() == stored(2)
    store.clear()
    assert store.load() is None


@pytest.mark.parametrize("at", [0, 5, 19, 30, 95, -1])
def test_a_damaged_file_is_refused_and_set_aside(store: PolicyStore, tmp_path: Path, at: int) -> None:
    store.save(stored(7))
    file = tmp_path / "policy" / "installed"
    content = bytearray(file.read_bytes())
    content[at] ^= 0x01
    file.write_bytes(content)
    assert store.load() is None
    assert (tmp_path / "policy" / "installed.damaged").exists()


def test_every_truncation_is_refused(store: PolicyStore, tmp_path: Path) -> None:
    store.save(stored(7))
    file = tmp_path / "policy" / "installed"
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert store.load() is None, length


def test_a_damaged_file_is_fetched_again(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore, tmp_path: Path
) -> None:
    store.save(stored(4))
    (tmp_path / "policy" / "installed").write_bytes(b"garbage")
    assert started(store) == (0, None)
    follower = PolicyFollower(enum_server, store)
    mediation.policy = (4, document(4))
    with following(follower, mediation.address):
        wait_until(lambda: enum_server.policy_version == 4, "version 4 is fetched")
        wait_until(lambda: store.load() == stored(4), "version 4 is on the disk")
