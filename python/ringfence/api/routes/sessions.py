"""Signing in and out, who one is, one's own password."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from ringfence.accounts import people
from ringfence.accounts.credentials import SESSION_LIFETIME, Identity
from ringfence.api.context import CurrentDatabase, address_of
from ringfence.api.errors import TooManyRequestsError
from ringfence.api.rate_limit import RateLimit
from ringfence.api.security import SESSION_COOKIE, Anyone

router = APIRouter(prefix="/session", tags=["session"])

# Beside the lock of each account: one caller cannot try many accounts, nor make us hash without end.
SIGN_INS = RateLimit(burst=20, per_second=0.5)

Secret = Annotated[str, StringConstraints(max_length=1024)]


class SignInBody(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    password: Secret


class PasswordBody(BaseModel):
    """The password that was, and the one to be."""

    model_config = ConfigDict(extra="forbid")
    old: Secret
    new: Secret


class Me(BaseModel):
    """Who the credential belongs to."""

    name: str
    role: str
    must_change_password: bool


@router.post("")
def sign_in(body: SignInBody, request: Request, response: Response, database: CurrentDatabase) -> Me:
    """Sign in: sets the session cookie."""
    caller = address_of(request) or "local"
    if not SIGN_INS.take(caller, time.monotonic()):
        raise TooManyRequestsError("sign-in: tried too often; wait some seconds")
    with database.connection(even_if_fenced=True) as connection:
        signed_in = people.sign_in(connection, body.name, body.password, address_of(request), datetime.now(UTC))
    SIGN_INS.give_back(caller)
    response.set_cookie(
        SESSION_COOKIE,
        signed_in.secret,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return _me(signed_in.identity)


@router.get("")
def me(identity: Anyone) -> Me:
    """Who is signed in."""
    return _me(identity)


@router.delete("", status_code=204)
def sign_out(request: Request, response: Response, identity: Anyone, database: CurrentDatabase) -> None:
    """End this session."""
    secret = request.cookies.get(SESSION_COOKIE)
    if secret:
        with database.connection(even_if_fenced=True) as connection:
            people.sign_out(connection, secret, datetime.now(UTC))
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")


@router.post("/password", status_code=204)
def change_password(body: PasswordBody, identity: Anyone, database: CurrentDatabase) -> None:
    """Change one's own password; ends the other sessions."""
    with database.connection(even_if_fenced=True) as connection:
        people.change_password(connection, identity, body.old, body.new, datetime.now(UTC))


def _me(identity: Identity) -> Me:
    return Me(name=identity.name, role=identity.role.word, must_change_password=identity.must_change_password)
