"""Proof of enforcement: what ENUM servers decided, beside what probes saw the SBCs do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from ringfence.analytics.enforcement.question import (
    DEFAULT_AFTER_S,
    DEFAULT_BEFORE_S,
    MAX_LIMIT,
    MAX_WINDOW_S,
    EnforcementQuery,
    Place,
    Window,
    parse_verdict,
)
from ringfence.analytics.enforcement.report import prove
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import SiteViewer
from ringfence.errors import InvalidInputError

router = APIRouter(prefix="/enforcement", tags=["analytics"])

_DEFAULT_PERIOD = timedelta(hours=1)


class MatchWindow(BaseModel):
    """How far before and after the first message of a call its decisions may stand."""

    before_s: float
    after_s: float


class Enforcement(BaseModel):
    """Calls by verdict: `followed`, `ignored`, `unproven`, or `unasked` (no ENUM server was asked).

    `series` has one figure for each bucket and verdict; `queries_without_call` are ENUM queries of the period that
    belong to no call that a probe saw; `cautions` name what is known to be missing. `next` is the cursor of the
    following page, null at the end.
    """

    start: datetime
    end: datetime
    window: MatchWindow
    total: int
    counts: dict[str, int]
    queries: int
    queries_without_call: int
    bucket_s: int
    buckets: list[datetime]
    series: dict[str, list[int]]
    calls: list[dict[str, Any]]
    next: str | None
    cautions: list[str]


@router.get("")
def enforcement(
    identity: SiteViewer,
    database: CurrentDatabase,
    verdict: Annotated[
        str | None, Query(max_length=32, description="which calls are listed; counts are of all verdicts")
    ] = None,
    device: Annotated[str | None, Query(max_length=64, description="by what this probe saw")] = None,
    number: Annotated[str | None, Query(max_length=32, description="source or destination, E.164")] = None,
    start: Annotated[AwareDatetime | None, Query(description="absent: an hour before end")] = None,
    end: Annotated[AwareDatetime | None, Query(description="absent: now")] = None,
    before_s: Annotated[float, Query(ge=0, le=MAX_WINDOW_S)] = DEFAULT_BEFORE_S,
    after_s: Annotated[float, Query(ge=0, le=MAX_WINDOW_S)] = DEFAULT_AFTER_S,
    correlation: Annotated[
        str | None, Query(pattern="^[0-9a-f]{16}$", description="one call, as `correlation` of a SIP call names it")
    ] = None,
    event: Annotated[
        str | None, Query(max_length=64, description="the call of one ENUM query, as STREAM/SEQUENCE")
    ] = None,
    limit: Annotated[int, Query(ge=0, le=MAX_LIMIT, description="calls listed; 0: only counts")] = 100,
    before: Annotated[str | None, Query(max_length=128, description="`next` of the page before")] = None,
) -> Enforcement:
    """Match the decisions of a period to the calls that probes saw, and say what became of them."""
    until = end or datetime.now(UTC)
    query = EnforcementQuery(
        start or until - _DEFAULT_PERIOD,
        until,
        parse_verdict(verdict) if verdict is not None else None,
        device,
        number,
        _correlation(correlation),
        _event(event),
        Window(before_s, after_s),
        limit,
        Place.parse(before) if before is not None else None,
    )
    with database.connection() as connection:
        return Enforcement(**prove(connection, query).as_json())


def _correlation(text: str | None) -> int | None:
    if text is None:
        return None
    bits = int(text, 16)
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def _event(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    stream, _, sequence = text.partition("/")
    if not (stream.isdecimal() and sequence.isdecimal()) or int(stream) >= 1 << 31 or int(sequence) >= 1 << 63:
        raise InvalidInputError(f"event: {text!r} is not STREAM/SEQUENCE, as a call's `stream` and `sequence` say")
    return int(stream), int(sequence)
