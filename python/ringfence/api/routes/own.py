"""What a person has: sessions, tokens, the second factor."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from ringfence.accounts import credentials, second_factor
from ringfence.accounts.roles import parse_role
from ringfence.api.context import CurrentDatabase
from ringfence.api.routes.tokens import NewToken, TokenBody, Tokens, Word, shown
from ringfence.api.security import Anyone, SiteViewer
from ringfence.errors import ForbiddenError
from ringfence.mediation.sites import site_ids

router = APIRouter(prefix="/session", tags=["session"])


class OneSession(BaseModel):
    """A session in force."""

    session_id: int
    user: str
    address: str | None
    agent: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


class Sessions(BaseModel):
    """The latest made first."""

    sessions: list[OneSession]


class Enrolment(BaseModel):
    """What an authenticator application needs, shown only here; `qr` is an SVG as a data: URI."""

    secret: str
    uri: str
    qr: str


class CodeBody(BaseModel):
    """A code of the authenticator application, or a recovery code."""

    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, StringConstraints(min_length=1, max_length=32)]


class RecoveryCodes(BaseModel):
    """Each good for one sign-in, shown only here."""

    recovery_codes: list[str]


@router.get("/sessions")
def own_sessions(identity: SiteViewer, database: CurrentDatabase) -> Sessions:
    """One's own sessions in force."""
    if identity.account_id is None:
        return Sessions(sessions=[])
    with database.connection() as connection:
        found = credentials.list_sessions(connection, identity.account_id)
    return Sessions(sessions=[OneSession(**asdict(session)) for session in found])


@router.delete("/sessions/{session_id}", status_code=204)
def end_session(
    session_id: Annotated[int, Path(ge=1, lt=2**31)], identity: SiteViewer, database: CurrentDatabase
) -> None:
    """End a session: one's own, or as an administrator anybody's."""
    with database.connection() as connection:
        credentials.revoke_session(connection, session_id, identity)


@router.get("/tokens")
def own_tokens(identity: SiteViewer, database: CurrentDatabase) -> Tokens:
    """One's own tokens in force."""
    with database.connection() as connection:
        owned = identity.account_id
        return shown(connection, credentials.list_tokens(connection, owner=owned) if owned is not None else [])


@router.post("/tokens", status_code=201)
def create_own_token(body: TokenBody, identity: SiteViewer, database: CurrentDatabase) -> NewToken:
    """Make a token of one's own: never more than oneself, now or later."""
    expires_at = datetime.now(UTC) + timedelta(days=body.days) if body.days else None
    with database.connection() as connection:
        secret = credentials.create_token(
            connection, body.name, parse_role(body.role), identity.name, expires_at,
            owner=identity, sites=site_ids(connection, body.sites),
        )  # fmt: skip
    return NewToken(name=body.name, token=secret)


@router.delete("/tokens/{name}", status_code=204)
def revoke_own_token(name: Word, identity: SiteViewer, database: CurrentDatabase) -> None:
    """End a token of one's own."""
    if identity.account_id is None:
        raise ForbiddenError("a program's token is revoked by an administrator")
    with database.connection() as connection:
        credentials.revoke_token(connection, name, identity.name, owner=identity.account_id)


@router.post("/second_factor")
def begin_second_factor(identity: Anyone, database: CurrentDatabase) -> Enrolment:
    """Begin to set up a second factor: a secret for the authenticator application."""
    with database.connection() as connection:
        return Enrolment(**asdict(second_factor.begin(connection, identity)))


@router.post("/second_factor/confirm")
def confirm_second_factor(body: CodeBody, identity: Anyone, database: CurrentDatabase) -> RecoveryCodes:
    """Show a first code; from then on codes are asked for. Ends the other sessions."""
    with database.connection() as connection:
        codes = second_factor.confirm(connection, identity, body.code, datetime.now(UTC))
    return RecoveryCodes(recovery_codes=codes)


@router.post("/second_factor/recovery_codes")
def renew_recovery_codes(body: CodeBody, identity: Anyone, database: CurrentDatabase) -> RecoveryCodes:
    """New recovery codes in place of all that are left."""
    with database.connection() as connection:
        codes = second_factor.renew_recovery_codes(connection, identity, body.code, datetime.now(UTC))
    return RecoveryCodes(recovery_codes=codes)


@router.post("/second_factor/remove", status_code=204)
def remove_second_factor(body: CodeBody, identity: Anyone, database: CurrentDatabase) -> None:
    """Do without; needs a code, and a role that may."""
    with database.connection() as connection:
        second_factor.remove(connection, identity, body.code, datetime.now(UTC))
