"""Hits: how often and when last rules and list entries decided calls, and which never do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ringfence.analytics.hits import rule_hits
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Analyst, SiteViewer, Viewer
from ringfence.mediation import entry_hits, usage

router = APIRouter(prefix="/hits", tags=["policy"])
Name = Annotated[str | None, Query(max_length=64)]
Moment = Annotated[AwareDatetime | None, Query()]


class EntryHitsBody(BaseModel):
    """Which list, over which period; `unused`: only entries without a hit."""

    model_config = ConfigDict(extra="forbid")
    list: Annotated[str, Field(min_length=1, max_length=64)]
    start: AwareDatetime
    end: AwareDatetime | None = None
    unused: bool = False
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000


@router.get("/rules")
def hits_of_rules(
    identity: SiteViewer, database: CurrentDatabase, start: Moment = None, end: Moment = None, device: Name = None
) -> dict[str, Any]:
    """Every rule that ever matched a call; by default over the last seven days, on all devices."""
    now = datetime.now(UTC)
    until = end or now
    with database.connection() as connection:
        return rule_hits(connection, start or until - timedelta(days=7), until, device=device, now=now).as_json()


@router.get("/usage")
def unused_and_shadowed(
    identity: Viewer,
    database: CurrentDatabase,
    start: Moment = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> dict[str, Any]:
    """Rules of the installed (or another) version that matched nothing since `start`, and those that never can."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        return usage.rule_usage(connection, start or now - timedelta(days=30), now, version)


@router.post("/entries", status_code=status.HTTP_202_ACCEPTED)
def hits_of_entries(body: EntryHitsBody, identity: Analyst, process: CurrentProcess) -> dict[str, Any]:
    """Count the hits of a list's entries, from the recorded calls; a job, since there may be many."""
    now = datetime.now(UTC)
    with process.database.connection() as connection:
        prepared = entry_hits.prepare(connection, body.list, body.start, body.end or now, now)
    work = partial(entry_hits.count, process.database, prepared, unused=body.unused, limit=body.limit)
    return process.jobs.start(entry_hits.KIND, identity.name, work, now).as_json()
