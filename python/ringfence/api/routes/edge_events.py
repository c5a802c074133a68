"""Uploads of events by devices (docs/contracts.md 2)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from ringfence.api.context import CurrentProcess
from ringfence.api.security import CurrentDevice

router = APIRouter(prefix="/edge", tags=["edge"])

_ARROW_BODY = {
    "requestBody": {
        "required": True,
        "description": "Arrow IPC stream, plain (not compressed), sequences contiguous",
        "content": {"application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Received(BaseModel):
    """The last sequence of the stream in the committed database."""

    received: int


@router.post("/events", openapi_extra=_ARROW_BODY)
async def upload_events(
    request: Request,
    device: CurrentDevice,
    process: CurrentProcess,
    dataset: Annotated[str, Query(max_length=32)],
    journal_id: Annotated[int, Query(ge=0, le=2**63 - 1)],
    stream: Annotated[int, Query(ge=0, le=2**15 - 1)],
    first_kept: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="the journal has nothing before")] = None,
) -> Received:
    """Store what is new. 409 `gap` says from where to send; 413: send fewer at once; 503: send the same again."""
    await run_in_threadpool(process.ingest.check_journal, device.device_id, journal_id)
    body = await request.body()
    received = await run_in_threadpool(
        process.ingest.accept, device.device_id, dataset, journal_id, stream, body, first_kept=first_kept
    )
    return Received(received=received)
