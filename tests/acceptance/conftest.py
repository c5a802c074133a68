"""A lab of one site for the whole folder: real processes, on a database of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.suite_server import SuiteServer

from ringfence.acceptance.lab.deployment import Lab, Size

DATABASE = "ringfence_lab"


@pytest.fixture(scope="package")
def lab(postgres_server: SuiteServer, _database_template: str) -> Iterator[Lab]:
    """Three ENUM servers, one probe where this machine lets it, the SBC emulator. Tests leave it as they found it."""
    # Not pytest's folder: a socket's path must be short.
    with (
        postgres_server.database(DATABASE, _database_template) as database,
        tempfile.TemporaryDirectory(prefix="ringfence-fst-") as folder,
    ):
        size = Size(sites=1, enum_servers=3, probes=1, real_sbc=False, scale=0.01)
        with Lab(size, Path(folder), database.url) as running:
            yield running
