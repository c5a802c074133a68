"""Backups as the mediation's work: asked for by a person, or due by `backup.every_s`; one job at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from ringfence.availability import shelf
from ringfence.availability.archive import Report
from ringfence.availability.backup import BackupOptions, create_backup, verify_backup
from ringfence.availability.manifest import BACKUP_ID
from ringfence.settings import Settings


class Job(Protocol):
    """What a job gives its work to report with (`ringfence.mediation.jobs.Progress`)."""

    def at(self, done: int, total: int | None = None, phase: str | None = None) -> None:
        """So far is done."""


KIND = "backup"
VERIFY_KIND = "backup_verify"
# After a failed run the next one waits this long, or as long as between two if that is less.
RETRY = timedelta(minutes=5)


def is_due(settings: Settings, now: datetime) -> bool:
    """Whether the leader should make a backup at `now`: none is as young as `backup.every_s`, none failed just now."""
    every = timedelta(seconds=settings.backup.every_s)
    if not every:
        return False
    newest = max((at for name in _names(settings) if (at := _made_at(name))), default=None)
    if newest is not None and newest <= now < newest + every:
        return False
    failed = next((run for run in shelf.list_runs(settings) if run.get("what") == "backup"), None)
    if failed is None or failed.get("ok"):
        return True
    return now >= datetime.fromisoformat(failed["at"]) + min(RETRY, every)


def make(settings: Settings, options: BackupOptions, now: datetime, report: Report) -> dict[str, Any]:
    """A backup, as a job's work."""
    return create_backup(settings, options, now, report).as_json()


def verify(settings: Settings, name: str, report: Report) -> dict[str, Any]:
    """A backup read to its last octet, as a job's work."""
    kept = shelf.find_backup(settings, name)
    return kept.as_json() | verify_backup(settings, kept, report).as_json() | {"problem": None}


def making(settings: Settings, options: BackupOptions, now: datetime) -> Callable[[Job], dict[str, Any]]:
    """`make` as the work of a job."""
    return lambda progress: make(settings, options, now, progress.at)


def verifying(settings: Settings, name: str) -> Callable[[Job], dict[str, Any]]:
    """`verify` as the work of a job."""
    return lambda progress: verify(settings, name, progress.at)


def _names(settings: Settings) -> list[str]:
    folder = shelf.folder_of(settings)
    return [shelf.id_of(path) for path in folder.glob(f"*{shelf.SUFFIX}")] if folder.is_dir() else []


def _made_at(backup_id: str) -> datetime | None:
    if not BACKUP_ID.fullmatch(backup_id):
        return None
    return datetime.strptime(backup_id[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
