"""One mediation behind TLS for all tests of the folder, on a database of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql
from tests.mediation_server import RunningMediation

from ringfence.database.cluster import APPLICATION
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.trust.verification import OwnCertificate, Trust, client_context


@contextmanager
def own_database(server: EmbeddedServer, template: str, name: str) -> Iterator[Database]:
    """A migrated database that outlives a test."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(APPLICATION), sql.Identifier(template)
            )
        )
    database = Database(conninfo.make_conninfo(server.url, dbname=name), pool_size=8)
    try:
        yield database
    finally:
        database.close()
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def covered(
    postgres_server: EmbeddedServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMediation]:
    """A mediation with a self-signed certificate."""
    data = tmp_path_factory.mktemp("trust") / "data"
    with (
        own_database(postgres_server, _database_template, "ringfence_trust") as database,
        RunningMediation(database, data, api={"tls": {"mode": "on"}}) as mediation,
    ):
        yield mediation


def device_context(mediation: RunningMediation, folder: Path) -> ssl.SSLContext:
    """TLS as the device that enrolled into this folder has it."""
    own = OwnCertificate(folder / "identity" / "device.pem", folder / "identity" / "device.pem")
    return client_context(Trust((mediation.fingerprint or "",)), own)
