"""Explain: how a call would be decided, and why each rule did or did not decide it; or why a recorded one was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Viewer
from ringfence.policy import explain as explaining
from ringfence.policy.explain_event import explain_event

router = APIRouter(prefix="/explain", tags=["policy"])
Name = Annotated[str | None, Query(max_length=64)]


@router.get("")
def explain(
    identity: Viewer,
    database: CurrentDatabase,
    destination: Annotated[str, Query(min_length=1, max_length=explaining.MAX_NUMBER_LENGTH)],
    source: Annotated[str | None, Query(max_length=explaining.MAX_NUMBER_LENGTH)] = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    draft: bool = False,
    site: Name = None,
    device: Name = None,
    client: Name = None,
    time: Annotated[AwareDatetime | None, Query()] = None,
) -> dict[str, Any]:
    """The decision for a source (none: absent) and destination, now or at a time, under what is installed at a site or
    device, under a version or the draft; the answer as the SBC at the address `client` gets it.
    """
    now = datetime.now(UTC)
    question = explaining.Question(source or None, destination, time or now, site, device, client, version, draft)
    with database.connection() as connection:
        return explaining.explain(connection, question, now)


@router.get("/event")
def explain_recorded(
    identity: Viewer, database: CurrentDatabase, event: Annotated[str, Query(min_length=1, max_length=128)]
) -> dict[str, Any]:
    """Why a recorded call was decided as it was; `event` is STREAM/SEQUENCE or DEVICE/JOURNAL/STREAM/SEQUENCE."""
    with database.connection() as connection:
        return explain_event(connection, event, datetime.now(UTC))
