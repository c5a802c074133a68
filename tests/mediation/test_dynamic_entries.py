"""Dynamic entries end to end: the API of a real mediation, real ENUM servers, queries on the wire.

What decides below is never told a new policy: each edge installs the version once.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import dns.edns
import dns.message
import dns.query
import httpx
import psycopg
import pytest
from tests.edge.partners import open_server
from tests.mediation_server import RunningMediation, wait_until

from ringfence.database.connection import Database
from ringfence.edge.dynamic_entries import EntriesFollower, stored_entries
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.policy_store import PolicyStore
from ringfence.mediation.devices import register_device
from ringfence.policy import versions
from ringfence.vocabulary import Role

POLICY = b"""
lists:
  attackers: {dynamic: true}
  fixed: ["+19005550101"]
rules:
  - {name: attack, sources: ["list:attackers"], action: terminate}
"""
ENTRIES = "lists/attackers/entries"
SOURCE = "+13005550100"
WITHIN_S = 1.0
ROUNDS = 20


class Edge:
    """A real ENUM server with the follower of dynamic entries, on a folder that a restart finds again."""

    def __init__(self, folder: Path, document: bytes) -> None:
        store = PolicyStore(folder / "entries", "entries")
        held = stored_entries(store)
        self.held = len(held) if held is not None else 0
        self.server = open_server(folder, document, held.document() if held is not None else None)
        self.follower = EntriesFollower(self.server, store, poll_s=5)
        if held is not None:
            self.follower.resume(held)

    def refuses(self, source: str, destination: str = "+12105550199") -> bool:
        """Whether an SBC that asks is told to terminate the call."""
        option = dns.edns.GenericOption(dns.edns.OptionType.make(4), f"sip:{source}@sbc.example".encode())
        name = ".".join(reversed(destination.removeprefix("+"))) + ".e164.internal"
        query = dns.message.make_query(name, "NAPTR", use_edns=0, options=[option])
        host, port = self.server.addresses[0].rsplit(":", 1)
        answer = dns.query.udp(query, host, port=int(port), timeout=5)
        return "terminate" in str(answer.answer[0][0].regexp)

    @contextmanager
    def following(self, mediation: RunningMediation, name: str) -> Iterator[None]:
        """Follow the mediation as the agent does, as a device of this name."""
        with mediation.database.connection() as connection:
            _, credential = register_device(connection, name, "enum", None, "test")
        loop = asyncio.new_event_loop()

        async def run() -> None:
            client = MediationClient((mediation.url,), credential, timeout_s=5)
            try:
                await self.follower.run(client)
            finally:
                await client.close()

        task = loop.create_task(run())
        thread = Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
        thread.start()
        try:
            wait_until(lambda: mediation.process.entries_feed.waiting > 0)
            yield
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


@pytest.fixture
def document(mediation: RunningMediation) -> bytes:
    """The installed version's."""
    assert mediation.client().post("policy", content=POLICY).status_code == 200
    with mediation.database.connection() as connection:
        return versions.read_document(connection, 1)


@pytest.fixture
def edge(document: bytes, tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path / "edge", document)
    yield edge
    edge.server.stop()


def add(editor: httpx.Client, pattern: str, **how: object) -> httpx.Response:
    response = editor.post(ENTRIES, json={"pattern": pattern, **how})
    assert response.status_code in {200, 201}, response.text
    return response


def seconds_until(condition: Callable[[], bool]) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < WITHIN_S, "not visible in time"
    return time.monotonic() - start


def test_one_more_number_acts_at_once_and_so_does_one_less(
    mediation: RunningMediation, edge: Edge, record_property: Callable[[str, object], None]
) -> None:
    editor = mediation.client(Role.EDITOR)
    numbers = [f"+1300555{index:04d}" for index in range(ROUNDS)]
    with edge.following(mediation, "enum-1"):
        assert not edge.refuses(numbers[0])
        taken = []
        for number in numbers:
            add(editor, number, lasts_s=600, note="flood")
            taken.append(seconds_until(lambda number=number: edge.refuses(number)))  # type: ignore[misc]
        assert not edge.refuses("+13005559999")
        assert editor.delete(ENTRIES, params={"pattern": numbers[0]}).status_code == 204
        seconds_until(lambda: not edge.refuses(numbers[0]))
        assert edge.refuses(numbers[1])
    median_ms = statistics.median(taken) * 1000
    record_property("visible_ms_median", round(median_ms, 1))
    print(f"visible after the call returned: median {median_ms:.1f} ms, worst {max(taken) * 1000:.1f} ms of {ROUNDS}")


def test_an_entry_ends_without_anyones_doing(mediation: RunningMediation, edge: Edge) -> None:
    with edge.following(mediation, "enum-1"):
        add(mediation.client(Role.EDITOR), SOURCE, lasts_s=1.0)
        wait_until(lambda: edge.refuses(SOURCE))
        change = edge.server.entries_change
    mediation.stop()
    wait_until(lambda: not edge.refuses(SOURCE))
    assert edge.server.entries_change == change


def test_entries_act_without_mediation_and_after_a_restart_offline(
    mediation: RunningMediation, document: bytes, tmp_path: Path
) -> None:
    edge = Edge(tmp_path / "edge", document)
    with edge.following(mediation, "enum-1"):
        add(mediation.client(Role.EDITOR), SOURCE, lasts_s=600)
        wait_until(lambda: edge.refuses(SOURCE))
        mediation.stop()
        assert edge.refuses(SOURCE)
    edge.server.stop()
    again = Edge(tmp_path / "edge", document)
    try:
        assert again.held == 1
        assert again.refuses(SOURCE)
    finally:
        again.server.stop()


def test_every_edge_has_the_same_entries_whenever_it_comes(
    mediation: RunningMediation, document: bytes, tmp_path: Path
) -> None:
    editor = mediation.client(Role.EDITOR)
    edges = [Edge(tmp_path / f"edge-{index}", document) for index in range(3)]
    try:
        with ExitStack() as following:
            for index, edge in enumerate(edges[:2]):
                following.enter_context(edge.following(mediation, f"enum-{index}"))
            add(editor, SOURCE)
            add(editor, "+1400*")
            editor.delete(ENTRIES, params={"pattern": SOURCE})
            following.enter_context(edges[2].following(mediation, "enum-2"))
            for edge in edges:
                wait_until(lambda edge=edge: edge.refuses("+14005550100") and not edge.refuses(SOURCE))  # type: ignore[misc]
        assert len({edge.server.entries_change for edge in edges}) == 1
    finally:
        for edge in edges:
            edge.server.stop()


def test_another_mediations_change_and_a_lost_listening_connection_are_seen(
    mediation: RunningMediation, edge: Edge, database: Database
) -> None:
    with edge.following(mediation, "enum-1"):
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%ringfence_entries%'"
            )
        add(mediation.client(Role.EDITOR), SOURCE)
        wait_until(lambda: edge.refuses(SOURCE))


def test_who_may_do_what_and_what_is_refused(mediation: RunningMediation, document: bytes) -> None:
    assert document
    editor, viewer = mediation.client(Role.EDITOR), mediation.client(Role.VIEWER)
    made = editor.post(ENTRIES, json={"pattern": SOURCE, "note": "flood", "lasts_s": 600})
    assert made.status_code == 201
    assert editor.post(ENTRIES, json={"pattern": "+1400*"}).status_code == 201
    assert editor.post(ENTRIES, json={"pattern": "+1400*"}).status_code == 200
    assert viewer.post(ENTRIES, json={"pattern": SOURCE}).status_code == 403
    shown = viewer.get(ENTRIES).json()["entries"]
    assert [entry["pattern"] for entry in shown] == ["+1400*", SOURCE]
    assert shown[1]["note"] == "flood"
    emergency = editor.post(ENTRIES, json={"pattern": "911"})
    assert (emergency.status_code, emergency.json()["code"]) == (400, "invalid.entry")
    assert "emergency" in emergency.json()["message"]
    undeclared = editor.post("lists/fixed/entries", json={"pattern": SOURCE})
    assert (undeclared.status_code, "'fixed'" in undeclared.json()["message"]) == (409, True)
    assert viewer.get("lists/fixed/entries").status_code == 200
    assert editor.delete(ENTRIES, params={"pattern": "+1999*"}).status_code == 204
    trail = [entry for entry in mediation.client().get("audit").json()["entries"] if entry["action"] == "list.add"]
    assert [entry["detail"]["pattern"] for entry in trail] == ["+1400*", SOURCE]


def test_a_poll_waits_only_as_long_as_it_asked(mediation: RunningMediation, document: bytes) -> None:
    assert document
    device = mediation.device()
    assert device.get("edge/entries", params={"have": 0, "wait_s": 0}).status_code == 204
    add(mediation.client(Role.EDITOR), SOURCE)
    whole = wait_until(lambda: (r := device.get("edge/entries", params={"have": 0})).status_code == 200 and r.json())
    assert (whole["since"], whole["lists"]) == (None, {"attackers": {SOURCE: None}})
    assert device.get("edge/entries", params={"have": whole["change"], "wait_s": 0.05}).status_code == 204
