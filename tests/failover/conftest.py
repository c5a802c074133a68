"""Two pairs of one cluster: two databases with the same identity and device, a mediation on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import conninfo
from tests.mediation_server import RunningMediation
from tests.suite_server import SuiteServer

from ringfence.availability import cluster
from ringfence.availability.cluster import Cluster
from ringfence.availability.term import Term
from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings


@dataclass
class Pairs:
    """The old and the new pair's database, and the credential of the device `enum-1`, which both know."""

    old: Database
    new: Database
    credential: str

    def term_of(self, database: Database) -> Cluster:
        with database.connection(even_if_fenced=True) as connection:
            return cluster.ensure_cluster(connection)

    def raise_new(self) -> Term:
        """What failover does to the new pair's database."""
        with self.new.connection(even_if_fenced=True) as connection:
            term = cluster.ensure_cluster(connection).next_term()
            return cluster.take_term(connection, term, "test").term


@pytest.fixture
def pairs(postgres_server: SuiteServer, database: Database) -> Iterator[Pairs]:
    """The new pair's database is a copy of the old one's, as after a restore."""
    with database.connection() as connection:
        cluster.ensure_cluster(connection)
        ensure_first_site(connection, Settings().site)
        _, credential = register_device(connection, "enum-1", "enum", None, "test")
    url = database.url
    database.close()
    name = str(conninfo.conninfo_to_dict(url)["dbname"])
    with postgres_server.database(f"{name}_copy", name) as new:
        old = Database(url, pool_size=8)
        try:
            yield Pairs(old, new, credential)
        finally:
            old.close()


@pytest.fixture
def old_mediation(pairs: Pairs, tmp_path: Path) -> Iterator[RunningMediation]:
    """The pair that is active at first."""
    with RunningMediation(pairs.old, tmp_path / "old") as running:
        yield running


@pytest.fixture
def new_mediation(pairs: Pairs, tmp_path: Path) -> Iterator[RunningMediation]:
    """The other pair's mediation; its database has the old term until `pairs.raise_new`."""
    with RunningMediation(pairs.new, tmp_path / "new") as running:
        yield running
