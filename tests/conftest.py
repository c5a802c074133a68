"""Fixtures for every room: a real PostgreSQL for the session, a fresh migrated database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from tests import quick_passwords
from tests.mediation_server import RunningMediation
from tests.suite_server import SuiteServer, place_in_memory

from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.migrate import migrate
from ringfence.settings import Settings

# The suite says of a commit whether it holds: it tries the same examples each time, however slow the machine. With
# RINGFENCE_TEST_EXAMPLES=N each property is searched with N new ones.
_EXAMPLES = int(os.environ.get("RINGFENCE_TEST_EXAMPLES", "0"))
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=_EXAMPLES or 100)
settings.load_profile("search" if _EXAMPLES else "suite")
quick_passwords.use()

# Folders whose files take longest, for they start processes and browsers. They go first, so that no worker is left with
# one of them when all else is done.
_LONG = ("system", "campaign", "console", "sbc", "cli", "edge")

_TEMPLATE = "ringfence_template"
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order folders by how long their files take."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return _LONG.index(folder) if folder in _LONG else len(_LONG)

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[SuiteServer]:
    """One embedded PostgreSQL for the whole test session."""
    # A folder of our own that the server's user may enter: pytest's are closed to others.
    data = Path(tempfile.mkdtemp(prefix="ringfence-test-", dir=place_in_memory()))
    data.chmod(0o755)
    server = SuiteServer(Settings(data=data))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def _database_template(postgres_server: SuiteServer) -> str:
    postgres_server.create(_TEMPLATE)
    database = Database(postgres_server.url_of(_TEMPLATE), pool_size=2)
    try:
        migrate(database)
    finally:
        database.close()
    return _TEMPLATE


@pytest.fixture
def empty_database(postgres_server: SuiteServer) -> Iterator[Database]:
    """A database without our schema."""
    with postgres_server.database(f"ringfence_test_{next(_numbers)}") as database:
        yield database


@pytest.fixture
def database(postgres_server: SuiteServer, _database_template: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    with postgres_server.database(f"ringfence_test_{next(_numbers)}", _database_template) as database:
        yield database


@pytest.fixture
def mediation(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    """A mediation serving HTTP on a free port of loopback, on a database of this test's own."""
    with RunningMediation(database, tmp_path / "data") as running:
        yield running
