"""Lists as files: uploaded in one stream and imported as a job, downloaded in one; and a list committed.

An upload goes to the disk as it comes, so its size costs no memory; what a bad file would do, it does not: one
transaction holds import, commit and installation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Request, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.attachment import attachment
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.routes.lists import ListName, Revision
from ringfence.api.security import Editor, Viewer
from ringfence.database.connection import Database
from ringfence.mediation import list_import
from ringfence.mediation.list_import import ImportRequest
from ringfence.policy.lists import acting, bulk, catalogue

router = APIRouter(prefix="/lists", tags=["lists"])

_CHUNK = 1 << 20
_FILE_BODY = {
    "requestBody": {
        "required": True,
        "description": "CSV with the columns pattern, note, expires; or one number a line",
        "content": {"text/csv": {"schema": {"type": "string"}}, "text/plain": {"schema": {"type": "string"}}},
    }
}
_MEDIA = {"csv": "text/csv; charset=utf-8", "numbers": "text/plain; charset=utf-8"}


class CommitBody(BaseModel):
    """Why, and whether the version shall act at once."""

    model_config = ConfigDict(extra="forbid")
    message: Annotated[str, Field(max_length=500)] = ""
    install: bool = False


@router.post("/{name}/imports", status_code=status.HTTP_202_ACCEPTED, openapi_extra=_FILE_BODY)
async def import_file(
    name: ListName,
    request: Request,
    identity: Editor,
    process: CurrentProcess,
    format_: Annotated[bulk.Format, Query(alias="format")] = "csv",
    replace: Annotated[bool, Query(description="nothing else stays on the list")] = False,
    create: Annotated[bool, Query(description="make the list where there is none")] = False,
    commit: Annotated[bool, Query(description="commit the newest version with the list")] = False,
    install: Annotated[bool, Query(description="and let that act everywhere")] = False,
    message: Annotated[str, Query(max_length=500)] = "",
    seen: Annotated[Revision | None, Query(description="another revision by now is 409")] = None,
) -> dict[str, Any]:
    """Import a file as a job (`GET /jobs/{id}`): all of it, or with any bad line nothing and each of them named."""
    wanted = ImportRequest(name, format_, identity.name, replace, create, commit or install, install, message, seen)
    await run_in_threadpool(_check, process.database, wanted)
    file = await _received(request, process.settings.data / "uploads")
    job = process.jobs.start(list_import.KIND, identity.name, partial(list_import.run, process.database, wanted, file))
    return job.as_json()


@router.get(
    "/{name}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "text/plain": {}}}},
)
def export_file(
    name: ListName,
    identity: Viewer,
    database: CurrentDatabase,
    format_: Annotated[bulk.Format, Query(alias="format")] = "csv",
    revision: Annotated[Revision | None, Query(description="the list as it was then")] = None,
) -> StreamingResponse:
    """A static list as a file that an import takes again."""
    with database.connection() as connection:
        newest = catalogue.read_static(connection, name).revision
    at = newest if revision is None else revision
    headers = attachment(f"{name}.{'csv' if format_ == 'csv' else 'txt'}")
    return StreamingResponse(_exported(database, name, format_, at), media_type=_MEDIA[format_], headers=headers)


@router.post("/{name}/commit")
def commit_list(name: ListName, body: CommitBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Commit the newest version with the list as it is now; with `install` it acts everywhere."""
    with database.connection() as connection:
        return acting.commit_list(
            connection, name, identity.name, datetime.now(UTC), message=body.message, install=body.install
        )


def _check(database: Database, wanted: ImportRequest) -> None:
    with database.connection() as connection:
        list_import.check(connection, wanted)


async def _received(request: Request, folder: Path) -> IO[bytes]:
    """The body in a nameless file, from its beginning; nothing is left of it when it is closed."""
    file = await run_in_threadpool(_nameless_file, folder)
    try:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _CHUNK:
                await run_in_threadpool(file.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(file.write, bytes(waiting))
    except BaseException:
        file.close()
        raise
    return file


def _nameless_file(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return tempfile.TemporaryFile(dir=folder)


def _exported(database: Database, name: str, format_: bulk.Format, revision: int) -> Iterator[bytes]:
    with database.connection() as connection:
        yield from bulk.export_entries(connection, name, format_, revision)
