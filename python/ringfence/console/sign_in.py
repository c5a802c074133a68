"""Signing in and out and changing a password, as plain forms: the session cookie is HttpOnly, so the server sets it.

    /sign-in ─► name and password ─► /sign-in/code, where the account has a second factor ─► where one wanted to go
       └─► /sign-in/oidc ─► the provider ─► /sign-in/oidc/back ─► likewise

SameSite=Strict keeps other sites from posting these forms with a session. The cookie that waits for the provider is
Lax: it has to come with the provider's answer, which is another site's.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated

import psycopg
from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ringfence.accounts import people
from ringfence.accounts.credentials import STEP_LIFETIME, Identity, authenticate
from ringfence.accounts.oidc import BACK, REQUEST_LIFETIME, check_answer
from ringfence.accounts.people import CodeNeededError, change_password, sign_out
from ringfence.api.context import address_of
from ringfence.api.routes.sessions import SIGN_INS, origin_of
from ringfence.api.security import delete_session, session_of, set_session
from ringfence.console import documents
from ringfence.console.address import local_path
from ringfence.errors import InvalidInputError, NotSignedInError, RingfenceError, UnavailableError
from ringfence.mediation.process import MediationProcess

TOO_OFTEN = "Tried too often. Wait some seconds, then try again."
AWAY = "The database cannot be reached now. Try again in a moment."
STEP_COOKIE = "ringfence_step"
PROVIDER_COOKIE = "ringfence_oidc"


def add_sign_in(app: FastAPI, process: MediationProcess) -> None:
    """Add the forms to the application. Their handlers are plain functions: the server runs them in threads."""
    _add_password_forms(app, process)
    _add_code_form(app, process)
    if process.entrance.provider is not None:
        _add_provider(app, process)

    @app.post("/sign-out", include_in_schema=False)
    def do_sign_out(request: Request) -> Response:
        target = "/sign-in"
        with process.database.connection(even_if_fenced=True) as connection:
            secret = session_of(request) or ""
            if process.entrance.provider is not None and people.origin_of_session(connection, secret) == "oidc":
                target = process.entrance.provider.sign_out_url(datetime.now(UTC)) or target
            sign_out(connection, secret, datetime.now(UTC))
        response = RedirectResponse(target, status_code=303)
        delete_session(response, request)
        return response


def _add_password_forms(app: FastAPI, process: MediationProcess) -> None:
    database = process.database
    provider = process.settings.accounts.oidc.label if process.entrance.provider is not None else None

    def form(target: str, status: int = 200, **more: str) -> HTMLResponse:
        return html(documents.sign_in(target=target, provider=provider, **more), status)

    @app.get("/sign-in", include_in_schema=False)
    def show_sign_in(request: Request, ended: str = "") -> Response:
        note = "Your session ended. Sign in to go on where you were." if ended else ""
        return form(local_path(request.query_params.get("next")), note=note)

    @app.post("/sign-in", include_in_schema=False)
    def do_sign_in(request: Request, name: Text = "", password: Text = "", target: Target = "/") -> Response:
        target = local_path(target)
        caller = address_of(request) or "local"
        if not SIGN_INS.take(caller, time.monotonic()):
            return form(target, 429, name=name, error=TOO_OFTEN)
        try:
            with database.connection(even_if_fenced=True) as connection:
                signed_in = process.entrance.sign_in(
                    connection, name.strip(), password, origin_of(request), datetime.now(UTC)
                )
        except CodeNeededError as needed:
            SIGN_INS.give_back(caller)
            second = html(documents.code(target=target))
            _set_cookie(second, request, STEP_COOKIE, needed.step, STEP_LIFETIME.total_seconds(), "/sign-in/code")
            return second
        except UnavailableError as error:
            words = AWAY if error.code == "unavailable" else sentence(error)
            return form(target, 503, name=name, error=words)
        except RingfenceError as error:
            return form(target, 401, name=name, error=sentence(error))
        SIGN_INS.give_back(caller)
        response = RedirectResponse(target, status_code=303)
        set_session(response, request, signed_in.secret, process.settings.accounts)
        return response

    @app.get("/password", include_in_schema=False)
    def show_password(request: Request) -> Response:
        target = local_path(request.query_params.get("next"))
        try:
            with database.connection(even_if_fenced=True) as connection:
                who = identity_of(connection, request)
        except NotSignedInError:
            return RedirectResponse("/sign-in", status_code=303)
        return html(documents.change_password(target=target, name=who.name, forced=who.must_change_password))

    @app.post("/password", include_in_schema=False)
    def do_password(
        request: Request,
        old: Text = "",
        new: Text = "",
        again: Text = "",
        tokens: Text = "",
        target: Target = "/",
    ) -> Response:
        target = local_path(target)
        who: Identity | None = None
        try:
            with database.connection(even_if_fenced=True) as connection:
                who = identity_of(connection, request)
                if new != again:
                    raise InvalidInputError("the two new passwords differ; type the same one twice")
                change_password(connection, who, old, new, with_tokens=bool(tokens))
        except NotSignedInError:
            return RedirectResponse("/sign-in?ended=1", status_code=303)
        except InvalidInputError as error:
            forced = who is not None and who.must_change_password
            name = who.name if who else ""
            return html(documents.change_password(target=target, name=name, forced=forced, error=sentence(error)), 422)
        return RedirectResponse(target, status_code=303)


def _add_code_form(app: FastAPI, process: MediationProcess) -> None:
    @app.post("/sign-in/code", include_in_schema=False)
    def do_code(request: Request, code: Text = "", target: Target = "/") -> Response:
        target = local_path(target)
        caller = address_of(request) or "local"
        if not SIGN_INS.take(caller, time.monotonic()):
            return html(documents.code(target=target, error=TOO_OFTEN), 429)
        try:
            with process.database.connection(even_if_fenced=True) as connection:
                step = request.cookies.get(STEP_COOKIE, "")
                signed_in = people.finish_sign_in(
                    connection, step, code, origin_of(request), datetime.now(UTC), process.entrance.lifetimes
                )
        except NotSignedInError as error:
            if error.code == "not_signed_in.refused":
                words = "The code is wrong, was used already, or the account is locked for some minutes."
                return html(documents.code(target=target, error=words), 401)
            return RedirectResponse("/sign-in?ended=1", status_code=303)
        SIGN_INS.give_back(caller)
        response = RedirectResponse(target, status_code=303)
        set_session(response, request, signed_in.secret, process.settings.accounts)
        response.delete_cookie(STEP_COOKIE, path="/sign-in/code", httponly=True, samesite="strict")
        return response


def _add_provider(app: FastAPI, process: MediationProcess) -> None:
    provider = process.entrance.provider
    assert provider is not None  # noqa: S101 - `add_sign_in` asked
    label = process.settings.accounts.oidc.label

    def refused(error: RingfenceError) -> Response:
        return html(documents.sign_in(target="/", provider=label, error=sentence(error)), 401)

    @app.get("/sign-in/oidc", include_in_schema=False)
    def begin(request: Request) -> Response:
        if not SIGN_INS.take(address_of(request) or "local", time.monotonic()):
            return html(documents.sign_in(target="/", provider=label, error=TOO_OFTEN), 429)
        browser = secrets.token_urlsafe(32)
        try:
            with process.database.connection() as connection:
                target = local_path(request.query_params.get("next"))
                place = provider.begin(connection, browser, target, datetime.now(UTC))
        except RingfenceError as error:
            return refused(error)
        response = RedirectResponse(place, status_code=303)
        lifetime_s = REQUEST_LIFETIME.total_seconds()
        _set_cookie(response, request, PROVIDER_COOKIE, browser, lifetime_s, "/sign-in/oidc", is_strict=False)
        return response

    @app.get(BACK, include_in_schema=False)
    def back(request: Request, state: str = "", code: str = "", error: str = "", iss: str | None = None) -> Response:
        try:
            state, code = check_answer(state, code, error)
            browser = request.cookies.get(PROVIDER_COOKIE, "")
            with process.database.connection() as connection:
                signed_in, target = process.entrance.finish_provider(
                    connection, browser, state, code, iss, origin_of(request), datetime.now(UTC)
                )
        except RingfenceError as fault:
            return refused(fault)
        SIGN_INS.give_back(address_of(request) or "local")
        response = RedirectResponse(local_path(target), status_code=303)
        set_session(response, request, signed_in.secret, process.settings.accounts)
        response.delete_cookie(PROVIDER_COOKIE, path="/sign-in/oidc", httponly=True, samesite="lax")
        return response


Text = Annotated[str, Form(max_length=1024)]
Target = Annotated[str, Form(alias="next", max_length=4096)]


def identity_of(connection: psycopg.Connection, request: Request) -> Identity:
    """Whose session the browser sent. NotSignedInError."""
    secret = session_of(request)
    if not secret:
        raise NotSignedInError("sign in first")
    return authenticate(connection, secret)


def _set_cookie(
    response: Response,
    request: Request,
    name: str,
    secret: str,
    lifetime_s: float,
    path: str,
    *,
    is_strict: bool = True,
) -> None:
    response.set_cookie(
        name, secret, max_age=int(lifetime_s), path=path, secure=request.url.scheme == "https", httponly=True,
        samesite="strict" if is_strict else "lax",
    )  # fmt: skip


def sentence(error: RingfenceError) -> str:
    """A refusal as a sentence of a page."""
    return error.message[:1].upper() + error.message[1:] + "."


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page that no cache keeps."""
    return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})
