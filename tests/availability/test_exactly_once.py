"""A database set back by a restore gets from the edge what it lacks: every call once, none twice (R19, E5)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.availability.conftest import settings_of
from tests.edge.edge_process import Edge
from tests.mediation_server import RunningMediation, wait_until

from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.restore import RestoreOptions, restore_backup
from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import SiteSettings


def events(database: Database) -> tuple[int, int, int]:
    """Rows, sequences without their copies, and the highest of them."""
    with database.connection() as connection:
        row = connection.execute(
            """
            SELECT count(*), count(DISTINCT (device_id, stream_id, sequence)), coalesce(max(sequence), 0)
            FROM enum_event
            """
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def test_edges_send_again_what_the_restored_database_lacks(
    database: Database, may_make_databases: None, tmp_path: Path
) -> None:
    """Restored twice, also to a backup of a time when the edge had been seen by nobody."""
    data = tmp_path / "data"
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings())
        _, credential = register_device(connection, "enum-1", "enum", None, "test")
    edge = Edge(
        tmp_path / "edge",
        RINGFENCE_EDGE_MEDIATION=f"unix:{data / 'api.sock'}",
        RINGFENCE_EDGE_CREDENTIAL=credential,
        RINGFENCE_EDGE_UPLOAD_MS="20",
    )
    try:
        node = settings_of(database, data)
        with RunningMediation(database, data):
            early = create_backup(node, BackupOptions(("database",), jobs=1), datetime.now(UTC))
            edge.ask(30)
            wait_until(lambda: events(database)[0] == 30, 60)
            late = create_backup(node, BackupOptions(("database",), jobs=1), datetime.now(UTC))
            assert late.manifest is not None
            assert list(late.manifest.positions.values()) == [30]
            edge.ask(20)
            wait_until(lambda: events(database)[0] == 50, 60)
        database.close()
        asked = 50
        for kept in (late, early):
            edge.ask(10)  # calls go on while no mediation is there
            restore_backup(node, kept, RestoreOptions(jobs=1), datetime.now(UTC))
            asked = all_there(node.database.url or "", data, edge, asked + 10)
    finally:
        edge.stop()


def all_there(url: str, data: Path, edge: Edge, asked: int) -> int:
    """A mediation on the restored database gets every event, once; how many there are then."""
    restored = Database(url, 8)
    try:
        with RunningMediation(restored, data):
            wait_until(lambda: events(restored)[0] >= asked, 60)
            edge.ask(5)
            wait_until(lambda: events(restored)[0] >= asked + 5, 60)
            assert events(restored) == (asked + 5,) * 3
    finally:
        restored.close()
    return asked + 5
