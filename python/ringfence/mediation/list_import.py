"""The import of a list's file as a job: checked, stored, and if wanted committed and installed, in one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

import structlog
from psycopg import Connection

from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.mediation.jobs import Progress
from ringfence.mediation.sites import first_site
from ringfence.policy.lists import acting, bulk, catalogue

KIND = "list_import"  # of the job
_PART = 1 << 20

log = structlog.get_logger()


@dataclass(frozen=True)
class ImportRequest:
    """What shall be done with the file."""

    name: str
    format: bulk.Format
    actor: str
    replace: bool = False
    create: bool = False
    commit: bool = False
    install: bool = False
    message: str = ""
    seen: int | None = None


def check(connection: Connection, request: ImportRequest) -> None:
    """Refuse at once what cannot succeed whatever the file holds. NotFoundError, InvalidInputError, ConflictError."""
    if request.create and catalogue.find_list(connection, request.name) is None:
        if not catalogue.NAME.fullmatch(request.name):
            raise InvalidInputError(f"name: {request.name!r} is no name of a list", code="invalid.list")
        return
    catalogue.begin_change(connection, request.name, request.seen)


def run(database: Database, request: ImportRequest, file: IO[bytes], progress: Progress) -> dict[str, Any]:
    """The job's work; its result is what the import came to, and the version where one was committed."""
    with file:
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        with database.connection() as connection:
            site = first_site(connection)
        batch = bulk.read_file(_parts(file), size, request.format, site, progress.at)
    with database.connection() as connection:
        now = datetime.now(UTC)
        if request.create and catalogue.find_list(connection, request.name) is None:
            acting.create_and_declare(connection, request.name, "static", request.actor, now)
        done = bulk.import_entries(
            connection,
            request.name,
            batch,
            request.actor,
            now,
            progress.at,
            replace=request.replace,
            seen=request.seen,
        )
        result = {"list": request.name} | done.as_json() | {"version": None, "is_installed": False}
        if request.commit:
            progress.at(len(batch), len(batch), "committing")
            result |= acting.commit_list(
                connection, request.name, request.actor, now, message=request.message, install=request.install
            )
    log.info("list.imported", **result)
    return result


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(_PART):
        yield part
