"""A mediation's ingest on a real database, with devices to upload as."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringfence.database.connection import Database
from ringfence.mediation.ingest.store import Ingest

AddDevice = Callable[[str], int]


@pytest.fixture
def ingest(database: Database) -> Ingest:
    return Ingest(database)


@pytest.fixture
def add_device(database: Database) -> AddDevice:
    """Registers a device by SQL; its id."""

    def add(name: str) -> int:
        with database.connection() as connection:
            connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US') ON CONFLICT DO NOTHING")
            row = connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT %(name)s::text, 'enum', site_id, sha256(convert_to(%(name)s::text, 'UTF8')) FROM site"
                " RETURNING device_id",
                {"name": name},
            ).fetchone()
        assert row is not None
        return int(row[0])

    return add


@pytest.fixture
def device(add_device: AddDevice) -> int:
    return add_device("enum-1")
