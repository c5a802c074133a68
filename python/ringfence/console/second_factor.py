"""Setting up a second factor, as a plain form: it must work for who may see no page before it is done."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ringfence.accounts import second_factor
from ringfence.console import documents
from ringfence.console.address import local_path
from ringfence.console.sign_in import Target, Text, html, identity_of, sentence
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, NotSignedInError, RingfenceError


def add_second_factor(app: FastAPI, database: Database) -> None:
    """Add the form to the application."""

    @app.get("/second-factor", include_in_schema=False)
    def show(request: Request) -> Response:
        return _show(database, request, local_path(request.query_params.get("next")))

    @app.post("/second-factor", include_in_schema=False)
    def confirm(request: Request, code: Text = "", target: Target = "/") -> Response:
        target = local_path(target)
        try:
            with database.connection() as connection:
                codes = second_factor.confirm(connection, identity_of(connection, request), code, datetime.now(UTC))
        except NotSignedInError:
            return RedirectResponse("/sign-in?ended=1", status_code=303)
        except RingfenceError as error:
            return _show(database, request, target, error=sentence(error))
        return html(documents.recovery_codes(codes, target=target))


def _show(database: Database, request: Request, target: str, error: str = "") -> Response:
    """The form: with a new secret, but after a wrong code."""
    try:
        with database.connection() as connection:
            identity = identity_of(connection, request)
            made = second_factor.begin(connection, identity, anew=not error)
    except NotSignedInError:
        return RedirectResponse("/sign-in?ended=1", status_code=303)
    except ConflictError:
        return RedirectResponse(target, status_code=303)
    page = documents.second_factor(
        target=target, secret=made.secret, qr=made.qr, forced=identity.must_enrol, error=error
    )
    return html(page, 422 if error else 200)
