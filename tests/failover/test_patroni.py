"""An external database under Patroni switches its primary while calls go on: the mediation follows by itself (E5).

The cluster is what docs/operations/external-database.md sets up; the mediation has its several-host URL, as documented.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pytest
from tests.edge.edge_process import Edge
from tests.failover.patroni import Member, PatroniCluster, missing_programs
from tests.mediation_server import RunningMediation, wait_until

from ringfence.availability import cluster
from ringfence.database.connection import Database
from ringfence.database.migrate import migrate
from ringfence.mediation.devices import register_device
from ringfence.mediation.leader import LEADER_LOCK
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
]

# From the moment that Patroni has a primary again. A second or two where nothing else runs.
RECOVERED_WITHIN_S = 15


@dataclass
class Site:
    """The cluster, a mediation on it, and an ENUM server that sends to it."""

    cluster: PatroniCluster
    database: Database
    mediation: RunningMediation
    edge: Edge
    administrator: httpx.Client

    def add_site(self, name: str) -> str | None:
        """A change of configuration: its name; None: refused because the database is away, and said so."""
        answer = self.administrator.post("sites", json={"name": name, "country": "US"})
        if answer.is_success:
            return name
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
        assert "secret" not in answer.text
        return None

    def site_names(self) -> set[str]:
        with self.database.connection() as connection:
            return {row[0] for row in connection.execute("SELECT name FROM site").fetchall()}

    def sequences(self) -> list[int]:
        with self.database.connection() as connection:
            rows = connection.execute("SELECT sequence FROM enum_event ORDER BY sequence").fetchall()
        return [row[0] for row in rows]

    def counted(self) -> int:
        """Calls as analytics counts them, beside the calls themselves."""
        with self.database.connection() as connection:
            row = connection.execute("SELECT sum(calls)::bigint FROM call_minute").fetchone()
        return int(row[0]) if row else 0

    def has_leader(self) -> bool:
        """Whether a mediation leads at the database that is used now."""
        with self.database.connection() as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted", (LEADER_LOCK,)
            ).fetchone()
        return row == (1,)

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Four queries a second until the block ends; each has its answer at once."""
        stop, unanswered = threading.Event(), []

        def ask() -> None:
            while not stop.wait(0.25):
                try:
                    self.edge.ask()
                except Exception as error:
                    unanswered.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not unanswered

    def lose_primary(self, how: Callable[[Member], None], name: str) -> None:
        """While calls and changes go on; afterwards the books are compared."""
        old = self.cluster.primary()
        new = self.cluster.other(old)
        wait_until(lambda: new.is_synchronous, 120)
        with self.calls():
            before = len(self.sequences())
            wait_until(lambda: len(self.sequences()) > before, 30)
            assert self.add_site(f"{name}-before")
            how(old)
            names = (f"{name}-{number}" for number in count())
            wait_until(lambda: new.is_leader, 60)
            accepted = wait_until(lambda: self.add_site(next(names)), RECOVERED_WITHIN_S)
            at_return = len(self.sequences())
            wait_until(lambda: len(self.sequences()) > at_return, 30)
        assert self.site_names() >= {f"{name}-before", accepted}
        wait_until(self.has_leader, 30)
        self.compare_books()

    def compare_books(self) -> None:
        """Every query that the ENUM server recorded stands in the database once, and is counted once."""
        recorded = int(self.edge.metric("ringfence_enum_queries_total"))
        wait_until(lambda: len(self.sequences()) >= recorded, 60)
        assert self.sequences() == list(range(1, recorded + 1))
        assert self.counted() == recorded
        assert self.edge.metric("ringfence_enum_journal_lost_total") == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        patroni = PatroniCluster()
        stack.callback(patroni.remove)
        patroni.start()
        database = Database(patroni.url, pool_size=8)
        stack.callback(database.close)
        migrate(database)
        with database.connection() as connection:
            cluster.ensure_cluster(connection)
            ensure_first_site(connection, Settings().site)
            _, credential = register_device(connection, "enum-1", "enum", None, "test")
        mediation = stack.enter_context(RunningMediation(database, folder / "mediation"))
        edge = edge_of(mediation, credential, folder / "edge")
        stack.callback(edge.stop)
        yield Site(patroni, database, mediation, edge, mediation.client())


def edge_of(mediation: RunningMediation, credential: str, folder: Path) -> Edge:
    folder.mkdir()
    file = folder / "credential"
    file.write_text(credential, encoding="ascii")
    file.chmod(0o600)
    return Edge(folder, "--mediation", mediation.url, "--credential-file", str(file))


def test_a_vanished_server_is_noticed_within_seconds(site: Site) -> None:
    with site.database.connection() as connection:
        there = socket.socket(fileno=connection.pgconn.socket)
        try:
            assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        finally:
            there.detach()


def test_a_switchover_of_the_primary_loses_and_doubles_nothing(site: Site) -> None:
    site.lose_primary(site.cluster.switch_over, "switched")


def test_a_killed_primary_is_replaced_and_nothing_is_lost_or_doubled(site: Site) -> None:
    site.lose_primary(Member.kill, "killed")
