"""Making and checking a backup.

    shelf locked ─► pg_dump into a folder (one snapshot) ─► settings, edges beside it ─► encrypted, where a key is set
    ─► archive written, synced, renamed ─► oldest dropped ─► one line in the log and in runs.jsonl
Whatever fails on the way leaves nothing behind but that line.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from ringfence.availability import configuration, edge_folders, shelf
from ringfence.availability.archive import Report, Source, check_archive, write_archive
from ringfence.availability.database_access import running_database
from ringfence.availability.dump import default_jobs, dump_database
from ringfence.availability.encryption import SUFFIX as ENCRYPTED
from ringfence.availability.encryption import Key
from ringfence.availability.manifest import CONFIGURATION, DATABASE, EDGE_PREFIX, Manifest, new_manifest
from ringfence.availability.shelf import KeptBackup
from ringfence.availability.standby import has_database
from ringfence.errors import InvalidInputError, RingfenceError, UnavailableError
from ringfence.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class BackupOptions:
    """What one run does otherwise than the settings say. `sections` None: all that this node has."""

    sections: tuple[str, ...] | None = None
    jobs: int | None = None
    keep: int | None = None
    timeout_s: float | None = None
    with_journal: bool = False


def no_report(done: int, total: int, phase: str) -> None:
    """Progress that nobody watches."""


def create_backup(settings: Settings, options: BackupOptions, now: datetime, report: Report = no_report) -> KeptBackup:
    """Make a backup of this node. RingfenceError why there is none; an unfinished one is never seen."""
    began = time.monotonic()
    try:
        with shelf.holding(settings) as folder:
            staging = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
            try:
                manifest = _make(settings, options, now, staging, report)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            path = shelf.file_of(settings, manifest.backup_id)
            kept = KeptBackup(path, path.stat().st_size, manifest, None)
            dropped = shelf.drop_oldest(settings, options.keep or settings.backup.keep)
    except OSError as error:
        problem = UnavailableError(f"backup: {error.filename or shelf.folder_of(settings)}: {error.strerror or error}")
        _failed(settings, now, problem)
        raise problem from error
    except RingfenceError as error:
        _failed(settings, now, error)
        raise
    seconds = round(time.monotonic() - began, 1)
    shelf.record_run(
        settings, "backup", now, True, backup=kept.backup_id, bytes=kept.size, seconds=seconds, dropped=dropped
    )
    log.info("backup.made", backup=kept.backup_id, bytes=kept.size, seconds=seconds, dropped=len(dropped))
    return kept


def verify_backup(settings: Settings, kept: KeptBackup, report: Report = no_report) -> Manifest:
    """Read every octet of a backup. InvalidInputError `invalid.backup`: which one, and what is wrong with it."""
    try:
        return check_archive(kept.path, shelf.key_of(settings), report)
    except InvalidInputError as error:
        raise InvalidInputError(f"backup {kept.backup_id}: {error.message}", code="invalid.backup") from None


def sections_here(settings: Settings) -> tuple[str, ...]:
    """What this node has to back up."""
    database = (DATABASE,) if has_database(settings) else ()
    return (*database, CONFIGURATION, *edge_folders.edge_sections(settings))


def _make(settings: Settings, options: BackupOptions, now: datetime, staging: Path, report: Report) -> Manifest:
    sections = options.sections or sections_here(settings)
    missing = [section for section in sections if section not in sections_here(settings)]
    if missing:
        raise InvalidInputError(
            f"select: this node has no {missing[0]}; it has {', '.join(sections_here(settings))}", code="invalid.select"
        )
    manifest = new_manifest(now, sections)
    sources: list[Source] = []
    for section in sections:
        place = staging / section.replace(":", "-")
        if section == DATABASE:
            manifest = _dump(settings, options, manifest, place, report)
            sources += [Source(DATABASE, f"{DATABASE}/{file.name}", file) for file in sorted(place.iterdir())]
        elif section == CONFIGURATION:
            sources += configuration.collect(settings, place)
        elif section.startswith(EDGE_PREFIX):
            sources += edge_folders.collect(settings, section, place, with_journal=options.with_journal)
    key = shelf.key_of(settings)
    if key is not None:
        sources = _encrypted(key, sources, report)
    return write_archive(shelf.file_of(settings, manifest.backup_id), manifest, sources, key, report)


def _dump(settings: Settings, options: BackupOptions, manifest: Manifest, place: Path, report: Report) -> Manifest:
    jobs = options.jobs or settings.backup.jobs or default_jobs()
    timeout_s = options.timeout_s or settings.backup.timeout_s
    with running_database(settings) as url:
        found = dump_database(url, settings.database, place, jobs, timeout_s, report)
    return replace(
        manifest,
        schema=found.schema,
        server_version=found.server_version,
        dump_version=found.dump_version,
        database_bytes=found.database_bytes,
        counts=found.counts,
        positions=found.positions,
    )


def _encrypted(key: Key, sources: list[Source], report: Report) -> list[Source]:
    """Encrypt each file beside itself and drop the plain one; threads, because the work is done outside Python."""

    def encrypt(source: Source) -> Source:
        target = source.file.with_name(source.file.name + ENCRYPTED)
        key.encrypt(source.file, target)
        source.file.unlink()
        return Source(source.section, source.path + ENCRYPTED, target)

    encrypted: list[Source] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for source in pool.map(encrypt, sources):
            encrypted.append(source)
            report(len(encrypted), len(sources), "encrypting")
    return encrypted


def _failed(settings: Settings, now: datetime, error: RingfenceError) -> None:
    shelf.record_run(settings, "backup", now, False, error=error.message)
    log.error("backup.failed", reason=error.message)
