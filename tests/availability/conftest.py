"""A node of this test's own: a data folder whose database is one of the session's PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.availability.ssh_server import ssh_server
from tests.cli.conftest import ringfence

from ringfence.database.cluster import APPLICATION
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings, SiteSettings

__all__ = ["ringfence", "ssh_server"]  # fixtures
NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


@pytest.fixture
def may_make_databases(postgres_server: EmbeddedServer) -> Iterator[None]:
    """The application's role may make databases, as a restore into an external server needs it."""
    _alter(postgres_server, "CREATEDB")
    yield
    _alter(postgres_server, "NOCREATEDB")


@pytest.fixture
def node(database: Database, tmp_path: Path, may_make_databases: None) -> Settings:
    """Settings of a node with a database of its own and one site in it."""
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings.model_validate({"name": "main"}))
    return settings_of(database, tmp_path / "node")


def settings_of(database: Database, data: Path, **backup: object) -> Settings:
    data.mkdir(parents=True, exist_ok=True)
    return Settings.model_validate({"data": data, "database": {"url": database.url}, "backup": {"jobs": 2, **backup}})


def _alter(server: EmbeddedServer, attribute: str) -> None:
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} " + attribute).format(sql.Identifier(APPLICATION)))
