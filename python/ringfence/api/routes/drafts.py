"""The draft: read, edit object by object, check, commit. Every edit names the revision that its author looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ringfence.accounts.credentials import Identity
from ringfence.api.context import CurrentDatabase
from ringfence.api.routes.policy import POLICY_BODY
from ringfence.api.security import Editor, Viewer
from ringfence.database.connection import Database
from ringfence.errors import NotFoundError
from ringfence.policy import drafts, edits
from ringfence.policy.diff import objects_of
from ringfence.policy.drafts import By
from ringfence.policy.edits import Edit, Place
from ringfence.policy.rules import parse_policy

router = APIRouter(prefix="/policy/draft", tags=["draft"])

Kinds = Literal["rules", "lists", "schedules", "profiles", "sbcs", "protected", "answers"]
Kind = Literal["rule", "list", "schedule", "profile", "sbc", "protected", "answers"]
Name = Annotated[str, Path(min_length=1, max_length=64)]
Word = Annotated[str, Field(min_length=1, max_length=64)]
Revision = Annotated[int, Field(ge=0, lt=2**62, description="of the draft, as it was when its author looked at it")]
QueryRevision = Annotated[int, Query(ge=0, lt=2**62)]
Body = dict[str, Any]


class _Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")
    revision: Revision


class _Placed(_Seen):
    before: Word | None = None
    after: Word | None = None
    first: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> _Placed:
        if sum((self.before is not None, self.after is not None, self.first)) > 1:
            raise ValueError("name one place: before, after or first")
        return self

    @property
    def place(self) -> Place:
        """For the domain; without any, last."""
        return Place(self.before, self.after, self.first)


class AddBody(_Placed):
    """A new object; a rule's place is last, unless one is named."""

    name: Word
    body: Body = {}


class PutBody(_Seen):
    """An object's whole content."""

    body: Body


class ChangeBody(_Seen):
    """Some fields; null takes one back to its default."""

    fields: Body


class MoveBody(_Placed):
    """Where the rule comes to stand."""


class CopyBody(_Seen):
    """The copy's name."""

    name: Word


class LoadBody(_Seen):
    """Which version becomes the draft."""

    version: int = Field(ge=1, le=2**31 - 1)


class CommitBody(_Seen):
    """Why, kept with the version."""

    message: str = Field("", max_length=500)
    overwrites: bool = Field(False, description="undo what versions committed meanwhile have changed")


class CheckBody(BaseModel):
    """An object as somebody writes it."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind
    name: Word
    body: Body


@router.get("")
def show(identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """The draft, what a commit would change, and findings on it."""
    with database.connection() as connection:
        draft = drafts.read_draft(connection)
        changes = drafts.pending_changes(connection, draft)
        found = drafts.check_draft(connection, draft)
    return draft.as_json() | {
        "changes": [one.as_json() for one in changes],
        "findings": [one.as_json() for one in found],
    }


@router.put("", openapi_extra=POLICY_BODY)
async def replace(
    request: Request, identity: Editor, database: CurrentDatabase, revision: QueryRevision
) -> dict[str, Any]:
    """Another policy as the draft, from YAML or JSON."""
    text = await request.body()

    def work() -> dict[str, Any]:
        policy = parse_policy(text)
        with database.connection() as connection:
            return drafts.replace(connection, policy, "replace", _by(identity, revision)).as_json()

    return await run_in_threadpool(work)


@router.get("/changes")
def list_changes(
    identity: Viewer,
    database: CurrentDatabase,
    since: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """Who edited what after a revision, newest first."""
    with database.connection() as connection:
        return {"changes": [one.as_json() for one in drafts.read_changes(connection, since, limit)]}


@router.post("/check")
def check(body: CheckBody, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """Findings on an object before it is in the draft; nothing is written."""
    with database.connection() as connection:
        found = drafts.check_one(connection, body.kind, body.name, body.body)
    return {"findings": [one.as_json() for one in found]}


@router.post("/discard")
def discard(body: _Seen, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Drop every edit since the newest version."""
    with database.connection() as connection:
        return drafts.discard(connection, _by(identity, body.revision)).as_json()


@router.post("/load")
def load(body: LoadBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Take a version as the draft."""
    with database.connection() as connection:
        return drafts.load_version(connection, body.version, _by(identity, body.revision)).as_json()


@router.post("/commit")
def commit(body: CommitBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Make a version of the draft; findings with errors refuse it."""
    with database.connection() as connection:
        found = drafts.check_draft(connection)
        by = _by(identity, body.revision)
        made = drafts.commit_draft(connection, body.message, by, overwrites=body.overwrites)
    return made.version.as_json() | {"is_new": made.is_new, "findings": [one.as_json() for one in found]}


@router.get("/{kinds}")
def list_objects(kinds: Kinds, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """The draft's objects of a kind; rules in their order."""
    with database.connection() as connection:
        draft = drafts.read_draft(connection)
    found = objects_of(draft.policy.as_source(), _kind(kinds))
    return {"revision": draft.revision, "objects": [{"name": name, "body": body} for name, body in found.items()]}


@router.post("/{kinds}", status_code=201)
def add_object(kinds: Kinds, body: AddBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Add an object."""
    edit = edits.add(_kind(kinds), body.name, body.body, body.place)
    return _edit(database, edit, identity, body.revision)


@router.get("/{kinds}/{name}")
def show_object(kinds: Kinds, name: Name, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """One object of the draft."""
    with database.connection() as connection:
        draft = drafts.read_draft(connection)
    body = objects_of(draft.policy.as_source(), _kind(kinds)).get(name)
    if body is None:
        raise NotFoundError(f"{_kind(kinds)} {name!r} does not exist in the draft")
    return {"revision": draft.revision, "name": name, "body": body}


@router.put("/{kinds}/{name}")
def put_object(kinds: Kinds, name: Name, body: PutBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Write an object whole, new or not; a rule keeps its place."""
    return _edit(database, edits.put(_kind(kinds), name, body.body), identity, body.revision)


@router.patch("/{kinds}/{name}")
def change_object(
    kinds: Kinds, name: Name, body: ChangeBody, identity: Editor, database: CurrentDatabase
) -> dict[str, Any]:
    """Change some fields of an object."""
    return _edit(database, edits.change(_kind(kinds), name, body.fields), identity, body.revision)


@router.delete("/{kinds}/{name}")
def remove_object(
    kinds: Kinds, name: Name, identity: Editor, database: CurrentDatabase, revision: QueryRevision
) -> dict[str, Any]:
    """Remove an object; refused while a rule refers to it."""
    return _edit(database, edits.remove(_kind(kinds), name), identity, revision)


@router.post("/rules/{name}/move")
def move_rule(name: Name, body: MoveBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Another place for a rule."""
    return _edit(database, edits.move(name, body.place), identity, body.revision)


@router.post("/{kinds}/{name}/copy", status_code=201)
def copy_object(
    kinds: Kinds, name: Name, body: CopyBody, identity: Editor, database: CurrentDatabase
) -> dict[str, Any]:
    """The same under another name; a rule's copy stands right after it."""
    return _edit(database, edits.copy(_kind(kinds), name, body.name), identity, body.revision)


def _edit(database: Database, edit: Edit, identity: Identity, revision: int) -> dict[str, Any]:
    with database.connection() as connection:
        return drafts.apply_edit(connection, edit, _by(identity, revision)).as_json()


def _by(identity: Identity, revision: int) -> By:
    return By(identity.name, datetime.now(UTC), revision)


def _kind(kinds: str) -> str:
    return kinds if kinds in ("protected", "answers") else kinds.removesuffix("s")
