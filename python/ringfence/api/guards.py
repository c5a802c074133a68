"""What every request passes before any route: size, time and rate, origin check, security headers. No buffering."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringfence.accounts.audit import acting_from
from ringfence.api.errors import refusal
from ringfence.api.masking import mask_answers
from ringfence.api.request_rates import RequestRates
from ringfence.availability.term import HEADER
from ringfence.database.sight import FULL, seeing
from ringfence.errors import UnavailableError
from ringfence.policy.lists.bulk import MAX_FILE_BYTES

MIB = 1 << 20
API = "/api/"
_EDGE = "/api/v1/edge/"
_PAGE_FILES = "/_nicegui"  # uploads, and the live connection where there are no web sockets
FORM_LIMIT = 64 << 10
PAGE_FILE_LIMIT = 256 * MIB
# A body comes at least at this pace; a whole minute is given to it in any case.
BODY_S = 60.0
BODY_BYTES_PER_S = 16 << 10
DEFAULT_BODY_LIMIT = MIB
# By path: uploads of events, and policies with lists of a million entries.
BODY_LIMITS = dict.fromkeys(
    ("/api/v1/edge/events", "/api/v1/policy", "/api/v1/policy/validate", "/api/v1/policy/draft"), 64 * MIB
) | {"/api/v1/captures": 256 * MIB}

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The console's framework builds its pages with inline scripts and compiles templates in the browser.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# What no page of ours uses; the clipboard is written to with a credential that was just made.
_PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)"
_HSTS = "max-age=31536000"  # RFC 6797; a browser keeps to it only where it believes the certificate
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


class Guards:
    """ASGI middleware around API and console."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._rates: RequestRates | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it; what it changes is recorded as coming from its address."""
        client = scope.get("client")
        # Whoever asks is known only on the way: from then on `narrow` says what may be seen.
        with acting_from(client[0] if client and client[0] else None), seeing(FULL):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_api = scope["path"].startswith(API)
        headers = Headers(scope=scope)
        answer = mask_answers(send) if is_api else send
        guarded_send = _with_headers(answer, is_api, await _meet(scope, headers), is_covered=scope["scheme"] == "https")
        if scope["method"] in _UNSAFE and _is_foreign(headers):
            message = "this request comes from another site's page"
            await refusal("forbidden.origin", message)(scope, receive, guarded_send)
            return
        if is_api and ("\x00" in scope["path"] or b"%00" in scope["query_string"]):
            # Here and not where it is used: an answer that is on its way already cannot be taken back.
            await refusal("invalid", "address: holds the character NUL")(scope, receive, guarded_send)
            return
        if is_api and not self._rates_of(scope).take(scope, headers):
            message = "request: asked too often; wait some seconds, or ask for more at once"
            await refusal("too_many", message)(scope, receive, guarded_send)
            return
        if headers.get("content-encoding", "identity") != "identity":
            # What is small on the wire may be without end here: nothing is unpacked.
            await refusal("unsupported", "content-encoding: bodies are taken as they are, not packed")(
                scope, receive, guarded_send
            )
            return
        limit = _limit_of(scope["path"])
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            await refusal("too_large", _too_large(limit))(scope, receive, guarded_send)
            return
        await self.app(scope, _limited(receive, limit), guarded_send)

    def _rates_of(self, scope: Scope) -> RequestRates:
        if self._rates is None:
            api = scope["app"].state.process.settings.api
            self._rates = RequestRates(api.requests_burst, api.requests_per_second)
        return self._rates


async def _meet(scope: Scope, headers: Headers) -> str | None:
    """Hear which term an edge or another pair knows; ours, for whoever shows a proven one and for every device."""
    membership = scope["app"].state.process.membership
    heard = None
    if (claim := headers.get(HEADER)) is not None:
        with suppress(UnavailableError):
            heard = await run_in_threadpool(membership.meet, claim)
    if heard is not None or scope["path"].startswith(_EDGE):
        if membership.term is None:  # the first to ask after the start
            with suppress(UnavailableError):
                await run_in_threadpool(membership.load)
        return str(membership.term) if membership.term else None
    return None


def _limit_of(path: str) -> int:
    if not path.startswith(API):
        return PAGE_FILE_LIMIT if path.startswith(_PAGE_FILES) else FORM_LIMIT
    if path.startswith("/api/v1/lists/") and path.endswith("/imports"):
        return MAX_FILE_BYTES
    return BODY_LIMITS.get(path, DEFAULT_BODY_LIMIT)


def _is_foreign(headers: Headers) -> bool:
    """A browser says where a request comes from; programs that are no browsers do not, and carry no cookie."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
    # SameSite does not tell ports apart, and another program may serve pages on this machine.
    return urlsplit(origin).netloc != headers.get("host", "")


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0
    is_whole = False
    began = time.monotonic()

    async def counted() -> Message:
        nonlocal received, is_whole
        if is_whole:
            return await receive()  # whether the caller is still there
        try:
            async with asyncio.timeout(began + BODY_S + received / BODY_BYTES_PER_S - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly") from None
        received += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if received > limit:
            # The framework's own exception: it takes any other for a body that cannot be parsed.
            raise HTTPException(413, _too_large(limit))
        return message

    return counted


def _too_large(limit: int) -> str:
    return f"request body: is larger than {limit // MIB} MiB"


def _with_headers(send: Send, is_api: bool, term: str | None, *, is_covered: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Permissions-Policy"] = _PERMISSIONS
            if is_covered:
                headers["Strict-Transport-Security"] = _HSTS
            headers.setdefault("Content-Security-Policy", _API_POLICY if is_api else _PAGE_POLICY)
            if is_api:
                headers["Cache-Control"] = "no-store"
            if term is not None:
                headers[HEADER] = term
        await send(message)

    return sending
