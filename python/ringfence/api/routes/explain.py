"""Explain: how a call would be decided now, and why each rule did or did not decide it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Viewer
from ringfence.mediation.sites import first_site
from ringfence.policy.explain import MAX_NUMBER_LENGTH, explain_call

router = APIRouter(prefix="/explain", tags=["policy"])


@router.get("")
def explain(
    identity: Viewer,
    database: CurrentDatabase,
    destination: Annotated[str, Query(min_length=1, max_length=MAX_NUMBER_LENGTH)],
    source: Annotated[str | None, Query(max_length=MAX_NUMBER_LENGTH)] = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> dict[str, Any]:
    """The decision for a source (none: absent) and destination under the installed version, or under another one."""
    with database.connection() as connection:
        site = first_site(connection)
        return explain_call(connection, site, source or None, destination, datetime.now(UTC), version)
