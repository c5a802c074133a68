"""How full the disk is that the database lies on: asked of the file system, or computed where that is far away."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from ringfence.database.cluster import cluster_folder
from ringfence.settings import Settings


@dataclass(frozen=True)
class Disk:
    """Octets; `source` says how they are known: `path` (the file system itself) or `size` (`storage.disk_bytes`)."""

    total: int
    used: int
    source: str
    where: str

    @property
    def used_percent(self) -> float:
        """Of what the database can use."""
        return 100 * self.used / self.total if self.total else 100.0


DiskReader: TypeAlias = Callable[[psycopg.Connection[Any]], Disk | None]


def disk_reader(settings: Settings) -> DiskReader:
    """How the disk of these settings' database is read; what it gives is None when nobody said where the disk is."""
    storage = settings.storage

    def read(connection: psycopg.Connection[Any]) -> Disk | None:
        if storage.disk_path is not None:
            return read_path(storage.disk_path)
        if storage.disk_bytes is not None:
            row = connection.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database").fetchone()
            return Disk(storage.disk_bytes, int(row[0]) if row else 0, "size", "storage.disk_bytes")
        if settings.database.url is None and (folder := cluster_folder(settings.data)) is not None:
            return read_path(folder)
        return None

    return read


def read_path(folder: Path) -> Disk | None:
    """The file system of a folder, without what it keeps for root; None when the folder cannot be reached."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return Disk(used + found.f_bavail * found.f_frsize, used, "path", str(folder))
