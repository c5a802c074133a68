"""Single calls: pages for people, exports for programs and spreadsheets, and what is new for those who follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from ringfence.analytics.call_page import read_call_page
from ringfence.analytics.calls import MAX_LIMIT, AnyCall, CallFilter, find_calls, follow_calls
from ringfence.analytics.cursor import Cursor
from ringfence.analytics.sip_calls import SipCall
from ringfence.analytics.words import parse_dataset
from ringfence.api.context import CurrentDatabase
from ringfence.api.event_filter import WantedEvents
from ringfence.api.security import Viewer
from ringfence.api.spreadsheet import csv_line
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

router = APIRouter(prefix="/events", tags=["events"])

MAX_EXPORT = 10_000_000
_EXPORT_PAGE = 5_000

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
    identity: Viewer,
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
    identity: Viewer,
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
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}, "description": "One call a line"}},
)
def export(
    identity: Viewer,
    database: CurrentDatabase,
    wanted: Wanted,
    format: Annotated[Literal["ndjson", "csv"], Query()] = "ndjson",  # noqa: A002 - the parameter's name in the URL
    limit: Annotated[int, Query(ge=1, le=MAX_EXPORT)] = 100_000,
) -> StreamingResponse:
    """Many calls, newest first, as they are found."""
    pages = _pages(database, wanted, limit)
    # The first page is fetched before the answer begins, so that a refusal is still a refusal.
    first = next(pages, [])
    if format == "csv":
        columns = _SIP_CSV_COLUMNS if wanted.dataset is Dataset.SIP else _CSV_COLUMNS
        lines = _csv(columns, first, pages)
    else:
        lines = _ndjson(first, pages)
    media_type = "text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson"
    name = f'attachment; filename="calls.{format}"'
    return StreamingResponse(lines, media_type=media_type, headers={"Content-Disposition": name})


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


def _ndjson(first: list[AnyCall], pages: Iterator[list[AnyCall]]) -> Iterator[str]:
    yield "".join(json.dumps(call.as_json(), ensure_ascii=False) + "\n" for call in first)
    for page in pages:
        yield "".join(json.dumps(call.as_json(), ensure_ascii=False) + "\n" for call in page)


_CSV_COLUMNS = (
    "time",
    "dataset",
    "device",
    "source",
    "destination",
    "direction",
    "action",
    "rule",
    "policy_version",
    "reason",
    "target",
    "source_class",
    "destination_class",
    "latency_us",
    "peer",
    "stream",
    "sequence",
    "monitored",
    "reported_time",
)


_SIP_CSV_COLUMNS = (
    "time",
    "dataset",
    "device",
    "source",
    "destination",
    "direction",
    "result",
    "status",
    "released_by",
    "pdd_ms",
    "answer_ms",
    "duration_ms",
    "mos_forward",
    "mos_backward",
    "codec",
    "attestation",
    "source_class",
    "destination_class",
    "source_peer",
    "destination_peer",
    "transport",
    "call_id",
    "user_agent",
    "flags",
    "stream",
    "sequence",
    "reported_time",
)


def _csv(columns: tuple[str, ...], first: list[AnyCall], pages: Iterator[list[AnyCall]]) -> Iterator[str]:
    yield csv_line(columns) + "".join(_csv_row(columns, call) for call in first)
    for page in pages:
        yield "".join(_csv_row(columns, call) for call in page)


def _csv_row(columns: tuple[str, ...], call: AnyCall) -> str:
    values = call.as_json()
    if isinstance(call, SipCall):
        values |= {"flags": "; ".join(call.flags)}
        values |= {f"mos_{side}": values["media"][side].get("mos") for side in ("forward", "backward")}
    else:
        values |= {"monitored": "; ".join(call.monitored)}
    return csv_line(values.get(column) for column in columns)


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
    identity: Viewer,
    database: CurrentDatabase,
) -> WholeCall:
    """One call with what belongs to it: the decisions about it, all legs that probes saw, and what became of them."""
    with database.connection() as connection:
        return WholeCall(**read_call_page(connection, id).as_json())
