"""Signing in and out and changing a password, as plain forms: the session cookie is HttpOnly, so the server sets it.

SameSite=Strict keeps other sites from posting these forms with a session.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import psycopg
from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ringfence.accounts.credentials import SESSION_LIFETIME, Identity, authenticate
from ringfence.accounts.people import change_password, sign_in, sign_out
from ringfence.api.context import address_of
from ringfence.api.routes.sessions import SIGN_INS
from ringfence.api.security import SESSION_COOKIE
from ringfence.console import documents
from ringfence.console.address import local_path
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotSignedInError, RingfenceError, UnavailableError

TOO_OFTEN = "Tried too often. Wait some seconds, then try again."
AWAY = "The database cannot be reached now. Try again in a moment."


def add_sign_in(app: FastAPI, database: Database) -> None:
    """Add the forms to the application. Their handlers are plain functions: the server runs them in threads."""

    @app.get("/sign-in", include_in_schema=False)
    def show_sign_in(request: Request, ended: str = "") -> Response:
        target = local_path(request.query_params.get("next"))
        note = "Your session ended. Sign in to go on where you were." if ended else ""
        return _html(documents.sign_in(target=target, note=note))

    @app.post("/sign-in", include_in_schema=False)
    def do_sign_in(request: Request, name: Text = "", password: Text = "", target: Target = "/") -> Response:
        target = local_path(target)
        caller = address_of(request) or "local"
        if not SIGN_INS.take(caller, time.monotonic()):
            return _html(documents.sign_in(target=target, name=name, error=TOO_OFTEN), 429)
        try:
            with database.connection(even_if_fenced=True) as connection:
                signed_in = sign_in(connection, name.strip(), password, address_of(request), datetime.now(UTC))
        except UnavailableError:
            return _html(documents.sign_in(target=target, name=name, error=AWAY), 503)
        except RingfenceError as error:
            return _html(documents.sign_in(target=target, name=name, error=_sentence(error)), 401)
        SIGN_INS.give_back(caller)
        response = RedirectResponse(target, status_code=303)
        _set_session(response, request, signed_in.secret)
        return response

    @app.get("/password", include_in_schema=False)
    def show_password(request: Request) -> Response:
        target = local_path(request.query_params.get("next"))
        try:
            with database.connection(even_if_fenced=True) as connection:
                who = _identity(connection, request)
        except NotSignedInError:
            return RedirectResponse("/sign-in", status_code=303)
        return _html(documents.change_password(target=target, name=who.name, forced=who.must_change_password))

    @app.post("/password", include_in_schema=False)
    def do_password(
        request: Request, old: Text = "", new: Text = "", again: Text = "", target: Target = "/"
    ) -> Response:
        target = local_path(target)
        who: Identity | None = None
        try:
            with database.connection(even_if_fenced=True) as connection:
                who = _identity(connection, request)
                if new != again:
                    raise InvalidInputError("the two new passwords differ; type the same one twice")
                change_password(connection, who, old, new)
        except NotSignedInError:
            return RedirectResponse("/sign-in?ended=1", status_code=303)
        except InvalidInputError as error:
            forced = who is not None and who.must_change_password
            name = who.name if who else ""
            return _html(
                documents.change_password(target=target, name=name, forced=forced, error=_sentence(error)), 422
            )
        return RedirectResponse(target, status_code=303)

    @app.post("/sign-out", include_in_schema=False)
    def do_sign_out(request: Request) -> Response:
        with database.connection(even_if_fenced=True) as connection:
            sign_out(connection, request.cookies.get(SESSION_COOKIE, ""), datetime.now(UTC))
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return response


Text = Annotated[str, Form(max_length=1024)]
Target = Annotated[str, Form(alias="next", max_length=4096)]


def _identity(connection: psycopg.Connection, request: Request) -> Identity:
    secret = request.cookies.get(SESSION_COOKIE)
    if not secret:
        raise NotSignedInError("sign in first")
    return authenticate(connection, secret)


def _set_session(response: Response, request: Request, secret: str) -> None:
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _sentence(error: RingfenceError) -> str:
    return error.message[:1].upper() + error.message[1:] + "."


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})
