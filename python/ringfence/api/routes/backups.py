"""Backups of the mediation's node: made, listed, checked, downloaded, removed. Restoring is the node's own command.

A backup holds every secret of the system: all but the list is for administrators, and each download is audited. A
fenced pair makes and gives one too: so a failover loses nothing of what was changed there last.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, status
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from ringfence.accounts import audit
from ringfence.api.context import CurrentProcess
from ringfence.api.security import Administrator, Viewer
from ringfence.availability import schedule, shelf
from ringfence.availability.backup import BackupOptions, sections_here
from ringfence.availability.shelf import KeptBackup
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.process import MediationProcess

router = APIRouter(prefix="/backups", tags=["backups"])
BackupId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z-]+$")]


class BackupBody(BaseModel):
    """What this run does otherwise than the settings say."""

    model_config = ConfigDict(extra="forbid")
    select: Annotated[
        list[Literal["database", "configuration", "edge:enum", "edge:probe"]] | None,
        Field(description="sections; default: all that the node has", min_length=1),
    ] = None
    keep: Annotated[int | None, Field(ge=1, le=1000)] = None
    jobs: Annotated[int | None, Field(ge=1, le=64)] = None
    timeout_s: Annotated[float | None, Field(gt=0, le=86_400)] = None
    with_journal: Annotated[bool, Field(description="edges' journals too")] = False


@router.get("")
def list_backups(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """The backups on this node, newest first, and the last runs. Heads and lengths were looked at, not every octet."""
    settings = process.settings
    return {
        "folder": str(shelf.folder_of(settings)),
        "keep": settings.backup.keep,
        "every_s": settings.backup.every_s,
        "is_encrypted": settings.backup.key_file is not None,
        "sections": list(sections_here(settings)),
        "backups": [backup.as_json() for backup in shelf.list_backups(settings)],
        "runs": shelf.list_runs(settings),
    }


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def make_backup(body: BackupBody, identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Begin a backup; `/jobs/{id}` tells the progress, and at its end what was made."""
    options = BackupOptions(
        tuple(body.select) if body.select else None, body.jobs, body.keep, body.timeout_s, body.with_journal
    )
    with process.database.connection(even_if_fenced=True) as connection:
        audit.record(connection, identity.name, "backup.make", "", body.model_dump(exclude_none=True))
    work = schedule.making(process.settings, options, datetime.now(UTC))
    return process.jobs.start(schedule.KIND, identity.name, work).as_json()


@router.get("/{backup_id}")
def show_backup(backup_id: BackupId, identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """One backup: versions, sections, sizes, what is wrong with it."""
    return _found(process, backup_id).as_json()


@router.post("/{backup_id}/verify", status_code=status.HTTP_202_ACCEPTED)
def verify_backup(backup_id: BackupId, identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Begin to read every octet; the job fails with the reason when the backup is damaged."""
    kept = _found(process, backup_id)
    work = schedule.verifying(process.settings, kept.backup_id)
    return process.jobs.start(schedule.VERIFY_KIND, identity.name, work).as_json()


@router.get(
    "/{backup_id}/archive",
    response_class=FileResponse,
    responses={200: {"content": {"application/x-tar": {}}}, 206: {"description": "Of a `Range`"}},
)
def download_backup(backup_id: BackupId, identity: Administrator, process: CurrentProcess) -> FileResponse:
    """The archive as it is; with `Range` from where an earlier download was cut off."""
    kept = _found(process, backup_id)
    if kept.manifest is None:
        raise InvalidInputError(f"backup {kept.backup_id}: {kept.problem}", code="invalid.backup")
    with process.database.connection(even_if_fenced=True) as connection:
        audit.record(connection, identity.name, "backup.download", kept.backup_id)
    return FileResponse(kept.path, media_type="application/x-tar", filename=kept.path.name)


@router.delete("/{backup_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove_backup(backup_id: BackupId, identity: Administrator, process: CurrentProcess) -> None:
    """Remove a backup from the node."""
    kept = _found(process, backup_id)
    with process.database.connection() as connection:
        audit.record(connection, identity.name, "backup.remove", kept.backup_id)
    kept.path.unlink(missing_ok=True)


def _found(process: MediationProcess, backup_id: str) -> KeptBackup:
    """The backup with exactly this id: over the network an id is never a path, nor the beginning of one."""
    for kept in shelf.list_backups(process.settings):
        if kept.backup_id == backup_id:
            return kept
    raise NotFoundError(f"backup {backup_id!r} does not exist on this node")
