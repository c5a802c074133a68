"""Detections: definitions, what is deployed, back-tests, the all-stop switch, and what containment has listed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Analyst, Editor, Viewer
from ringfence.detection import episodes, store
from ringfence.detection.back_test import KIND, back_test, check_days
from ringfence.detection.definition import definition_schema, parse_definition, render_definition
from ringfence.detection.firing import Mode
from ringfence.detection.review import check_deployable, review
from ringfence.errors import ConflictError

router = APIRouter(prefix="/detections", tags=["detection"])

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The definition as an operator writes it",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


async def _text_of(request: Request) -> bytes:
    return await request.body()


Text = Annotated[bytes, Depends(_text_of)]


class DeployBody(BaseModel):
    """How it acts; without `mode` as its definition says, without `version` the newest."""

    model_config = ConfigDict(extra="forbid")
    mode: Mode | None = None
    version: Annotated[int, Field(ge=1)] | None = None


class AllStopBody(BaseModel):
    """Halt containment, or let it go on; with `release` what it has listed is taken off as well."""

    model_config = ConfigDict(extra="forbid")
    stopped: bool
    reason: Annotated[str, Field(max_length=500)] = ""
    release: bool = False


class EntryBody(BaseModel):
    """An entry that containment made."""

    model_config = ConfigDict(extra="forbid")
    list: Annotated[str, Field(min_length=1, max_length=64)]
    pattern: Annotated[str, Field(min_length=1, max_length=64)]


@router.get("")
def list_detections(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """All, those of the catalogue first; the all-stop switch; whether this mediation watches, and what it cannot."""
    with process.database.connection() as connection:
        found = store.list_detections(connection)
        switch = store.read_all_stop(connection)
    return {
        "detections": [one.as_json() for one in found],
        "all_stop": switch.as_json(),
        "is_watching": process.watcher.is_watching,
        "faults": process.watcher.faults,
    }


@router.get("/schema")
def schema(identity: Viewer) -> dict[str, Any]:
    """JSON schema of a definition (docs/detection.schema.json)."""
    return definition_schema()


@router.post("/validate", openapi_extra=_BODY)
def validate(text: Text, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """Read a definition and say what would keep it from working here; nothing is kept."""
    definition = parse_definition(text)
    with database.connection() as connection:
        found = review(connection, definition, datetime.now(UTC))
    return {"definition": definition.as_source(), "findings": [one.as_json() for one in found]}


@router.get("/episodes")
def list_episodes(
    identity: Viewer,
    database: CurrentDatabase,
    name: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Attacks, the newest first, with what containment did and what its caps held back."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        return [one.as_json(now) for one in episodes.list_episodes(connection, name, limit)]


@router.get("/entries")
def list_entries(
    identity: Viewer, database: CurrentDatabase, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000
) -> list[dict[str, Any]]:
    """What containment has on lists now, the newest first."""
    with database.connection() as connection:
        return episodes.acting_listings(connection, datetime.now(UTC), limit)


@router.post("/entries/release", status_code=status.HTTP_204_NO_CONTENT)
def release(body: EntryBody, identity: Editor, database: CurrentDatabase) -> None:
    """Take an entry off that containment made; it is not listed again for an hour."""
    with database.connection() as connection:
        episodes.release(connection, body.list, body.pattern, identity.name, datetime.now(UTC))


@router.post("/all-stop")
def set_all_stop(body: AllStopBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Turn the switch; once this is answered nothing more is listed."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        switch = store.set_all_stop(connection, body.stopped, identity.name, now, body.reason)
        released = episodes.release_all(connection, identity.name, now) if body.stopped and body.release else 0
    return switch.as_json() | {"released": released}


@router.get("/{name}")
def show_detection(name: Name, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """One, with its YAML, versions, newest attacks, and what would keep it from working here."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        found = store.read_detection(connection, name)
        return found.as_json() | {
            "yaml": render_definition(found.definition.as_source()),
            "versions": store.list_versions(connection, name),
            "findings": [one.as_json() for one in review(connection, found.definition, now)],
            "episodes": [one.as_json(now) for one in episodes.list_episodes(connection, name, 20)],
        }


@router.put("/{name}", openapi_extra=_BODY)
def save_detection(
    name: Name,
    text: Text,
    identity: Editor,
    database: CurrentDatabase,
    message: Annotated[str, Query(max_length=500)] = "",
) -> dict[str, Any]:
    """Keep a definition as the next version of its name; the same again makes none. What is deployed stays so."""
    definition = parse_definition(text)
    if definition.name != name:
        raise ConflictError(f"name: the definition is named {definition.name!r}, the address says {name!r}")
    with database.connection() as connection:
        return store.save_definition(connection, definition, identity.name, datetime.now(UTC), message).as_json()


@router.post("/{name}/deploy")
def deploy(name: Name, body: DeployBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Let it act, from the next call on; with the warnings that there are."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        found = store.read_detection(connection, name)
        chosen = store.read_definition(connection, name, body.version) if body.version else found.definition
        warnings = check_deployable(connection, chosen, body.mode or chosen.mode, now)
        deployed = store.deploy(connection, name, identity.name, now, body.mode, body.version)
    return deployed.as_json() | {"findings": [one.as_json() for one in warnings]}


@router.post("/{name}/withdraw")
def withdraw(name: Name, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Let it act no more; what it has listed stays until it ends or is released."""
    with database.connection() as connection:
        return store.withdraw(connection, name, identity.name).as_json()


@router.post("/{name}/test", status_code=status.HTTP_202_ACCEPTED)
def start_test(
    name: Name,
    identity: Analyst,
    process: CurrentProcess,
    days: Annotated[float, Query(gt=0, le=60)] = 7,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> dict[str, Any]:
    """What it would have fired on over the past days: a job, whose result has firings and a series."""
    span, now = check_days(days), datetime.now(UTC)
    with process.database.connection() as connection:
        definition = store.read_detection(connection, name).definition
        if version is not None:
            definition = store.read_definition(connection, name, version)
    database = process.database
    return process.jobs.start(
        KIND, identity.name, lambda progress: back_test(database, definition, span, now, progress), now
    ).as_json()
