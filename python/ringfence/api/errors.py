"""One table from error codes to HTTP statuses, and one form of refusal: `{"code", "message", "detail"}`."""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ringfence.errors import RingfenceError

# By the first word of the code: `invalid.policy` is `invalid`.
STATUSES = {
    "invalid": 400,
    "not_signed_in": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "gap": 409,
    "too_slow": 408,
    "too_large": 413,
    "unsupported": 415,
    "too_many": 429,
    "internal": 500,
    "configuration": 500,
    "unavailable": 503,
}
_CODES = {
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
}
_RETRY_AFTER_S = {429: "5", 503: "1"}
log = structlog.get_logger()


class TooManyRequestsError(RingfenceError):
    """Asked too often; waiting helps."""

    code = "too_many"


def status_of(code: str) -> int:
    """The HTTP status of an error code."""
    return STATUSES.get(code.split(".")[0], 500)


def refusal(code: str, message: str, detail: dict[str, Any] | None = None) -> JSONResponse:
    """The response that says no."""
    status = status_of(code)
    headers = {"Retry-After": _RETRY_AFTER_S[status]} if status in _RETRY_AFTER_S else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"code": code, "message": message, "detail": detail or {}}, status, headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every failure of a route in the one form."""

    @app.exception_handler(RingfenceError)
    async def _expected(request: Request, error: RingfenceError) -> JSONResponse:
        if status_of(error.code) >= 500:
            log.warning("api.failed", path=request.url.path, code=error.code, error=error.message)
        return refusal(error.code, error.message, error.detail)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [_fault(fault) for fault in error.errors()]
        return refusal("invalid", faults[0], {"faults": faults})

    @app.exception_handler(psycopg.OperationalError)
    async def _database_away(request: Request, error: psycopg.OperationalError) -> JSONResponse:
        log.warning("api.database_away", path=request.url.path, error=str(error).strip().split("\n")[0])
        return refusal("unavailable", "database: cannot be reached now; try again")

    @app.exception_handler(psycopg.DataError)
    async def _unstorable(request: Request, error: psycopg.DataError) -> JSONResponse:
        # NUL, in text or in JSON: PostgreSQL keeps any character but this. Whatever else it refuses is our mistake.
        if isinstance(error, psycopg.errors.UntranslatableCharacter) or "NUL" in str(error):
            return refusal("invalid", "text: holds the character NUL, which cannot be kept")
        raise error

    @app.exception_handler(OverflowError)
    async def _out_of_range(request: Request, error: OverflowError) -> JSONResponse:
        # A period that begins before the calendar does, a duration beyond its end.
        log.warning("api.out_of_range", path=request.url.path, error=str(error))
        return refusal("invalid", "a time or a number: is out of range")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
        return refusal(code, f"{request.method} {request.url.path}: {str(error.detail).lower()}")

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        # The server logs the traceback; the caller learns nothing of the inside.
        return refusal("internal", "an unexpected error happened; the mediation's log has the details")


def _fault(error: dict[str, Any]) -> str:
    loc = [str(part) for part in error["loc"] if part not in {"body", "query", "path", "header"}]
    message = error["msg"]
    return f"{'.'.join(loc)}: {message[0].lower()}{message[1:]}" if loc else message
