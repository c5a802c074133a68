"""Captures: upload a pcap, see the calls in it, their ladders, and one call as pcap again. Nothing is stored."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, status
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from ringfence.api.context import CurrentProcess
from ringfence.api.security import Analyst
from ringfence.capture.ladder import build_ladder
from ringfence.capture.pcap import write_pcap
from ringfence.capture.reading import CaptureOptions
from ringfence.errors import InvalidInputError
from ringfence.mediation.captures import MAX_BYTES
from ringfence.mediation.process import MediationProcess
from ringfence.mediation.sites import first_site, read_site
from ringfence.numbering.dial_plan import Site

router = APIRouter(prefix="/captures", tags=["captures"])

CaptureId = Annotated[str, Path(min_length=1, max_length=64)]
CallIndex = Annotated[int, Path(ge=0, le=1_000_000)]
_BODY = {
    "requestBody": {
        "required": True,
        "description": f"pcap or pcapng, plain, gzip or zstd; at most {MAX_BYTES >> 20} MiB",
        "content": {"application/vnd.tcpdump.pcap": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", status_code=status.HTTP_202_ACCEPTED, openapi_extra=_BODY)
async def upload_capture(
    request: Request,
    identity: Analyst,
    process: CurrentProcess,
    name: Annotated[str, Query(max_length=256, description="how the file is called")] = "capture",
    site: Annotated[str | None, Query(max_length=64, description="whose dial plan reads the numbers")] = None,
) -> dict[str, Any]:
    """Begin to read; `/jobs/{id}` tells the progress, and once it is done the calls (the first 2,000) and a summary."""
    plan = await run_in_threadpool(_site, process, site)
    file = await run_in_threadpool(process.captures.new_file)
    try:
        octets = 0
        with file.open("wb") as out:
            async for piece in request.stream():
                octets += len(piece)
                await run_in_threadpool(out.write, piece)
        if not octets:
            raise InvalidInputError("body: is empty, must be a capture file")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    options = CaptureOptions(plan, process.settings.probe.trunk_networks, with_messages=True)
    return process.captures.start(process.jobs, identity.name, name, file, options).as_json()


@router.get("/{capture}/calls/{call}/messages")
def show_messages(capture: CaptureId, call: CallIndex, identity: Analyst, process: CurrentProcess) -> dict[str, Any]:
    """The SIP messages of a call, secrets covered. For who uploaded the capture."""
    return {"messages": process.captures.messages(capture, call, identity.name)}


@router.get(
    "/{capture}/calls/{call}/ladder.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The ladder"}},
)
def show_ladder(capture: CaptureId, call: CallIndex, identity: Analyst, process: CurrentProcess) -> Response:
    """The messages of a call between its addresses, as a drawing."""
    drawing = build_ladder(process.captures.messages(capture, call, identity.name)).svg()
    return Response(drawing, media_type="image/svg+xml")


@router.get(
    "/{capture}/calls/{call}/messages.pcap",
    response_class=Response,
    responses={200: {"content": {"application/vnd.tcpdump.pcap": {}}, "description": "The messages"}},
)
def export_messages(capture: CaptureId, call: CallIndex, identity: Analyst, process: CurrentProcess) -> Response:
    """The messages of a call as a capture file."""
    file = write_pcap(process.captures.messages(capture, call, identity.name))
    headers = {"Content-Disposition": f'attachment; filename="call-{call}.pcap"'}
    return Response(file, media_type="application/vnd.tcpdump.pcap", headers=headers)


def _site(process: MediationProcess, name: str | None) -> Site:
    with process.database.connection() as connection:
        return first_site(connection) if name is None else read_site(connection, name).site
