"""Entries of dynamic lists: put on, taken off and shown, without a policy version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Editor, Viewer
from ringfence.mediation.sites import first_site
from ringfence.policy import dynamic

router = APIRouter(prefix="/lists", tags=["policy"])

ListName = Annotated[str, Path(min_length=1, max_length=64)]
Pattern = Annotated[str, Field(min_length=1, max_length=128)]


class EntryBody(BaseModel):
    """A pattern to put on a list; without `lasts_s` it stays until it is removed."""

    model_config = ConfigDict(extra="forbid")
    pattern: Pattern
    note: Annotated[str, Field(max_length=dynamic.MAX_NOTE)] = ""
    lasts_s: Annotated[float, Field(gt=0, le=dynamic.MAX_LASTS.total_seconds())] | None = None


@router.post("/{name}/entries", status_code=status.HTTP_201_CREATED)
def add_entry(
    name: ListName, body: EntryBody, identity: Editor, database: CurrentDatabase, response: Response
) -> dict[str, Any]:
    """Put a pattern on a dynamic list, at once on every edge; 200: it is there just so. A new end replaces the old."""
    lasts = timedelta(seconds=body.lasts_s) if body.lasts_s is not None else None
    with database.connection() as connection:
        outcome = dynamic.add_entry(
            connection,
            first_site(connection),
            name,
            body.pattern,
            identity.name,
            datetime.now(UTC),
            note=body.note,
            lasts=lasts,
        )
    if not outcome.is_changed:
        response.status_code = status.HTTP_200_OK
    return outcome.entry.as_json()


@router.get("/{name}/entries")
def list_entries(
    name: ListName,
    identity: Viewer,
    database: CurrentDatabase,
    limit: Annotated[int, Query(ge=1, le=dynamic.MAX_ENTRIES)] = 1000,
) -> dict[str, Any]:
    """The newest acting entries of a dynamic list."""
    with database.connection() as connection:
        found = dynamic.list_entries(connection, name, datetime.now(UTC), limit)
    return {"list": name, "entries": [entry.as_json() for entry in found]}


@router.delete("/{name}/entries", status_code=status.HTTP_204_NO_CONTENT)
def remove_entry(
    name: ListName,
    identity: Editor,
    database: CurrentDatabase,
    pattern: Annotated[str, Query(min_length=1, max_length=128)],
) -> None:
    """Take a pattern off a dynamic list, at once on every edge; one that is not on it is no failure."""
    with database.connection() as connection:
        dynamic.remove_entry(connection, name, pattern, identity.name, datetime.now(UTC))
