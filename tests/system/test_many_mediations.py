"""Several mediations on one database, each a real process: exactly once through all of them, and one leader at a time.

And what happens when the database is slow or away: uploads are refused for now, the edges keep, nothing is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.cli.test_mediation_command import running
from tests.edge.edge_process import Edge
from tests.ingest.samples import every_second, upload
from tests.mediation_server import wait_until
from tests.suite_server import SuiteServer
from tests.warm import WarmProcess

from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings

PART = 50
Mediation = tuple[WarmProcess, httpx.Client]


@pytest.fixture
def two(database: Database, tmp_path: Path) -> Iterator[tuple[Mediation, Mediation]]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(running(database.url, tmp_path / name)) for name in ("first", "second"))
        yield first, second


@pytest.fixture
def credential(database: Database) -> str:
    with database.connection() as connection:
        ensure_first_site(connection, Settings().site)
        return register_device(connection, "enum-1", "enum", None, "test")[1]


def query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(statement.encode()).fetchall()


def assert_each_once(database: Database, count: int) -> None:
    assert query(
        database, "SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) FROM enum_event"
    ) == [(count, count, 1, count)]
    assert query(database, "SELECT sum(calls)::integer FROM call_minute") == [(count,)]
    assert query(database, "SELECT last_sequence, lost FROM device_stream") == [(count, 0)]


def is_leader(client: httpx.Client) -> bool:
    return bool(client.get("/api/v1/status").json()["mediation"]["is_leader"])


class Uploader(threading.Thread):
    """Sends one stream's events 1 … `count` to a mediation, as an edge does: from where the answer says."""

    def __init__(self, client: httpx.Client, credential: str, count: int, start: datetime) -> None:
        super().__init__()
        self._client = client
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._events = every_second(count, start)
        self.died = False
        self.statuses: set[int] = set()

    def run(self) -> None:
        sent = 0
        while sent < len(self._events):
            try:
                answer = self._client.post(
                    "/api/v1/edge/events?dataset=enum&journal_id=7&stream=0",
                    content=upload(self._events[sent : sent + PART], sent + 1),
                    headers=self._headers,
                )
            except httpx.TransportError:
                self.died = True
                return
            self.statuses.add(answer.status_code)
            body = answer.json()
            sent = body["received"] if answer.status_code == 200 else body["detail"]["received"]


def test_one_devices_uploads_through_two_mediations_at_once_are_stored_once(
    two: tuple[Mediation, Mediation], database: Database, credential: str
) -> None:
    start = datetime.now(UTC) - timedelta(hours=1)
    count = 40 * PART
    uploaders = [Uploader(client, credential, count, start) for _, client in two for _ in range(2)]
    for uploader in uploaders:
        uploader.start()
    for uploader in uploaders:
        uploader.join(60)
    assert {status for uploader in uploaders for status in uploader.statuses} <= {200, 409}
    assert_each_once(database, count)


def test_when_the_leader_is_killed_another_leads_and_the_uploads_go_on_there(
    two: tuple[Mediation, Mediation], database: Database, credential: str
) -> None:
    wait_until(lambda: [client for _, client in two if is_leader(client)], 30)
    assert sum(is_leader(client) for _, client in two) == 1
    (leader, its_client), (_, other) = sorted(two, key=lambda one: not is_leader(one[1]))
    count = 400 * PART
    start = datetime.now(UTC) - timedelta(hours=8)
    uploaders = [Uploader(client, credential, count, start) for client in (its_client, other)]
    for uploader in uploaders:
        uploader.start()
    wait_until(lambda: query(database, "SELECT count(*) FROM device_stream WHERE last_sequence >= 500")[0][0], 30)
    leader.kill()
    leader.wait(10)
    wait_until(lambda: is_leader(other), 30)
    for uploader in uploaders:
        uploader.join(120)
    assert not uploaders[1].died
    assert_each_once(database, count)


@contextmanager
def closed(server: SuiteServer, database: Database) -> Iterator[None]:
    """Nobody can enter the database, and who was inside is out."""
    server.set_reachable(database, False)
    try:
        yield
    finally:
        server.set_reachable(database, True)


def test_while_the_database_is_away_edges_keep_their_events_and_nothing_is_lost(
    postgres_server: SuiteServer, database: Database, credential: str, tmp_path: Path
) -> None:
    file = tmp_path / "credential"
    file.write_text(credential)
    file.chmod(0o600)
    with running(database.url, tmp_path / "mediation") as (_, client):
        edge = Edge(tmp_path / "edge", "--mediation", str(client.base_url), "--credential-file", str(file))
        try:
            edge.ask(20)
            wait_until(lambda: query(database, "SELECT count(*) FROM enum_event") == [(20,)], 30)
            with closed(postgres_server, database):
                edge.ask(30)
                wait_until(lambda: edge.metric("ringfence_enum_journal_lag") == 30, 30)
                wait_until(lambda: edge.metric("ringfence_enum_uplink_errors_total") > 0, 30)
                answer = client.post(
                    "/api/v1/edge/events?dataset=enum&journal_id=7&stream=0",
                    content=upload(every_second(3)),
                    headers={"Authorization": f"Bearer {credential}"},
                )
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                edge.ask(10)
            wait_until(lambda: edge.metric("ringfence_enum_journal_lag") == 0, 60)
            assert edge.metric("ringfence_enum_journal_lost_total") == 0
            assert_each_once(database, 60)
        finally:
            edge.stop()


def test_a_database_that_is_slow_lets_an_upload_wait_and_then_refuses_it_for_now(
    database: Database, credential: str, tmp_path: Path
) -> None:
    with running(database.url, tmp_path / "mediation") as (_, client), psycopg.connect(database.url) as slow:
        headers = {"Authorization": f"Bearer {credential}"}
        where = "/api/v1/edge/events?dataset=enum&journal_id=7&stream=0"
        events = every_second(3, datetime.now(UTC) - timedelta(minutes=1))
        assert client.post(where, content=upload(events[:1]), headers=headers).json() == {"received": 1}
        slow.execute("SELECT FROM ringfence.device_stream FOR UPDATE")
        answer = client.post(where, content=upload(events[1:], 2), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        slow.rollback()
        assert client.post(where, content=upload(events[1:], 2), headers=headers).json() == {"received": 3}
        assert_each_once(database, 3)
