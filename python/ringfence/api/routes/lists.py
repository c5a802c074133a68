"""Lists and their entries: made, searched, changed. Static ones act by policy versions, dynamic ones at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Editor, Viewer
from ringfence.mediation.sites import first_site
from ringfence.policy import dynamic
from ringfence.policy.lists import acting, any_kind, catalogue, entries
from ringfence.policy.lists.entries import EntryFilter

router = APIRouter(prefix="/lists", tags=["lists"])

ListName = Annotated[str, Path(min_length=1, max_length=64)]
Pattern = Annotated[str, Field(min_length=1, max_length=128)]
Note = Annotated[str, Field(max_length=catalogue.MAX_NOTE)]
Revision = Annotated[int, Field(ge=0, le=2**31 - 1)]
SeenQuery = Annotated[Revision | None, Query(description="revision that was looked at; another one by now: 409")]


class ListBody(BaseModel):
    """A list to make."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Literal["static", "dynamic"] = "static"
    note: Note = ""


class NoteBody(BaseModel):
    """What a list is for."""

    model_config = ConfigDict(extra="forbid")
    note: Note


class _Ending(BaseModel):
    model_config = ConfigDict(extra="forbid")
    note: Note = ""
    lasts_s: Annotated[float, Field(gt=0, le=dynamic.MAX_LASTS.total_seconds())] | None = None
    expires_at: datetime | None = None
    seen: Revision | None = None

    @model_validator(mode="after")
    def _one_end(self) -> _Ending:
        if self.lasts_s is not None and self.expires_at is not None:
            raise ValueError("lasts_s and expires_at: give one of them")
        return self

    def ends(self, now: datetime) -> datetime | None:
        """When the entry ceases to act; None: when it is removed. A time without zone is UTC."""
        if self.lasts_s is not None:
            return now + timedelta(seconds=self.lasts_s)
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            return self.expires_at.replace(tzinfo=UTC)
        return self.expires_at


class EntryBody(_Ending):
    """A pattern to put on a list; without `lasts_s` and `expires_at` it stays until it is removed."""

    pattern: Pattern


class NumberBody(_Ending):
    """A number as a call shows it, to put on a list."""

    number: Annotated[str, Field(min_length=1, max_length=any_kind.MAX_NUMBER_LENGTH)]


@router.get("")
def all_lists(identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """Every list: static, dynamic, and those that stand in the installed policy itself (`inline`)."""
    with database.connection() as connection:
        found = any_kind.overview(connection, datetime.now(UTC))
    return {"lists": [one.as_json() for one in found]}


@router.post("", status_code=status.HTTP_201_CREATED)
def create_list(body: ListBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Make an empty list, and declare it in the draft so that rules can name it."""
    with database.connection() as connection:
        made = acting.create_and_declare(
            connection, body.name, body.kind, identity.name, datetime.now(UTC), note=body.note
        )
    return made.as_json()


@router.get("/{name}")
def show_list(name: ListName, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """A kept list, and its newest changes where it is static."""
    with database.connection() as connection:
        known = catalogue.read_list(connection, name)
        revisions = catalogue.list_revisions(connection, name) if known.kind == "static" else []
    return known.as_json() | {"revisions": [one.as_json() for one in revisions]}


@router.patch("/{name}")
def describe_list(name: ListName, body: NoteBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Give a list another note."""
    with database.connection() as connection:
        return catalogue.describe_list(connection, name, body.note, identity.name, datetime.now(UTC)).as_json()


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def delete_list(name: ListName, identity: Editor, database: CurrentDatabase) -> None:
    """Take a list away; 409 while a rule of the draft names it. Versions keep what they had."""
    with database.connection() as connection:
        acting.delete_and_withdraw(connection, name, identity.name, datetime.now(UTC))


@router.get("/{name}/entries")
def list_entries(
    name: ListName,
    identity: Viewer,
    database: CurrentDatabase,
    pattern: Annotated[str | None, Query(max_length=128, description="the pattern's text begins so")] = None,
    number: Annotated[str | None, Query(max_length=16, description="+E.164 that falls under the entry")] = None,
    note: Annotated[str | None, Query(max_length=catalogue.MAX_NOTE, description="the note holds this")] = None,
    revision: Annotated[Revision | None, Query(description="a static list as it was then")] = None,
    after: Annotated[str, Query(max_length=128, description="`after` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=dynamic.MAX_ENTRIES)] = 1000,
) -> dict[str, Any]:
    """A page of a list's entries: a static list's by pattern, a dynamic one's acting ones, newest first."""
    wanted = EntryFilter(pattern=pattern, number=number, note=note, revision=revision)
    with database.connection() as connection:
        return any_kind.page_of(connection, name, wanted, datetime.now(UTC), after=after, limit=limit)


@router.post("/{name}/entries", status_code=status.HTTP_201_CREATED)
def add_entry(
    name: ListName, body: EntryBody, identity: Editor, database: CurrentDatabase, response: Response
) -> dict[str, Any]:
    """Put a pattern on a list; 200: it is there just so. A new end replaces the old. `acts` says when it acts."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        put = any_kind.put_entry(
            connection,
            first_site(connection),
            name,
            body.pattern,
            identity.name,
            now,
            note=body.note,
            expires_at=body.ends(now),
            seen=body.seen,
        )
    if not put.is_changed:
        response.status_code = status.HTTP_200_OK
    return put.as_json()


@router.post("/{name}/numbers", status_code=status.HTTP_201_CREATED)
def add_number(
    name: ListName, body: NumberBody, identity: Editor, database: CurrentDatabase, response: Response
) -> dict[str, Any]:
    """Block or allow in one click: put a number, as a call shows it, on a list."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        put = any_kind.put_number(
            connection,
            first_site(connection),
            name,
            body.number,
            identity.name,
            now,
            note=body.note,
            expires_at=body.ends(now),
            seen=body.seen,
        )
    if not put.is_changed:
        response.status_code = status.HTTP_200_OK
    return put.as_json()


@router.put("/{name}/entries")
def edit_entry(name: ListName, body: EntryBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Give an entry of a static list another note and end; 404 when it is not on the list."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        entry, change = entries.edit_entry(
            connection,
            name,
            body.pattern,
            identity.name,
            now,
            note=body.note,
            expires_at=body.ends(now),
            seen=body.seen,
        )
    return entry.as_json() | {"list": name, "revision": change.revision}


@router.delete("/{name}/entries", status_code=status.HTTP_204_NO_CONTENT)
def remove_entry(
    name: ListName,
    identity: Editor,
    database: CurrentDatabase,
    pattern: Annotated[str, Query(min_length=1, max_length=128)],
    seen: SeenQuery = None,
) -> None:
    """Take a pattern off a list; one that is not on it is no failure."""
    with database.connection() as connection:
        any_kind.take_off(connection, name, pattern, identity.name, datetime.now(UTC), seen=seen)
