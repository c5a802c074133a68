"""A pair that learns of a higher term takes no work, changes nothing, says so everywhere, and can be looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.failover.conftest import Pairs
from tests.mediation_server import RunningMediation, wait_until

from ringfence.availability import cluster
from ringfence.availability.term import HEADER, Term
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, FencedError
from ringfence.mediation.channels import Channels
from ringfence.mediation.leader import Leader, ScheduledWork
from ringfence.mediation.membership import Membership
from ringfence.vocabulary import Role

HELLO = {"kind": "enum", "software": "0", "journal_id": 1, "now_us": 1}


def edge(mediation: RunningMediation, pairs: Pairs, term: Term | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {pairs.credential}"} | ({HEADER: str(term)} if term else {})
    return httpx.Client(base_url=f"{mediation.url}/api/v1/edge/", headers=headers, timeout=20, trust_env=False)


def test_every_answer_to_an_edge_tells_the_term(pairs: Pairs, old_mediation: RunningMediation) -> None:
    own = pairs.term_of(pairs.old).term
    with edge(old_mediation, pairs) as client:
        for answer in (
            client.post("hello", json=HELLO),
            client.post("heartbeat", json={"now_us": 1}),
            client.get("term"),
        ):
            assert answer.json()["epoch"] == own.epoch == 1
            assert answer.headers[HEADER] == str(own)
        assert client.get("policy").headers[HEADER] == str(own)
        assert client.get("lists/" + "0" * 64).headers[HEADER] == str(own)


def test_an_edge_that_has_seen_a_higher_term_fences_the_old_pair(
    pairs: Pairs, old_mediation: RunningMediation, capfd: pytest.CaptureFixture[str]
) -> None:
    term = pairs.raise_new()
    administrator = old_mediation.client()
    with edge(old_mediation, pairs, term) as client:
        refused = client.post("hello", json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable.fenced")
        assert client.get("policy").status_code == 503
        assert client.post("events?dataset=enum&journal_id=1&stream=0", content=b"x").status_code == 503
    with edge(old_mediation, pairs) as client:
        assert client.post("hello", json=HELLO).status_code == 503, "also one that has not heard of it"
    assert "mediation.fenced" in capfd.readouterr().out
    # It can be looked at, and says what it is.
    status = administrator.get("status").json()
    assert not status["ok"]
    assert (status["mediation"]["epoch"], status["mediation"]["fenced_by"]) == (1, 2)
    assert "another is active with epoch 2" in status["mediation"]["reason"]
    assert "ringfence standby init" in status["mediation"]["reason"]
    assert administrator.get("devices").status_code == 200
    assert httpx.get(f"{old_mediation.url}/healthz", trust_env=False).status_code == 503
    # Nothing is changed by anyone.
    change = administrator.post("devices", json={"name": "enum-2", "kind": "enum"})
    assert (change.status_code, change.json()["code"]) == (503, "unavailable.fenced")
    assert pairs.term_of(pairs.old).is_fenced, "kept, for the next start"
    assert [entry["action"] for entry in administrator.get("audit?action=cluster").json()["entries"]] == [
        "cluster.fenced"
    ]


def test_people_can_sign_in_to_a_fenced_pair(pairs: Pairs, old_mediation: RunningMediation) -> None:
    old_mediation.process.membership.load()
    old_mediation.process.membership.meet(str(pairs.raise_new()))
    assert old_mediation.process.membership.is_fenced
    viewer = old_mediation.client(None)
    refused = viewer.post("session", json={"name": "nobody", "password": "wrong"})
    assert refused.status_code == 401, refused.text


def test_a_claim_without_proof_or_of_another_cluster_does_nothing(
    pairs: Pairs, old_mediation: RunningMediation
) -> None:
    own = pairs.term_of(pairs.old).term
    forged = Term(own.cluster, 9, own.holder, own.proof)
    foreign = Term.sealed("ef" * 16, 9, "0" * 16, b"another")
    for claim in (forged, foreign):
        with edge(old_mediation, pairs, claim) as client:
            assert client.post("hello", json=HELLO).status_code == 200
        answer = httpx.get(f"{old_mediation.url}/healthz", headers={HEADER: str(claim)}, trust_env=False)
        assert answer.status_code == 200
        assert HEADER not in answer.headers, "a stranger learns nothing"


def test_a_partner_learns_and_tells_by_any_request(pairs: Pairs, old_mediation: RunningMediation) -> None:
    own = pairs.term_of(pairs.old).term
    answer = httpx.get(f"{old_mediation.url}/healthz", headers={HEADER: str(own)}, trust_env=False)
    assert answer.headers[HEADER] == str(own)
    term = pairs.raise_new()
    answer = httpx.get(f"{old_mediation.url}/healthz", headers={HEADER: str(term)}, trust_env=False)
    assert (answer.status_code, answer.headers[HEADER]) == (503, str(own))


def test_a_mediation_asks_its_partners(pairs: Pairs, new_mediation: RunningMediation, tmp_path: Path) -> None:
    pairs.raise_new()
    wait_until(lambda: new_mediation.process.membership.term and new_mediation.process.membership.term.epoch == 2)
    with RunningMediation(pairs.old, tmp_path / "again", partners=(new_mediation.url,)) as old:
        wait_until(lambda: old.process.membership.is_fenced)
    assert pairs.term_of(pairs.old).is_fenced


def test_another_process_of_the_pair_learns_from_the_database(pairs: Pairs, old_mediation: RunningMediation) -> None:
    wait_until(lambda: old_mediation.process.membership.term is not None)
    other = Database(pairs.old.url, pool_size=2)
    try:
        membership = Membership(other, Channels(other))
        membership.load()
        membership.meet(str(pairs.raise_new()))
    finally:
        other.close()
    wait_until(lambda: old_mediation.process.membership.is_fenced)


def test_taking_a_higher_term_ends_the_fence(pairs: Pairs, old_mediation: RunningMediation) -> None:
    membership = old_mediation.process.membership
    membership.load()
    membership.meet(str(pairs.raise_new()))
    with pytest.raises(FencedError), pairs.old.connection() as connection:
        connection.execute("INSERT INTO setting (key, value) VALUES ('x', '1')")
    with pairs.old.connection(even_if_fenced=True) as connection:
        before = cluster.ensure_cluster(connection)
        with pytest.raises(ConflictError):
            cluster.take_term(connection, before.term.sealed(before.term.cluster, 1, "f" * 16, before.secret), "test")
        taken = cluster.take_term(connection, before.next_term(), "test")
        assert cluster.take_term(connection, taken.term, "test").term == taken.term, "again: nothing changes"
    assert taken.term.epoch == 3
    wait_until(lambda: not membership.is_fenced)
    with pairs.old.connection() as connection:
        connection.execute("INSERT INTO setting (key, value) VALUES ('x', '1')")


def test_two_pairs_that_took_the_same_epoch_agree_who_is_active(pairs: Pairs) -> None:
    """Two operators failed over at once, each cut off from the other."""
    terms = []
    for database in (pairs.old, pairs.new):
        with database.connection() as connection:
            terms.append(cluster.take_term(connection, cluster.ensure_cluster(connection).next_term(), "test").term)
    assert terms[0].epoch == terms[1].epoch == 2
    members = [Membership(database, Channels(database)) for database in (pairs.old, pairs.new)]
    for member in members:
        member.load()
    for member, told in zip(members, reversed(terms), strict=True):
        member.meet(str(told))
    assert [member.is_fenced for member in members].count(True) == 1
    assert members[terms.index(max(terms, key=lambda term: term.order))].is_fenced is False


def test_the_leader_of_a_fenced_pair_does_nothing(pairs: Pairs, old_mediation: RunningMediation) -> None:
    done: list[str] = []

    def work(word: str) -> None:
        leader = Leader(old_mediation.database, (ScheduledWork("note", 60.0, lambda _: done.append(word)),))
        asyncio.run(leader._do_due_work())

    work("while active")
    old_mediation.process.membership.load()
    old_mediation.process.membership.meet(str(pairs.raise_new()))
    work("while fenced")
    assert done == ["while active"]


def test_a_role_too_low_is_still_refused_as_such(pairs: Pairs, old_mediation: RunningMediation) -> None:
    old_mediation.process.membership.load()
    old_mediation.process.membership.meet(str(pairs.raise_new()))
    assert old_mediation.client(Role.VIEWER).post("sites", json={"name": "x", "country": "US"}).status_code == 403
