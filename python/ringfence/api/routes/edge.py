"""What a device says and asks: hello, policy, heartbeat (docs/contracts.md 2). Events have a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ringfence.api.context import CurrentDatabase, CurrentProcess, address_of
from ringfence.api.security import CurrentDevice
from ringfence.database.connection import Database
from ringfence.errors import ForbiddenError
from ringfence.mediation import device_certificates, devices
from ringfence.mediation.devices import Device, Heartbeat
from ringfence.mediation.http_protocol import PEER_CERTIFICATE
from ringfence.policy.lists import contents

router = APIRouter(prefix="/edge", tags=["edge"])

MAX_WAIT_S = 60.0
Microseconds = Annotated[int, Field(ge=0, lt=2**62)]
PolicyVersion = Annotated[int, Field(ge=0, le=2**31 - 1)]
Hash = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class HelloBody(BaseModel):
    """A device starts, or is back. Fields of a newer device are ignored."""

    model_config = ConfigDict(extra="ignore")
    kind: Annotated[str, StringConstraints(max_length=16)]
    software: Annotated[str, StringConstraints(max_length=64)]
    journal_id: Annotated[int, Field(ge=0, lt=2**63)]
    now_us: Microseconds


class Hello(BaseModel):
    """Who the device is, and what the committed database holds of its journal: stream → last sequence."""

    device: str
    device_id: int
    epoch: int
    now_us: int
    received: dict[int, int]


class JournalReport(BaseModel):
    """The journal's state; a stream's sequences summed, or by stream."""

    model_config = ConfigDict(extra="allow")


class LinkReport(BaseModel):
    """An interface that a probe reads, a bond with its members, and what is wrong with it."""

    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, Field(max_length=64)]
    is_up: bool
    bond_mode: Annotated[str, Field(max_length=64)] | None = None
    members: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)] = []
    packets: Annotated[int, Field(ge=0, lt=2**63)] = 0
    drops: Annotated[int, Field(ge=0, lt=2**63)] = 0
    problems: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=100)] = []


class HeartbeatBody(BaseModel):
    """What a device says of itself every few seconds."""

    model_config = ConfigDict(extra="ignore")
    policy_version: PolicyVersion = 0
    policy_hash: Hash = ""
    now_us: Microseconds
    listen: Annotated[list[str], Field(max_length=64)] = []
    apex: Annotated[list[Annotated[str, Field(max_length=255)]], Field(max_length=64)] = []
    entries_change: Annotated[int, Field(ge=0, lt=2**62)] = 0
    process: Annotated[dict[str, int], Field(max_length=16)] = {}
    counters: Annotated[dict[str, int], Field(max_length=1000)] = {}
    journal: JournalReport = JournalReport()
    links: Annotated[list[LinkReport], Field(max_length=64)] | None = None


class HeartbeatAnswer(BaseModel):
    """The mediation's clock, its epoch, and whether the device shall get a new certificate now."""

    now_us: int
    epoch: int
    renew_certificate: bool = False


class CurrentTerm(BaseModel):
    """That this mediation takes work, and as which epoch; the whole term stands in the header `X-Ringfence-Term`."""

    epoch: int


@router.post("/hello")
def hello(body: HelloBody, request: Request, device: CurrentDevice, process: CurrentProcess) -> Hello:
    """A device starts or reconnects."""
    now = datetime.now(UTC)
    with process.database.connection() as connection:
        devices.refuse_foreign_journal(connection, device.device_id, body.journal_id)
        devices.record_hello(connection, device, body.kind, body.software, body.now_us, address_of(request), now)
        return Hello(
            device=device.name,
            device_id=device.device_id,
            epoch=process.membership.require_active().epoch,
            now_us=_us(now),
            received=devices.received_sequences(connection, device, body.journal_id),
        )


@router.get(
    "/policy",
    response_class=Response,
    responses={
        200: {"description": "The document's bytes; X-Policy-Version 0 and no body: uninstalled"},
        204: {"description": "Nothing new"},
    },
)
async def wanted_policy(
    device: CurrentDevice,
    process: CurrentProcess,
    version: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    hash_: Annotated[Hash, Query(alias="hash")] = "",
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0,
) -> Response:
    """Wait until what the device should have differs from what it has."""
    await run_in_threadpool(_record_running, process.database, device, version, hash_)
    wanted = await process.distribution.wait_for_change(device.device_id, version, hash_, wait_s)
    if wanted is None:
        return Response(status_code=204)
    document = await process.distribution.document(wanted) if wanted.version else b""
    headers = {"X-Policy-Version": str(wanted.version), "X-Policy-Hash": wanted.hash}
    return Response(document, media_type="application/json", headers=headers)


@router.get("/lists/{content}", response_class=StreamingResponse, responses={404: {"description": "Nobody has it"}})
def list_content(
    content: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")], device: CurrentDevice, database: CurrentDatabase
) -> StreamingResponse:
    """The content of a list that a policy document names by its SHA-256."""
    with database.connection() as connection:
        number, size = contents.content_id(connection, content), contents.content_size(connection, content)
    return StreamingResponse(
        _content_parts(database, number), media_type="text/plain", headers={"Content-Length": str(size)}
    )


@router.get(
    "/entries",
    response_class=Response,
    responses={200: {"description": "What the device lacks"}, 204: {"description": "Nothing new"}},
)
async def dynamic_entries(
    device: CurrentDevice,
    process: CurrentProcess,
    have: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0,
) -> Response:
    """Wait until there are changes of dynamic entries after the one that the device has."""
    changes = await process.entries_feed.wait_for_change(have, wait_s)
    return Response(status_code=204) if changes is None else Response(changes, media_type="application/json")


@router.post("/heartbeat")
def heartbeat(body: HeartbeatBody, request: Request, device: CurrentDevice, process: CurrentProcess) -> HeartbeatAnswer:
    """Keep what the device says of itself."""
    now = datetime.now(UTC)
    kept = {"listen", "apex", "entries_change", "process", "counters", "journal"}
    report: dict[str, Any] = body.model_dump(include=kept)
    if body.links is not None:
        report["links"] = [link.model_dump() for link in body.links]
    with process.database.connection() as connection:
        said = Heartbeat(body.policy_version, body.policy_hash, body.now_us, report)
        devices.record_heartbeat(connection, device, said, address_of(request), now)
        is_wanted = device_certificates.is_renewal_wanted(connection, device)
    epoch = process.membership.require_active().epoch
    return HeartbeatAnswer(now_us=_us(now), epoch=epoch, renew_certificate=is_wanted)


class RequestBody(BaseModel):
    """A request to sign the device's next key (PKCS #10, PEM)."""

    model_config = ConfigDict(extra="ignore")
    request: Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class NextCertificate(BaseModel):
    """PEM."""

    certificate: str


@router.post("/certificate", status_code=201)
def next_certificate(
    body: RequestBody, request: Request, device: CurrentDevice, database: CurrentDatabase, process: CurrentProcess
) -> NextCertificate:
    """The next certificate of a device that came with one of ours; the one before ends soon after this is used."""
    if getattr(request.state, PEER_CERTIFICATE, None) is None or process.settings.api.tls.client_ca is not None:
        raise ForbiddenError("certificate: is renewed here only for a device that shows one that was issued here")
    with database.connection() as connection:
        return NextCertificate(
            certificate=device_certificates.renew(connection, device, body.request, datetime.now(UTC))
        )


@router.get("/term")
def current_term(device: CurrentDevice, process: CurrentProcess) -> CurrentTerm:
    """Whether this is the active pair: how a device finds it among the mediations that it knows. 503: it is not."""
    return CurrentTerm(epoch=process.membership.require_active().epoch)


def _content_parts(database: Database, number: int) -> Iterator[bytes]:
    """Each part in a transaction of its own: a slow edge holds no connection."""
    yield contents.HEAD
    for part in count():
        with database.connection() as connection:
            body = contents.read_part(connection, number, part)
        if body is None:
            return
        yield body


def _record_running(database: Database, device: Device, version: int, hash_: str) -> None:
    with database.connection() as connection:
        devices.record_running_policy(connection, device, version, hash_, datetime.now(UTC))


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
