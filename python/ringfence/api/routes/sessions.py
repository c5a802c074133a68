"""Signing in and out, who one is, one's own password."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from psycopg import Connection
from pydantic import BaseModel, ConfigDict, StringConstraints

from ringfence.accounts import people
from ringfence.accounts.credentials import Identity, Origin
from ringfence.api.context import CurrentDatabase, CurrentProcess, address_of
from ringfence.api.errors import TooManyRequestsError
from ringfence.api.rate_limit import RateLimit
from ringfence.api.security import Anyone, delete_session, session_of, set_session
from ringfence.mediation.sites import site_names

router = APIRouter(prefix="/session", tags=["session"])

# Beside the lock of each account: one caller cannot try many accounts, nor make us hash without end.
SIGN_INS = RateLimit(burst=20, per_second=0.5)

Secret = Annotated[str, StringConstraints(max_length=1024)]


class SignInBody(BaseModel):
    """Name and password; `code` where the account has a second factor (refused with `not_signed_in.code_needed`)."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    password: Secret
    code: Annotated[str, StringConstraints(max_length=32)] | None = None


class PasswordBody(BaseModel):
    """The password that was, and the one to be; `end_tokens`: one's own tokens end too."""

    model_config = ConfigDict(extra="forbid")
    old: Secret
    new: Secret
    end_tokens: bool = False


class Me(BaseModel):
    """Who the credential belongs to; `sites` null: it is not limited to any."""

    name: str
    role: str
    must_change_password: bool
    must_set_second_factor: bool
    sites: list[str] | None


@router.post("")
def sign_in(body: SignInBody, request: Request, response: Response, process: CurrentProcess) -> Me:
    """Sign in: sets the session cookie."""
    database = process.database
    caller = address_of(request) or "local"
    if not SIGN_INS.take(caller, time.monotonic()):
        raise TooManyRequestsError("sign-in: tried too often; wait some seconds")
    with database.connection(even_if_fenced=True) as connection:
        signed_in = process.entrance.sign_in(
            connection, body.name, body.password, origin_of(request), datetime.now(UTC), code=body.code
        )
        told = _me(connection, signed_in.identity)
    SIGN_INS.give_back(caller)
    set_session(response, request, signed_in.secret, process.settings.accounts)
    return told


@router.get("")
def me(identity: Anyone, database: CurrentDatabase) -> Me:
    """Who is signed in."""
    with database.connection(even_if_fenced=True) as connection:
        return _me(connection, identity)


@router.delete("", status_code=204)
def sign_out(request: Request, response: Response, identity: Anyone, database: CurrentDatabase) -> None:
    """End this session."""
    secret = session_of(request)
    if secret:
        with database.connection(even_if_fenced=True) as connection:
            people.sign_out(connection, secret, datetime.now(UTC))
    delete_session(response, request)


@router.post("/password", status_code=204)
def change_password(body: PasswordBody, identity: Anyone, database: CurrentDatabase) -> None:
    """Change one's own password; ends the other sessions."""
    with database.connection(even_if_fenced=True) as connection:
        people.change_password(connection, identity, body.old, body.new, datetime.now(UTC), with_tokens=body.end_tokens)


def origin_of(request: Request) -> Origin:
    """Where a sign-in comes from."""
    return Origin(address_of(request), request.headers.get("user-agent"))


def _me(connection: Connection, identity: Identity) -> Me:
    names = site_names(connection) if identity.sites is not None else {}
    return Me(
        name=identity.name,
        role=identity.role.word,
        must_change_password=identity.must_change_password,
        must_set_second_factor=identity.must_enrol,
        sites=None if identity.sites is None else [names[site] for site in sorted(identity.sites) if site in names],
    )
