"""A lab of one site for the whole folder: real processes, on a database of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from ringfence.acceptance.lab.deployment import Lab, Size
from ringfence.database.cluster import APPLICATION
from ringfence.database.embedded import EmbeddedServer

DATABASE = "ringfence_lab"


@pytest.fixture(scope="package")
def lab(postgres_server: EmbeddedServer, _database_template: str) -> Iterator[Lab]:
    """Three ENUM servers, one probe where this machine lets it, the SBC emulator. Tests leave it as they found it."""
    with psycopg.connect(postgres_server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(DATABASE), sql.Identifier(APPLICATION), sql.Identifier(_database_template)
            )
        )
    # Not pytest's folder: a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="ringfence-fst-") as folder:
        url = conninfo.make_conninfo(postgres_server.url, dbname=DATABASE)
        size = Size(sites=1, enum_servers=3, probes=1, real_sbc=False, scale=0.01)
        with Lab(size, Path(folder), url) as running:
            yield running
    with psycopg.connect(postgres_server.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
