"""Contents of lists on the edge: fetched by hash, kept, complete or not at all, and fetched again when damaged (R8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.edge.partners import DOCUMENT, FakeMediation, sha256, wait_until
from tests.edge.test_policy import following, started

from ringfence._native import EnumServer, Policy
from ringfence.edge.content_store import ContentStore
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.edge.policy_store import PolicyStore, StoredPolicy

FIRST = b"ringfence-list 1\n+12105550100\n"
SECOND = b"ringfence-list 1\n+12105550100\n+1900*\n"


def naming(version: int, *contents: bytes) -> bytes:
    lists = {f"list{place}": {"content": sha256(content)} for place, content in enumerate(contents)}
    return json.dumps(DOCUMENT | {"version": version, "lists": lists}, sort_keys=True, separators=(",", ":")).encode()


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    return PolicyStore(tmp_path / "policy")


def files(store: PolicyStore, tmp_path: Path) -> set[str]:
    folder = tmp_path / "policy" / "lists"
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()


@contextmanager
def enforced(
    mediation: FakeMediation, server: EnumServer, store: PolicyStore, version: int
) -> Iterator[PolicyFollower]:
    follower = PolicyFollower(server, store)
    with following(follower, mediation.address):
        wait_until(lambda: server.policy_version == version, f"version {version} is enforced")
        wait_until(lambda: (kept := store.load()) is not None and kept.version == version, "it is saved")
        yield follower


def test_contents_are_fetched_once_and_dropped_when_no_stored_policy_names_them(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore, tmp_path: Path
) -> None:
    mediation.contents = {sha256(content): content for content in (FIRST, SECOND)}
    mediation.policy = (1, naming(1, FIRST, SECOND))
    with enforced(mediation, enum_server, store, 1):
        wait_until(lambda: files(store, tmp_path) == {sha256(FIRST), sha256(SECOND)}, "both are kept")
        mediation.policy = (2, naming(2, SECOND))
        wait_until(lambda: enum_server.policy_version == 2, "version 2 is enforced")
        wait_until(lambda: files(store, tmp_path) == {sha256(SECOND)}, "what nobody names is dropped")
        assert sorted(mediation.fetched) == sorted([sha256(FIRST), sha256(SECOND)])
        mediation.policy = (0, b"")
        wait_until(lambda: files(store, tmp_path) == set(), "nothing is kept for no policy")


def test_a_policy_with_its_contents_is_enforced_after_a_restart_without_mediation(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore
) -> None:
    mediation.contents = {sha256(FIRST): FIRST}
    mediation.policy = (3, naming(3, FIRST))
    with enforced(mediation, enum_server, store, 3):
        pass
    version, running = started(store)
    assert (version, running) == (3, StoredPolicy(3, sha256(naming(3, FIRST)), naming(3, FIRST)))


def test_a_damaged_content_is_refused_at_start_and_fetched_again(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore, tmp_path: Path
) -> None:
    mediation.contents = {sha256(FIRST): FIRST}
    mediation.policy = (3, naming(3, FIRST))
    with enforced(mediation, enum_server, store, 3):
        pass
    file = tmp_path / "policy" / "lists" / sha256(FIRST)
    file.write_bytes(FIRST.replace(b"0100", b"0199"))
    assert started(store) == (0, None)
    assert not file.exists()
    with enforced(mediation, enum_server, store, 3):
        wait_until(lambda: file.exists() and file.read_bytes() == FIRST, "it is there again")


@pytest.mark.parametrize("wrong", [None, FIRST[:-5]])
def test_without_every_content_the_running_policy_stays(
    mediation: FakeMediation, enum_server: EnumServer, store: PolicyStore, wrong: bytes | None
) -> None:
    mediation.policy = (1, naming(1))
    with enforced(mediation, enum_server, store, 1):
        mediation.contents = {} if wrong is None else {sha256(FIRST): wrong}
        mediation.policy = (2, naming(2, FIRST))
        wait_until(lambda: len(mediation.fetched) >= 2, "it is asked for again and again")
        assert enum_server.policy_version == 1
        mediation.contents = {sha256(FIRST): FIRST}
        wait_until(lambda: enum_server.policy_version == 2, "with the content the policy is enforced")


def test_half_a_file_is_never_a_content(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    store.save({sha256(FIRST): FIRST})
    (tmp_path / f"{sha256(SECOND)}.new").write_bytes(SECOND[:10])
    document = naming(1, FIRST, SECOND)
    assert store.load_for(document) == ({sha256(FIRST): FIRST}, [sha256(SECOND)])
    with pytest.raises(ValueError, match="not at hand"):
        Policy(document, {sha256(FIRST): FIRST})
    store.keep_only([sha256(FIRST)])
    assert [file.name for file in tmp_path.iterdir()] == [sha256(FIRST)]
