"""Single calls: pages for people, exports for programs and spreadsheets, and what is new for those who follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from ringfence.analytics.call_export import export_columns, export_values, parquet_parts
from ringfence.analytics.call_page import read_call_page
from ringfence.analytics.calls import MAX_EXPORT, MAX_LIMIT, AnyCall, CallFilter, find_calls, follow_calls
from ringfence.analytics.cursor import Cursor
from ringfence.analytics.words import parse_dataset
from ringfence.api.context import CurrentDatabase
from ringfence.api.event_filter import WantedEvents
from ringfence.api.security import SiteViewer
from ringfence.api.spreadsheet import csv_line
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

router = APIRouter(prefix="/events", tags=["events"])

_EXPORT_PAGE = 5_000
_MEDIA_TYPES = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

Name = Annotated[str | None, Query(max_length=64)]


class CallPage(BaseModel):
    """Calls, newest first; `next` is the cursor of the following page, null at the end."""

    calls: list[dict[str, Any]]
    next: str | None


class WholeCall(BaseModel):
    """A query or a call, and as `proof` the whole call as `enforcement` lists it; null when no probe saw it."""

    call: dict[str, Any]
    proof: dict[str, Any] | None


class NewCalls(BaseModel):
    """Calls that arrived since a position, and the position to ask with next."""

    calls: list[dict[str, Any]]
    position: str


def _wanted(
    events: WantedEvents,
    dataset: Annotated[str, Query(max_length=32)] = Dataset.ENUM.word,
    device: Name = None,
    call_id: Annotated[str | None, Query(max_length=256, description="dataset sip: Call-ID")] = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> CallFilter:
    return CallFilter.of(events, parse_dataset(dataset), device=device, call_id=call_id, start=start, end=end)


Wanted = Annotated[CallFilter, Depends(_wanted)]


@router.get("")
def events(
    identity: SiteViewer,
    database: CurrentDatabase,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    before: Annotated[str | None, Query(max_length=128, description="`next` of the page before")] = None,
) -> CallPage:
    """A page of calls, newest first."""
    wanted = replace(wanted, limit=limit, before=Cursor.parse(before) if before is not None else None)
    with database.connection() as connection:
        calls = find_calls(connection, wanted)
    following = str(calls[-1].cursor) if len(calls) == limit else None
    return CallPage(calls=[call.as_json() for call in calls], next=following)


@router.get("/new")
def new_events(
    identity: SiteViewer,
    database: CurrentDatabase,
    wanted: Wanted,
    position: Annotated[str | None, Query(max_length=65_536, description="absent: begin now, with no calls")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 1000,
) -> NewCalls:
    """Calls that arrived since `position`, also late ones (as long as they are not older than `start`)."""
    seen = _parse_position(position) if position is not None else None
    with database.connection() as connection:
        calls, after = follow_calls(connection, replace(wanted, limit=limit), seen)
    return NewCalls(calls=[call.as_json() for call in calls], position=_position(after))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"application/x-ndjson": {}, "text/csv": {}, "application/vnd.apache.parquet": {}},
            "description": "Calls as they are found; of a Parquet file the end is what makes it whole",
        }
    },
)
def export(
    identity: SiteViewer,
    database: CurrentDatabase,
    wanted: Wanted,
    format: Annotated[Literal["ndjson", "csv", "parquet"], Query()] = "ndjson",  # noqa: A002 - the name in the URL
    limit: Annotated[int, Query(ge=1, le=MAX_EXPORT)] = 100_000,
) -> StreamingResponse:
    """Many calls, newest first, as they are found."""
    found = _pages(database, wanted, limit)
    # The first page is fetched before the answer begins, so that a refusal is still a refusal.
    pages = chain([next(found, [])], found)
    parts: Iterator[str] | Iterator[bytes]
    if format == "parquet":
        parts = parquet_parts(wanted.dataset, pages)
    elif format == "csv":
        parts = _csv(wanted.dataset, pages)
    else:
        parts = _ndjson(pages)
    name = f'attachment; filename="calls.{format}"'
    return StreamingResponse(parts, media_type=_MEDIA_TYPES[format], headers={"Content-Disposition": name})


def _pages(database: Database, wanted: CallFilter, limit: int) -> Iterator[list[AnyCall]]:
    """Pages of calls, each in a transaction of its own, `limit` calls in all."""
    while limit > 0:
        wanted = replace(wanted, limit=min(limit, _EXPORT_PAGE))
        with database.connection() as connection:
            calls = find_calls(connection, wanted)
        yield calls
        if len(calls) < wanted.limit:
            return
        limit -= len(calls)
        wanted = replace(wanted, before=calls[-1].cursor)


def _ndjson(pages: Iterator[list[AnyCall]]) -> Iterator[str]:
    for page in pages:
        yield "".join(json.dumps(call.as_json(), ensure_ascii=False) + "\n" for call in page)


def _csv(dataset: Dataset, pages: Iterator[list[AnyCall]]) -> Iterator[str]:
    columns = export_columns(dataset)
    yield csv_line(columns)
    for page in pages:
        yield "".join(_csv_row(columns, call) for call in page)


def _csv_row(columns: tuple[str, ...], call: AnyCall) -> str:
    values = (export_values(call).get(column) for column in columns)
    return csv_line("; ".join(value) if isinstance(value, list) else value for value in values)


def _position(position: dict[int, int]) -> str:
    return ",".join(f"{stream}:{sequence}" for stream, sequence in sorted(position.items()))


def _parse_position(text: str) -> dict[int, int]:
    try:
        pairs = [part.split(":") for part in text.split(",") if part]
        position = {int(stream): int(sequence) for stream, sequence in pairs}
    except ValueError:
        raise InvalidInputError("position: is not one that an earlier answer gave") from None
    if not all(0 <= sequence < 1 << 63 for sequence in position.values()):
        raise InvalidInputError("position: is not one that an earlier answer gave")
    return position


@router.get("/{id}")
def one_call(
    id: Annotated[str, Path(max_length=128, description="`id` of a call, of either dataset")],  # noqa: A002 - as in the URL
    identity: SiteViewer,
    database: CurrentDatabase,
) -> WholeCall:
    """One call with what belongs to it: the decisions about it, all legs that probes saw, and what became of them."""
    with database.connection() as connection:
        return WholeCall(**read_call_page(connection, id).as_json())
