"""Jobs: how far long work is, what came of it, and its end when somebody does not want it any more."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, status

from ringfence.accounts.roles import allows
from ringfence.api.context import CurrentProcess
from ringfence.api.security import Viewer
from ringfence.errors import ForbiddenError
from ringfence.vocabulary import Role

router = APIRouter(prefix="/jobs", tags=["jobs"])
JobId = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("")
def list_jobs(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """The jobs of this mediation process, newest first, without their results."""
    return {"jobs": [job.as_json(with_result=False) for job in process.jobs.list()]}


@router.get("/{job_id}")
def show_job(job_id: JobId, identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """State, progress, and the result once it is done. Kept for an hour after its end."""
    return process.jobs.get(job_id).as_json()


@router.delete("/{job_id}", status_code=status.HTTP_202_ACCEPTED)
def cancel_job(job_id: JobId, identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """Ask a job to end: one's own, or as an administrator anybody's."""
    job = process.jobs.get(job_id)
    if job.owner != identity.name and not allows(identity.role, Role.ADMINISTRATOR):
        raise ForbiddenError(f"job {job_id} is {job.owner}'s; only its owner or an administrator may cancel it")
    return process.jobs.cancel(job_id).as_json(with_result=False)
