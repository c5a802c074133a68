"""Alerts: listed, followed, acknowledged, commented, closed; their evidence as a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ringfence.analytics.call_export import export_columns
from ringfence.analytics.words import parse_dataset
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Analyst, Viewer
from ringfence.api.spreadsheet import csv_line
from ringfence.detection.alerts import evidence, reading, store
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.reading import AlertFilter
from ringfence.detection.alerts.words import headline, what_happened
from ringfence.detection.firing import Severity

router = APIRouter(prefix="/alerts", tags=["detection"])

MAX_WAIT_S = 60.0
Number = Annotated[int, Path(ge=1, lt=2**63)]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]


class Alerts(BaseModel):
    """Newest first; `next` is what to give as `before` for the following page, null at the end."""

    alerts: list[dict[str, Any]]
    next: int | None


class Changes(BaseModel):
    """What was opened or changed, in that order, and the change to ask with next."""

    alerts: list[dict[str, Any]]
    change: int


class Words(BaseModel):
    """What somebody has to say."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(max_length=store.MAX_COMMENT)]


class Closing(BaseModel):
    """How it was dealt with."""

    model_config = ConfigDict(extra="forbid")
    comment: Annotated[str, Field(max_length=store.MAX_COMMENT)] = ""


def _shown(alert: Alert) -> dict[str, Any]:
    return alert.as_json() | {"headline": headline(alert), "words": what_happened(alert)}


@router.get("")
def list_alerts(
    identity: Viewer,
    database: CurrentDatabase,
    state: Annotated[Literal["open", "acknowledged", "closed", "unclosed"] | None, Query()] = None,
    severity: Annotated[Severity | None, Query(description="at least")] = None,
    detection: Text = None,
    text: Annotated[Text, Query(description="anywhere in detection, key and numbers")] = None,
    since: Annotated[AwareDatetime | None, Query(description="fired at or after")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=reading.MAX_LIMIT)] = 100,
) -> Alerts:
    """Those that are looked for, newest first."""
    wanted = AlertFilter(state, severity, detection, text, since, before, limit)
    with database.connection() as connection:
        found = reading.find_alerts(connection, wanted)
    following = found[-1].alert_id if len(found) == limit else None
    return Alerts(alerts=[_shown(alert) for alert in found], next=following)


@router.get("/changes")
async def follow(
    identity: Viewer,
    process: CurrentProcess,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="without: begin now")] = None,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
) -> Changes:
    """What changed after a change, as soon as anything does, at the latest after `wait_s`; an empty list then."""

    def read(change: int | None) -> Changes:
        with process.database.connection() as connection:
            if change is None:
                return Changes(alerts=[], change=reading.newest_change(connection))
            found = reading.alerts_since(connection, change)
        return Changes(alerts=[_shown(alert) for alert in found], change=found[-1].change if found else change)

    if after is not None:
        await process.alerts_feed.wait_for_change(after, wait_s)
    return await asyncio.to_thread(read, after)


@router.get("/{alert}")
def show(alert: Number, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """One, with its timeline."""
    with database.connection() as connection:
        found = reading.read_alert(connection, alert)
        entries = reading.timeline(connection, alert)
    return _shown(found) | {"timeline": [one.as_json() for one in entries]}


@router.post("/{alert}/acknowledge")
def acknowledge(alert: Number, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """Somebody looks after it."""
    with database.connection() as connection:
        return _shown(store.acknowledge(connection, alert, identity.name, datetime.now(UTC)))


@router.post("/{alert}/comments")
def comment(alert: Number, body: Words, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """Add what somebody has to say."""
    with database.connection() as connection:
        return _shown(store.comment(connection, alert, identity.name, body.text, datetime.now(UTC)))


@router.post("/{alert}/close")
def close(alert: Number, identity: Analyst, database: CurrentDatabase, body: Closing | None = None) -> dict[str, Any]:
    """It is dealt with."""
    with database.connection() as connection:
        words = body.comment if body else ""
        return _shown(store.close(connection, alert, identity.name, datetime.now(UTC), words))


@router.get(
    "/{alert}/evidence",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/csv": {}}, "description": "What was kept with it"}},
)
def export_evidence(
    alert: Number,
    identity: Viewer,
    database: CurrentDatabase,
    format: Annotated[Literal["json", "csv"], Query()] = "json",  # noqa: A002 - the parameter's name in the URL
) -> Response:
    """All of it as JSON, or its calls as CSV, oldest first."""
    with database.connection() as connection:
        found = evidence.read_evidence(connection, alert)
        entries = reading.timeline(connection, alert)
    headers = {"Content-Disposition": f'attachment; filename="alert-{alert}.{format}"'}
    if format == "csv":
        return Response("".join(_csv(found)), media_type="text/csv; charset=utf-8", headers=headers)
    whole = found | {"timeline": [one.as_json() for one in entries]}
    return Response(json.dumps(whole, ensure_ascii=False), media_type="application/json", headers=headers)


def _csv(found: dict[str, Any]) -> Iterator[str]:
    columns = export_columns(parse_dataset(found["alert"]["dataset"]))
    yield csv_line(("part", *columns))
    for part, call in evidence.call_rows(found):
        values = (call.get(column) for column in columns)
        yield csv_line((part, *(" ".join(map(str, value)) if isinstance(value, list) else value for value in values)))
