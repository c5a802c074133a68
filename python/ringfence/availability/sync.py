"""One run of a standby in backup mode: the active's newest backup becomes its own, and then its database.

    offers ─► the newest that is not here ─► copied beside, from where it was cut off ─► every octet checked ─► renamed
    ─► oldest dropped ─► database imported (its server runs for that only) ─► state and one line in runs.jsonl
A copy that is no whole backup is thrown away with its reason; what the node had stays as it was.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog

from ringfence.availability import shelf
from ringfence.availability.archive import Report, check_archive
from ringfence.availability.backup import no_report
from ringfence.availability.manifest import DATABASE
from ringfence.availability.restore import RestoreOptions, restore_backup
from ringfence.availability.shelf import KeptBackup
from ringfence.availability.source import Offer, Source, source_of
from ringfence.availability.standby import Standby, note, read_state, require, told
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, RingfenceError
from ringfence.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class SyncRun:
    """What one run did."""

    backup_id: str
    is_copied: bool
    is_imported: bool
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def sync_once(
    settings: Settings, now: datetime, report: Report = no_report, *, is_locked: bool = False, imports: bool = True
) -> SyncRun:
    """Copy and import what is new. RingfenceError with the reason; the node then has what it had.

    `is_locked`: the caller holds the node's lock.
    """
    standby = require(settings)
    if standby.mode != "backup":
        raise ConflictError("standby: this node follows by streaming; there is nothing to copy")
    began = time.monotonic()
    with told(settings, now):
        source = source_of(standby)
        kept, is_copied = _copy_newest(settings, standby, source, now, report)
        is_new = read_state(settings).imported != kept.backup_id
        if is_new and imports:
            _import(settings, kept, now, report, is_locked=is_locked)
        report(0, 0, "asking the active")
        _look_at_the_active(settings, source, kept, now)
    return SyncRun(kept.backup_id, is_copied, is_new and imports, round(time.monotonic() - began, 1))


def _copy_newest(
    settings: Settings, standby: Standby, source: Source, now: datetime, report: Report
) -> tuple[KeptBackup, bool]:
    offers = source.offers()
    if not offers:
        raise NotFoundError(f"standby: the active {standby.active} has no backup yet: `ringfence backup` there")
    offer = offers[0]
    path = shelf.file_of(settings, offer.backup_id)
    if path.exists():
        return shelf.look_at(path, shelf.key_of(settings)), False
    began = time.monotonic()
    try:
        with shelf.holding(settings):
            kept = _copy(settings, source, offer, report)
            dropped = shelf.drop_oldest(settings, standby.keep or settings.backup.keep)
    except (RingfenceError, OSError) as error:
        shelf.record_run(settings, "copy", now, False, backup=offer.backup_id, error=str(error))
        raise
    seconds = round(time.monotonic() - began, 1)
    shelf.record_run(
        settings, "copy", now, True, backup=offer.backup_id, bytes=kept.size, seconds=seconds, dropped=dropped
    )
    note(settings, copied=offer.backup_id, copied_at=now.isoformat())
    log.info("standby.copied", backup=offer.backup_id, bytes=kept.size, seconds=seconds)
    return kept, True


def _copy(settings: Settings, source: Source, offer: Offer, report: Report) -> KeptBackup:
    path, key = shelf.file_of(settings, offer.backup_id), shelf.key_of(settings)
    incoming = path.with_name(f".{path.name}.incoming")
    for other in path.parent.glob(".*.incoming"):
        if other != incoming:
            other.unlink()
    source.fetch(offer, incoming, report)
    incoming.chmod(0o600)
    try:
        manifest = check_archive(incoming, key, report)
        if key is not None and manifest.key is None:
            raise InvalidInputError(
                "it is not encrypted, though backup.key_file is set here: who made it is not proved",
                code="invalid.backup",
            )
        if manifest.backup_id != offer.backup_id:
            raise InvalidInputError(f"it is backup {manifest.backup_id} under another name", code="invalid.backup")
    except InvalidInputError as error:
        incoming.unlink()
        raise InvalidInputError(f"copy of backup {offer.backup_id}: {error.message}", code=error.code) from None
    incoming.rename(path)
    return KeptBackup(path, path.stat().st_size, manifest, None)


def _import(settings: Settings, kept: KeptBackup, now: datetime, report: Report, *, is_locked: bool) -> None:
    restored = restore_backup(settings, kept, RestoreOptions((DATABASE,), is_locked=is_locked), now, report)
    note(
        settings,
        imported=restored.backup_id,
        imported_at=now.isoformat(),
        made_at=restored.created_at.isoformat(),
    )


def _look_at_the_active(settings: Settings, source: Source, kept: KeptBackup, now: datetime) -> None:
    """What a failover from here would lose, while somebody can still be asked."""
    since = kept.manifest.created_at if kept.manifest else now
    note(
        settings,
        active_software=source.software(),
        active_seen_at=now.isoformat(),
        changes=source.changes_since(since),
    )
