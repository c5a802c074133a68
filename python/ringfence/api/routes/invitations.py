"""Invitations of devices, and their acceptance: how an ENUM server or a probe gets a certificate of its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ringfence.api.context import CurrentDatabase, CurrentProcess, address_of
from ringfence.api.errors import TooManyRequestsError
from ringfence.api.rate_limit import RateLimit
from ringfence.api.security import Administrator
from ringfence.mediation import invitations
from ringfence.mediation.invitations import Invitation

router = APIRouter(tags=["devices"])

# A secret of 256 bits is not guessed; this bounds the work that guessing makes us do.
TRIES = RateLimit(burst=20, per_second=0.5)
REQUEST_BYTES = 8192

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Address = Annotated[str, StringConstraints(min_length=8, max_length=255)]


class InviteBody(BaseModel):
    """A device to be; without `site` it stands at the first one, without `addresses` this mediation's own are told."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    kind: Word = "enum"
    site: Word | None = None
    expires_s: Annotated[float, Field(gt=0, le=invitations.LONGEST.total_seconds())] = 3600.0
    addresses: Annotated[list[Address], Field(max_length=8)] = []


class OpenInvitation(BaseModel):
    """One that nobody has accepted yet."""

    invitation_id: int
    name: str
    kind: str
    site: str
    made_by: str
    made_at: datetime
    expires_at: datetime


class NewInvitation(OpenInvitation):
    """With its token, which is shown only here."""

    token: str


class OpenInvitations(BaseModel):
    """By name."""

    invitations: list[OpenInvitation]


class EnrolBody(BaseModel):
    """What a device brings: an invitation's secret, and the request to sign its key (PKCS #10, PEM)."""

    model_config = ConfigDict(extra="ignore")
    secret: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    kind: Word
    request: Annotated[str, StringConstraints(min_length=1, max_length=REQUEST_BYTES)]
    software: Annotated[str, StringConstraints(max_length=64)] = ""


class Enrolment(BaseModel):
    """What the device gets: a certificate, or where the listener has no TLS a credential; and how to know us again.

    `is_pinned`: by the fingerprint of the certificate; else by who signed it, of whom `authorities` are some.
    """

    device: str
    device_id: int
    certificate: str | None
    credential: str | None
    is_pinned: bool
    authorities: str


@router.get("/device-invitations")
def list_invitations(identity: Administrator, database: CurrentDatabase) -> OpenInvitations:
    """Those that can still be accepted."""
    with database.connection() as connection:
        found = invitations.list_open(connection, datetime.now(UTC))
    return OpenInvitations(invitations=[_shown(one) for one in found])


@router.post("/device-invitations", status_code=201)
def invite(
    body: InviteBody, identity: Administrator, database: CurrentDatabase, process: CurrentProcess
) -> NewInvitation:
    """Make an invitation; its token is shown once."""
    way = process.way_here(tuple(body.addresses))
    lasts = timedelta(seconds=body.expires_s)
    with database.connection() as connection:
        made, token = invitations.invite(
            connection, body.name, body.kind, body.site, lasts, identity.name, datetime.now(UTC), way
        )
    return NewInvitation(**_shown(made).model_dump(), token=token)


@router.delete("/device-invitations/{invitation_id}", status_code=204)
def withdraw(
    invitation_id: Annotated[int, Path(ge=1, lt=2**31)], identity: Administrator, database: CurrentDatabase
) -> None:
    """An invitation counts no more."""
    with database.connection() as connection:
        invitations.withdraw(connection, invitation_id, identity.name, datetime.now(UTC))


@router.post("/enrolments", status_code=201, responses={401: {"description": "The invitation does not count"}})
def enrol(body: EnrolBody, request: Request, database: CurrentDatabase, process: CurrentProcess) -> Enrolment:
    """Accept an invitation. Needs no credential but its secret, which counts once."""
    caller = address_of(request) or "local"
    if not TRIES.take(caller, time.monotonic()):
        raise TooManyRequestsError("enrolment: tried too often; wait some seconds")
    tls = process.tls
    with database.connection() as connection:
        process.membership.require_active()
        admitted = invitations.accept(
            connection, body.secret, body.kind, body.request, datetime.now(UTC),
            with_certificate=tls is not None and process.settings.api.tls.client_ca is None,
        )  # fmt: skip
    TRIES.give_back(caller)
    return Enrolment(
        device=admitted.device.name,
        device_id=admitted.device.device_id,
        certificate=admitted.certificate,
        credential=admitted.credential,
        is_pinned=tls is None or tls.shown.facts.is_self_signed,
        authorities=tls.shown.chain if tls is not None else "",
    )


def _shown(one: Invitation) -> OpenInvitation:
    return OpenInvitation.model_validate(one, from_attributes=True)
