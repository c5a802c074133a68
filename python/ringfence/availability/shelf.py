"""The shelf: the folder with the last N backups, one file each, and a line in `runs.jsonl` for every run.

    <data>/backups/
        ringfence-20261128T043000Z-9f3c1a2b.backup
        runs.jsonl        what was made, copied, imported, restored, and what failed and why
        lock              who makes or takes a backup just now (flock)

Names that begin with a dot are unfinished: no reader looks at them, the next run under the lock removes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ringfence.availability.archive import peek, read_manifest
from ringfence.availability.encryption import Key, read_key
from ringfence.availability.manifest import BACKUP_ID, Manifest
from ringfence.errors import ConfigurationError, ConflictError, InvalidInputError, NotFoundError
from ringfence.settings import Settings

SUFFIX = ".backup"
_PREFIX = "ringfence-"
_RUNS_KEPT = 1000


@dataclass(frozen=True)
class KeptBackup:
    """A file on the shelf: with its manifest, or with what is wrong with it."""

    path: Path
    size: int
    manifest: Manifest | None
    problem: str | None

    @property
    def backup_id(self) -> str:
        """Its id, from the manifest or else from its name."""
        return self.manifest.backup_id if self.manifest else id_of(self.path)

    def as_json(self) -> dict[str, Any]:
        """For API and `--json`."""
        manifest = self.manifest.as_json() if self.manifest else {"backup_id": self.backup_id}
        return manifest | {"name": self.path.name, "bytes": self.size, "problem": self.problem}


def folder_of(settings: Settings) -> Path:
    """Where this node keeps its backups."""
    return settings.backup.folder or settings.data / "backups"


def file_of(settings: Settings, backup_id: str) -> Path:
    """Where a backup is, or will be."""
    return folder_of(settings) / f"{_PREFIX}{backup_id}{SUFFIX}"


def id_of(path: Path) -> str:
    """The id that a file's name says."""
    return path.name.removeprefix(_PREFIX).removesuffix(SUFFIX)


def key_of(settings: Settings) -> Key | None:
    """The key of this node's backups, if it has one."""
    return read_key(settings.backup.key_file)


def list_backups(settings: Settings) -> list[KeptBackup]:
    """What is on the shelf, newest first. Heads and lengths are looked at; `verify_backup` reads every octet."""
    key = key_of(settings)
    files = [path for path in _files(folder_of(settings)) if BACKUP_ID.fullmatch(id_of(path))]
    return [look_at(path, key) for path in sorted(files, key=id_of, reverse=True)]


def look_at(path: Path, key: Key | None) -> KeptBackup:
    """One file, by its head and length."""
    manifest, problem = None, None
    try:
        manifest = read_manifest(path, key)
    except InvalidInputError as error:
        problem = error.message
        with suppress(InvalidInputError):
            manifest = peek(path)
    size = path.stat().st_size if path.exists() else 0
    return KeptBackup(path, size, manifest, problem)


def find_backup(settings: Settings, name: str | None = None) -> KeptBackup:
    """The backup with an id, the beginning of one, or in a file; without a name the newest whole one. NotFoundError."""
    if name is not None and ("/" in name or Path(name).is_file()):
        if not Path(name).is_file():
            raise NotFoundError(f"backup: {name} is no file")
        return look_at(Path(name).absolute(), key_of(settings))
    kept = list_backups(settings)
    if name is None:
        whole = [backup for backup in kept if backup.problem is None]
        if not whole:
            raise NotFoundError(f"there is no backup in {folder_of(settings)}: `ringfence backup` makes one")
        return whole[0]
    found = [backup for backup in kept if backup.backup_id.startswith(name)]
    if len(found) != 1:
        what = f"{len(found)} backups begin with {name!r}" if found else f"backup {name!r} does not exist"
        raise NotFoundError(f"{what}; `ringfence backup list` shows them")
    return found[0]


def drop_oldest(settings: Settings, keep: int) -> list[str]:
    """Remove what is beyond the newest `keep`; damaged ones count and go like any other. Returns their ids."""
    surplus = list_backups(settings)[keep:]
    for backup in surplus:
        backup.path.unlink(missing_ok=True)
    return [backup.backup_id for backup in surplus]


@contextmanager
def holding(settings: Settings) -> Iterator[Path]:
    """The shelf's folder, made if missing, for us alone and without unfinished files. ConflictError: in use."""
    folder = folder_of(settings)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"backup.folder: {folder} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another backup or copy runs on {folder}", code="conflict.busy") from None
        for left in folder.glob(".*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif not left.name.endswith(".incoming"):  # a copy under way goes on where it was cut off
                left.unlink(missing_ok=True)
        yield folder
    finally:
        os.close(descriptor)


def record_run(settings: Settings, what: str, now: datetime, ok: bool, **fields: Any) -> None:
    """Add one line for a run: `what` is backup, copy, import or restore. A full disk is no failure."""
    line = json.dumps({"at": now.isoformat(), "what": what, "ok": ok} | fields, ensure_ascii=False, default=str)
    file = folder_of(settings) / "runs.jsonl"
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if len(lines) >= 2 * _RUNS_KEPT:
            fresh = file.with_name(".runs.jsonl.new")
            fresh.write_text("\n".join(lines[-_RUNS_KEPT:]) + "\n", encoding="utf-8")
            fresh.replace(file)
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{line}\n")


def list_runs(settings: Settings, limit: int = 50) -> list[dict[str, Any]]:
    """The last runs, newest first."""
    try:
        lines = (folder_of(settings) / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    runs = []
    for line in reversed(lines[-limit:]):
        with suppress(ValueError):
            runs.append(json.loads(line))
    return runs


def _files(folder: Path) -> list[Path]:
    return list(folder.glob(f"{_PREFIX}*{SUFFIX}")) if folder.is_dir() else []
