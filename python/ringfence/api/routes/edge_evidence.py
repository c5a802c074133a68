"""What probes are asked for the messages that they keep, and their answers (docs/contracts.md 2)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response, status
from fastapi.concurrency import run_in_threadpool

from ringfence.api.context import CurrentProcess
from ringfence.api.routes.edge import MAX_WAIT_S
from ringfence.api.security import CurrentDevice
from ringfence.database.connection import Database
from ringfence.mediation import evidence_requests
from ringfence.mediation.devices import Device
from ringfence.vocabulary import EvidenceOutcome

router = APIRouter(prefix="/edge", tags=["edge"])

_ZLIB_BODY = {
    "requestBody": {
        "description": "With the outcome messages: JSON, packed by zlib; else empty",
        "content": {"application/zlib": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/evidence",
    response_class=Response,
    responses={200: {"description": "What the probe is asked"}, 204: {"description": "Nothing"}},
)
async def questions(
    device: CurrentDevice, process: CurrentProcess, wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0
) -> Response:
    """Wait until somebody wants to see messages that this probe keeps."""
    asked = await process.evidence_feed.wait_for_questions(device.device_id, wait_s)
    if not asked:
        return Response(status_code=204)
    return Response(json.dumps({"questions": [one.as_json() for one in asked]}), media_type="application/json")


@router.post("/evidence/{request_id}", status_code=status.HTTP_204_NO_CONTENT, openapi_extra=_ZLIB_BODY)
async def answer(
    request: Request,
    request_id: Annotated[int, Path(ge=1, lt=2**63)],
    device: CurrentDevice,
    process: CurrentProcess,
    outcome: Annotated[Literal["messages", "not_kept", "disabled", "unreadable"], Query()],
) -> None:
    """The messages, or why there are none. 404: nobody waits for it any more."""
    body = await request.body()
    await run_in_threadpool(_keep, process.database, device, request_id, EvidenceOutcome[outcome.upper()], body)


def _keep(database: Database, device: Device, request_id: int, outcome: EvidenceOutcome, body: bytes) -> None:
    with database.connection() as connection:
        evidence_requests.answer(connection, device, request_id, outcome, body, datetime.now(UTC))
