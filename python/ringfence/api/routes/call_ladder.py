"""The SIP messages of a recorded call, asked of the probes that saw it: as JSON, drawing, capture file, or text.

A probe is asked when somebody looks, and answers within a second or two; each look is in the audit trail.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from ringfence.analytics.call_page import read_call_page
from ringfence.api.context import CurrentProcess
from ringfence.api.security import SiteViewer
from ringfence.capture.ladder import write_text
from ringfence.capture.pcap import write_pcap
from ringfence.mediation import call_ladder
from ringfence.mediation.call_ladder import CallLadder

router = APIRouter(prefix="/events", tags=["events"])

Name = Annotated[str, Path(max_length=128, description="`id` of a call, of either dataset")]
Wait = Annotated[float, Query(ge=0, le=30, description="how long to wait for the probes, seconds")]
WAIT_S = 15.0


async def _ladder(
    id: Name,  # noqa: A002 - as in the URL
    identity: SiteViewer,
    process: CurrentProcess,
    wait_s: Wait = WAIT_S,
) -> CallLadder:
    """Ask, wait, read; each in a transaction of its own."""

    def ask() -> call_ladder.AskedLadder:
        with process.database.connection() as connection:
            return call_ladder.ask(connection, read_call_page(connection, id), datetime.now(UTC))

    def read() -> CallLadder:
        with process.database.connection() as connection:
            return call_ladder.read(connection, asked, identity.name, datetime.now(UTC))

    asked = await run_in_threadpool(ask)
    await process.evidence_feed.wait_for_answers(asked.requests, wait_s)
    return await run_in_threadpool(read)


Ladder = Annotated[CallLadder, Depends(_ladder)]


@router.get("/{id}/ladder")
async def show_ladder(ladder: Ladder) -> dict[str, Any]:
    """Messages and ladder of a call. Where there are none, `state` says why and `steps` are those of the record.

    `state`: shown, waiting, unanswered, away, unreadable, disabled, not_kept, erased, unseen. Needs whole numbers.
    """
    return ladder.as_json()


@router.get(
    "/{id}/ladder.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The ladder; of the record without messages"}},
)
async def draw_ladder(ladder: Ladder) -> Response:
    """The ladder as a drawing."""
    return Response(ladder.drawn.svg(), media_type="image/svg+xml")


@router.get(
    "/{id}/messages.pcap",
    response_class=Response,
    responses={200: {"content": {"application/vnd.tcpdump.pcap": {}}, "description": "The messages"}},
)
async def export_capture(ladder: Ladder) -> Response:
    """The messages as a capture file. 404: there are none; 503: the probe is away, or has not answered yet."""
    return _file(write_pcap(ladder.require_messages()), "application/vnd.tcpdump.pcap", "call.pcap")


@router.get(
    "/{id}/messages.txt",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The messages"}},
)
async def export_text(ladder: Ladder) -> Response:
    """The messages as text. 404: there are none; 503: the probe is away, or has not answered yet."""
    return _file(write_text(ladder.require_messages()).encode(), "text/plain; charset=utf-8", "call.txt")


def _file(octets: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type=media_type, headers=headers)
