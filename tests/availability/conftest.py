"""A node of this test's own: a data folder whose database is one of the session's PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql
from tests.availability.ssh_server import ssh_server
from tests.cli.conftest import ringfence
from tests.suite_server import SuiteServer

from ringfence.database.cluster import APPLICATION
from ringfence.database.connection import Database
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings, SiteSettings

__all__ = ["ringfence", "ssh_server"]  # fixtures
NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


@pytest.fixture
def may_make_databases(postgres_server: SuiteServer) -> Iterator[None]:
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


def _alter(server: SuiteServer, attribute: str) -> None:
    server.execute(sql.SQL("ALTER ROLE {} " + attribute).format(sql.Identifier(APPLICATION)))
