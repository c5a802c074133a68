"""Putting a backup back: the whole of it or one section, on an empty node or over an existing one.

    node stopped (its lock is ours) ─► every octet checked, versions compared ─► sections unpacked beside what is there
    ─► database: loaded beside the old one and renamed in its place (`replace_database`) ─► settings
    ─► edges' folders, by rename ─► `restore.json` removed

What a killed restore leaves is either the old state or some sections new and some old; `restore.json` says which, the
same restore called again goes on there, and whoever looks (`read_interrupted`) is told.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from ringfence.accounts.audit_chain import anchors_file
from ringfence.availability import configuration, edge_folders, shelf
from ringfence.availability.archive import Report, extract
from ringfence.availability.backup import no_report, verify_backup
from ringfence.availability.dump import default_jobs
from ringfence.availability.manifest import CONFIGURATION, DATABASE, Manifest, newer
from ringfence.availability.replace_database import Replacement
from ringfence.availability.shelf import KeptBackup
from ringfence.database.migrate import known_revisions
from ringfence.errors import ConfigurationError, ConflictError, InvalidInputError, RingfenceError, UnavailableError
from ringfence.mediation.local_files import mediation_file
from ringfence.node.supervisor import lock_node, stop_leftovers
from ringfence.private_file import write_private
from ringfence.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Restored:
    """What a restore did."""

    backup_id: str
    created_at: datetime
    sections: tuple[str, ...]
    seconds: float
    configuration_file: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "backup_id": self.backup_id,
            "created_at": self.created_at.isoformat(),
            "sections": list(self.sections),
            "seconds": self.seconds,
            "configuration_file": str(self.configuration_file) if self.configuration_file else None,
        }


@dataclass(frozen=True)
class Interrupted:
    """A restore that did not come to its end."""

    backup_id: str
    path: str
    sections: tuple[str, ...]
    done: tuple[str, ...]


@dataclass(frozen=True)
class RestoreOptions:
    """How a restore goes otherwise than the settings say. `sections` None: all that the backup has."""

    sections: tuple[str, ...] | None = None
    jobs: int | None = None
    timeout_s: float | None = None
    configuration_file: Path | None = None  # the host's own, which gets the portable settings
    is_locked: bool = False  # the caller holds the node's lock already


def check_restore(
    settings: Settings, kept: KeptBackup, options: RestoreOptions, report: Report = no_report
) -> Manifest:
    """Everything that would refuse a restore, without doing any of it. RingfenceError with the reason."""
    manifest = verify_backup(settings, kept, report)
    wanted = options.sections or manifest.sections
    missing = [section for section in wanted if section not in manifest.sections]
    if missing:
        raise InvalidInputError(
            f"select: backup {manifest.backup_id} holds no {missing[0]}; it has {', '.join(manifest.sections)}",
            code="invalid.select",
        )
    if manifest.schema is not None and manifest.schema not in known_revisions():
        refused = newer(
            f"Ringfence {manifest.software} with schema {manifest.schema}", f"schema {max(known_revisions())}"
        )
        raise InvalidInputError(f"backup {manifest.backup_id}: {refused.message}", code="invalid.backup")
    return manifest


def restore_backup(
    settings: Settings, kept: KeptBackup, options: RestoreOptions, now: datetime, report: Report = no_report
) -> Restored:
    """Put a backup back. RingfenceError with the reason: nothing changed, unless `read_interrupted` says otherwise."""
    began = time.monotonic()
    with _stopped_node(settings, is_locked=options.is_locked):
        try:
            manifest = check_restore(settings, kept, options, report)
            wanted = options.sections or manifest.sections
            file = _Work(settings, kept, manifest, options, now, report).run(wanted)
        except OSError as error:
            problem = UnavailableError(f"restore: {error.filename or settings.data}: {error.strerror or error}")
            _failed(settings, kept, now, problem)
            raise problem from error
        except RingfenceError as error:
            _failed(settings, kept, now, error)
            raise
    seconds = round(time.monotonic() - began, 1)
    shelf.record_run(settings, "restore", now, True, backup=manifest.backup_id, sections=list(wanted), seconds=seconds)
    log.info("restore.done", backup=manifest.backup_id, sections=wanted, seconds=seconds)
    return Restored(manifest.backup_id, manifest.created_at, wanted, seconds, file)


def read_interrupted(settings: Settings) -> Interrupted | None:
    """The restore that a node still waits for the end of; None: there is none."""
    try:
        tree = json.loads(_record_file(settings).read_text(encoding="utf-8"))
        return Interrupted(tree["backup_id"], tree["path"], tuple(tree["sections"]), tuple(tree["done"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Work:
    """One restore: what goes where."""

    settings: Settings
    kept: KeptBackup
    manifest: Manifest
    options: RestoreOptions
    now: datetime
    report: Report

    def run(self, wanted: tuple[str, ...]) -> Path | None:
        """Every wanted section that an interrupted run has not put back already; the configuration's file."""
        data = self.settings.data
        before = read_interrupted(self.settings)
        done = set(before.done) if before and before.backup_id == self.manifest.backup_id else set()
        for left in data.glob(".restoring-*"):
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=".restoring-", dir=data))
        file = None
        try:
            for section in wanted:
                if section not in done:
                    file = self._put_back(section, staging / section.replace(":", "-")) or file
                    done.add(section)
                if done < set(wanted):
                    self._note(wanted, done)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        _record_file(self.settings).unlink(missing_ok=True)
        return file

    def _put_back(self, section: str, folder: Path) -> Path | None:
        folder.mkdir(mode=0o700)
        extract(self.kept.path, self.manifest, section, folder, shelf.key_of(self.settings), self.report)
        if section == DATABASE:
            jobs = self.options.jobs or self.settings.backup.jobs or default_jobs()
            timeout_s = self.options.timeout_s or self.settings.backup.timeout_s
            Replacement(self.settings, self.manifest, folder, jobs, timeout_s, self.now, self.report).run()
            _put_anchors_aside(self.settings, self.now)
        elif section == CONFIGURATION:
            return configuration.take_over(self.settings, folder, self.options.configuration_file)
        else:
            edge_folders.put_back(self.settings, section, folder)
        return None

    def _note(self, wanted: tuple[str, ...], done: set[str]) -> None:
        record = {"backup_id": self.manifest.backup_id, "path": str(self.kept.path), "sections": wanted}
        write_private(_record_file(self.settings), json.dumps(record | {"done": sorted(done)}))


def _put_anchors_aside(settings: Settings, now: datetime) -> None:
    """The trail ends earlier now, as was asked for; what was known of its end until now is kept to be looked at."""
    anchors = anchors_file(settings.data)
    if anchors.exists():
        anchors.rename(anchors.with_name(f"{anchors.name}.before-{now:%Y%m%dT%H%M%SZ}"))


@contextmanager
def _stopped_node(settings: Settings, *, is_locked: bool) -> Iterator[None]:
    """Nothing of this data folder runs, and nothing can be started, until we are done."""
    if is_locked:
        yield
        return
    try:
        (settings.data / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_node(settings.data)
    except OSError as error:
        raise ConfigurationError(f"data: {settings.data} cannot be used: {error.strerror}") from None
    except ConflictError as error:
        raise ConflictError(f"{error.message.partition(':')[0]}: stop it for the restore") from None
    try:
        stop_leftovers(settings.data)
        _refuse_a_running_mediation(settings)
        yield
    finally:
        os.close(descriptor)


def _refuse_a_running_mediation(settings: Settings) -> None:
    """One that is not under `ringfence up`: its file names process and port, and it listens there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        place = json.loads(mediation_file(settings.data).read_text(encoding="utf-8"))
        parts = urlsplit(place["url"])
        os.kill(int(place["pid"]), 0)
        socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=5).close()
        raise ConflictError(f"restore: the mediation of {settings.data} runs (process {place['pid']}): stop it first")


def _record_file(settings: Settings) -> Path:
    return settings.data / "restore.json"


def _failed(settings: Settings, kept: KeptBackup, now: datetime, error: RingfenceError) -> None:
    shelf.record_run(settings, "restore", now, False, backup=kept.backup_id, error=error.message)
    log.error("restore.failed", backup=kept.backup_id, reason=error.message)
