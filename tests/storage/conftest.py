"""Days of calls in a real database, a disk whose use a test says, and one round of retention at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ringfence.database.connection import Database
from ringfence.database.migrate import migrate
from ringfence.database.partitions import ensure_between
from ringfence.settings import ArchiveSettings, StorageSettings
from ringfence.storage.archive.place import ArchivePlace, archive_place
from ringfence.storage.disk import Disk
from ringfence.storage.distribution import distribute
from ringfence.storage.expiry import Keeping, run_round
from ringfence.storage.round import Round

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GIB = 1 << 30
CITUS_URL = "RINGFENCE_TEST_CITUS_URL"

_FILL = {
    "enum_event": """
INSERT INTO enum_event (time, source, destination, target, sequence, stream_id, rule_id, policy_version, latency_ns,
  device_id, peer_port, transport, direction, action, reason, rcode, source_class, destination_class, source_origin,
  peer, source_raw, monitored)
SELECT %(start)s::timestamptz + n * (interval '23 hours' / %(count)s), 12105550000 + n %% 97, 19005550000 + n %% 13, 0,
  %(first)s + n, 1, 0, 7, 1000 + n, 1 + n %% 2, 40000, 1, 2, 1 + n %% 2, 2, 0, 1, 1, 1, '192.0.2.7',
  CASE WHEN n %% 5 = 0 THEN 'sip:' || n || '@example.com' END, CASE WHEN n %% 7 = 0 THEN ARRAY[7, 9] END
FROM generate_series(0, %(count)s - 1) AS n
""",
    "sip_event": """
INSERT INTO sip_event (time, source, destination, correlation, sequence, stream_id, total_ms, flags, probe_lost, pdd_ms,
  source_port, destination_port, device_id, transport, side, direction, result, status, released_by, attestation,
  source_class, destination_class, source_address, destination_address, call_id)
SELECT %(start)s::timestamptz + n * (interval '23 hours' / %(count)s), 12105550000 + n %% 97, 19005550000 + n %% 13, n,
  %(first)s + n, 2, 9000, 0, 0, CASE WHEN n %% 3 = 0 THEN 120 END, 5060, 5060, 3, 0, 1, 1, n %% 4, 200, 1, 0, 1, 1,
  '192.0.2.1', '192.0.2.2', 'call-' || n
FROM generate_series(0, %(count)s - 1) AS n
""",
}


def fill(database: Database, table: str, days_ago: int, count: int = 100, first: int = 1, now: datetime = NOW) -> None:
    """Calls of one day of an event table."""
    start = now.replace(hour=0, minute=10) - timedelta(days=days_ago)
    with database.connection() as connection:
        ensure_between(connection, table, start, start, now)
        connection.execute(_FILL[table].encode(), {"start": start, "count": count, "first": first})


def query(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(statement.encode(), values).fetchall()


def days(database: Database, table: str = "enum_event") -> list[int]:
    """How many days ago the days are that have rows."""
    rows = query(database, f"SELECT DISTINCT time::date FROM {table} ORDER BY 1")
    return [(NOW.date() - day).days for (day,) in rows]


@dataclass
class Storage:
    """Retention as a test wants it; `used_percent` is what the disk says."""

    database: Database
    settings: StorageSettings
    place: ArchivePlace | None = None
    used_percent: float | None = None
    total: int = 10 * GIB

    def keeping(self) -> Keeping:
        def read(_: object) -> Disk | None:
            if self.used_percent is None:
                return None
            return Disk(self.total, int(self.total * self.used_percent / 100), "path", "/test")

        return Keeping(self.settings, read, self.place)

    def round(self, now: datetime = NOW) -> Round:
        """One round."""
        done = run_round(self.database, self.keeping(), now)
        assert done is not None
        return done


Make = Callable[..., Storage]


@pytest.fixture(params=["postgresql", "citus"])
def engine(request: pytest.FixtureRequest) -> str:
    """What the storage tests run on."""
    if request.param == "citus" and not os.environ.get(CITUS_URL):
        pytest.skip(f"needs {CITUS_URL}: the URL of an empty database with the extension citus, on a coordinator")
    return str(request.param)


@pytest.fixture
def database(engine: str, database: Database) -> Iterator[Database]:
    """A migrated database; on Citus with its tables distributed."""
    if engine == "postgresql":
        yield database
        return
    with psycopg.connect(os.environ[CITUS_URL], autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ringfence CASCADE")
    distributed = Database(os.environ[CITUS_URL], pool_size=8)
    try:
        migrate(distributed)
        distribute(distributed, "test", lambda _table, _done, _total: None)
        yield distributed
    finally:
        distributed.close()


@pytest.fixture
def storage(database: Database) -> Make:
    """`storage(to=folder, enum={"days": 3}, …)`."""

    def make(
        to: Path | None = None, used_percent: float | None = None, total: int = 10 * GIB, **values: Any
    ) -> Storage:
        archive = ArchiveSettings(to=None if to is None else str(to))
        settings = StorageSettings.model_validate({**values, "archive": archive})
        return Storage(database, settings, archive_place(archive), used_percent, total)

    return make
