"""The audit trail, by administrators: searched, paged, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, StringConstraints

from ringfence.accounts import audit
from ringfence.accounts.audit import AuditEntry, AuditFilter
from ringfence.accounts.audit_chain import Anchor
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Administrator
from ringfence.api.spreadsheet import csv_line
from ringfence.database.connection import Database

router = APIRouter(prefix="/audit", tags=["audit"])

Text = Annotated[str | None, Query(min_length=1, max_length=200)]
_COLUMNS = ("audit_id", "at", "actor", "address", "action", "subject", "detail")


class Entry(BaseModel):
    """Who did what to what."""

    audit_id: int
    at: datetime
    actor: str
    address: str | None
    action: str
    subject: str
    detail: dict[str, Any]


class Entries(BaseModel):
    """Newest first."""

    entries: list[Entry]


def _wanted(
    actor: Text = None,
    action: Annotated[Text, Query(description="or the beginning of one: `policy`")] = None,
    subject: Text = None,
    text: Annotated[Text, Query(description="anywhere in subject or detail")] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> AuditFilter:
    return AuditFilter(actor, action, subject, text, since, until)


Wanted = Annotated[AuditFilter, Depends(_wanted)]


@router.get("")
def list_entries(
    identity: Administrator,
    database: CurrentDatabase,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Entries:
    """The newest entries that are looked for; `before` (an audit_id) pages on."""
    with database.connection() as connection:
        found = audit.find_entries(connection, replace(wanted, limit=limit, before=before))
    return Entries(entries=[Entry.model_validate(entry, from_attributes=True) for entry in found])


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}, "description": "One entry a line"}},
)
def export(
    identity: Administrator,
    database: CurrentDatabase,
    wanted: Wanted,
    format: Annotated[Literal["ndjson", "csv"], Query()] = "ndjson",  # noqa: A002 - the parameter's name in the URL
) -> StreamingResponse:
    """Every entry that is looked for, newest first."""
    media_type = "text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson"
    name = f'attachment; filename="audit.{format}"'
    lines = _lines(database, wanted, is_csv=format == "csv")
    return StreamingResponse(lines, media_type=media_type, headers={"Content-Disposition": name})


class AuditVerification(BaseModel):
    """What following the trail's chain of hashes showed; `head` is the anchor to keep elsewhere, PLACE:HASH."""

    is_whole: bool
    entries: int
    head: str | None
    fault: str | None
    broken_at: int | None


Anchors = Annotated[
    list[Annotated[str, StringConstraints(max_length=100)]] | None,
    Query(max_length=100, description="PLACE:HASH that was kept elsewhere"),
]


@router.get("/verification")
def verify(
    identity: Administrator, database: CurrentDatabase, process: CurrentProcess, anchor: Anchors = None
) -> AuditVerification:
    """Whether any entry was altered, taken out or put in; against anchors also whether the end was cut off."""
    anchors = tuple(Anchor.parse(text) for text in anchor or ())
    with database.connection() as connection:
        found = process.audit_watch.verify(connection, anchors)
    return AuditVerification(**found.as_json())


def _lines(database: Database, wanted: AuditFilter, *, is_csv: bool) -> Iterator[str]:
    if is_csv:
        yield csv_line(_COLUMNS)
    with database.connection() as connection:
        for entry in audit.all_entries(connection, wanted):
            yield _csv(entry) if is_csv else json.dumps(entry.as_json(), ensure_ascii=False) + "\n"


def _csv(entry: AuditEntry) -> str:
    values = entry.as_json() | {"detail": json.dumps(entry.detail, ensure_ascii=False)}
    return csv_line(values[column] for column in _COLUMNS)
