"""The SIP messages of a recorded call, asked of the probes that saw it: as JSON, drawing, capture file, or text.

A probe is asked when somebody looks, and answers within a second or two; each look is in the audit trail.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from ringfence.analytics.call_page import read_call_page
from ringfence.api.context import CurrentProcess
from ringfence.api.security import SiteViewer
from ringfence.capture.ladder import write_text
from ringfence.capture.pcap import write_pcap
from ringfence.mediation import call_ladder
from ringfence.mediation.call_ladder import CallLadder
from ringfence.mediation.process import MediationProcess

router = APIRouter(prefix="/events", tags=["events"])

Name = Annotated[str, Path(max_length=128, description="`id` of a call, of either dataset")]
Wait = Annotated[float, Query(ge=0, le=30, description="how long to wait for the probes, seconds")]
WAIT_S = 15.0


@router.get("/{id}/ladder")
async def show_ladder(
    id: Name,  # noqa: A002 - as in the URL
    identity: SiteViewer,
    process: CurrentProcess,
    wait_s: Wait = WAIT_S,
) -> dict[str, Any]:
    """Messages and ladder of a call. Where there are none, `state` says why and `steps` are those of the record.

    `state`: shown, waiting, unanswered, away, unreadable, disabled, not_kept, erased, unseen. Needs whole numbers.
    """
    return (await _ladder(process, id, identity.name, wait_s)).as_json()


@router.get(
    "/{id}/ladder.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The ladder; of the record without messages"}},
)
async def draw_ladder(
    id: Name,  # noqa: A002 - as in the URL
    identity: SiteViewer,
    process: CurrentProcess,
    wait_s: Wait = WAIT_S,
) -> Response:
    """The ladder as a drawing."""
    drawn = (await _ladder(process, id, identity.name, wait_s)).drawn
    return Response(drawn.svg(), media_type="image/svg+xml")


@router.get(
    "/{id}/messages.pcap",
    response_class=Response,
    responses={200: {"content": {"application/vnd.tcpdump.pcap": {}}, "description": "The messages"}},
)
async def export_capture(
    id: Name,  # noqa: A002 - as in the URL
    identity: SiteViewer,
    process: CurrentProcess,
    wait_s: Wait = WAIT_S,
) -> Response:
    """The messages as a capture file. 404: there are none; 503: the probe is away, or has not answered yet."""
    messages = (await _ladder(process, id, identity.name, wait_s)).require_messages()
    return _file(write_pcap(messages), "application/vnd.tcpdump.pcap", "call.pcap")


@router.get(
    "/{id}/messages.txt",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The messages"}},
)
async def export_text(
    id: Name,  # noqa: A002 - as in the URL
    identity: SiteViewer,
    process: CurrentProcess,
    wait_s: Wait = WAIT_S,
) -> Response:
    """The messages as text. 404: there are none; 503: the probe is away, or has not answered yet."""
    messages = (await _ladder(process, id, identity.name, wait_s)).require_messages()
    return _file(write_text(messages).encode(), "text/plain; charset=utf-8", "call.txt")


async def _ladder(process: MediationProcess, name: str, actor: str, wait_s: float) -> CallLadder:
    """Ask, wait, read; each in a transaction of its own."""

    def ask() -> call_ladder.AskedLadder:
        with process.database.connection() as connection:
            return call_ladder.ask(connection, read_call_page(connection, name), datetime.now(UTC))

    def read() -> CallLadder:
        with process.database.connection() as connection:
            return call_ladder.read(connection, asked, actor, datetime.now(UTC))

    asked = await run_in_threadpool(ask)
    await process.evidence_feed.wait_for_answers(asked.requests, wait_s)
    return await run_in_threadpool(read)


def _file(octets: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type=media_type, headers=headers)
