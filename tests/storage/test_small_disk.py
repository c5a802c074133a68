"""A real PostgreSQL on a real small file system: days go before it is full, and calls are still taken."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storage.conftest import NOW, days, fill, query

from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.settings import Settings
from ringfence.storage.disk import disk_reader, read_path
from ringfence.storage.expiry import Keeping, run_round

SIZE = "260m"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = Path(tempfile.mkdtemp(prefix="ringfence-small-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"mounting a small file system is refused here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def test_days_go_before_a_small_disk_is_full(small_disk: Path) -> None:
    settings = Settings.model_validate({"data": small_disk / "data"})
    settings.data.mkdir()
    settings.data.chmod(0o755)
    server = EmbeddedServer(settings)
    try:
        server.start()
        database = Database(server.url, pool_size=4)
        migrate(database)
        for ago in (5, 4, 3, 2, 1):
            fill(database, "enum_event", ago, 60_000)
        full = read_path(small_disk)
        assert full is not None
        # Two of the five days are in the way.
        limit = int(full.used_percent) - 8
        storage = settings.storage.model_copy(update={"full_percent": limit})
        keeping = Keeping(storage, disk_reader(settings), None)
        done = run_round(database, keeping, NOW)
        assert done is not None
        assert [one["why"] for one in done.dropped] == ["disk_full"] * len(done.dropped)
        assert 1 <= len(done.dropped) < 5
        after = read_path(small_disk)
        assert after is not None
        assert after.used_percent <= limit + 1
        assert days(database) == list(range(5 - len(done.dropped), 0, -1))
        fill(database, "enum_event", 0, 1000)
        assert query(database, "SHOW autovacuum") == [("on",)]
        database.close()
    finally:
        server.stop()
        remove_cluster(settings.data)
