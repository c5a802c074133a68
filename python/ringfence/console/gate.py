"""Who may see a page: stands in front of NiceGUI, page by page and on its live connection.

No page function runs, and no NiceGUI client is made, for anyone who is not signed in. Domain errors become
HTTP statuses here and nowhere else in the console.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ringfence.accounts.credentials import Identity, authenticate
from ringfence.accounts.roles import allows
from ringfence.api.security import session_of
from ringfence.console import documents
from ringfence.console.session import Session
from ringfence.database.connection import Database
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.mediation.jobs import Jobs
from ringfence.mediation.process import MediationProcess
from ringfence.settings import Settings
from ringfence.vocabulary import Role

SESSION = "ringfence.session"  # where a page finds its Session in the ASGI scope
LIVE_PREFIX = "/_nicegui_ws/"
FILES_PREFIX = "/_nicegui/"


@dataclass(frozen=True)
class Page:
    """A page as navigation and gate know it."""

    path: str
    title: str
    icon: str
    role: Role
    group: str = ""  # path of the page whose tabs it stands among; that page itself names its own path
    for_sites: bool = False  # also for people who are limited to sites: all that it shows comes through `Session.ask`
    is_whole: bool = False  # shows whole numbers that are nobody's call: not for who sees numbers masked


# Every page of the console; filled by `frame.page`.
PAGES: dict[str, Page] = {}


class Gate:
    """ASGI application around NiceGUI's: files for everyone, pages and live connections for whom they are for."""

    def __init__(
        self, app: ASGIApp, database: Database, jobs: Jobs, settings: Settings, process: MediationProcess | None = None
    ) -> None:
        self._process = process
        self._app = app
        self._database = database
        self._jobs = jobs
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit one request or connection, or answer in the page's stead."""
        path = scope.get("path", "")
        page = PAGES.get(path)
        if scope["type"] not in ("http", "websocket") or path.startswith(FILES_PREFIX):
            await self._app(scope, receive, send)
            return
        if page is None and not path.startswith(LIVE_PREFIX):
            await HTMLResponse(documents.notice("There is no such page", path), 404)(scope, receive, send)
            return
        refusal = await self._admit(HTTPConnection(scope), page)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401, "reason": "not signed in"})
        else:
            refusal.headers["cache-control"] = "no-store"
            await refusal(scope, receive, send)

    async def _admit(self, connection: HTTPConnection, page: Page | None) -> Response | None:
        """Put the Session into the scope, or say what to answer instead of the page."""
        secret = session_of(connection)
        try:
            identity = await run_in_threadpool(self._identify, secret)
        except NotSignedInError:
            return _ask_to_sign_in(connection, page)
        except UnavailableError:
            return HTMLResponse(
                documents.notice(
                    "The database cannot be reached",
                    "Ringfence goes on answering calls with its last policy. This page tries again by itself; "
                    "“ringfence status” says more.",
                    retry_s=5,
                ),
                status_code=503,
            )
        if identity.must_change_password and page is not None:
            return RedirectResponse(f"/password?next={quote(_target(connection), safe='')}", status_code=303)
        if identity.must_enrol and page is not None:
            return RedirectResponse(f"/second-factor?next={quote(_target(connection), safe='')}", status_code=303)
        session = Session(
            self._database, secret or "", identity, self._jobs, self._settings, _address(connection), self._process
        )
        if page is not None and (words := why_closed(page, session)) is not None:
            return HTMLResponse(documents.notice("Not allowed", words), status_code=403)
        connection.scope[SESSION] = session
        return None

    def _identify(self, secret: str | None) -> Identity:
        if not secret:
            raise NotSignedInError("sign in first")
        with self._database.connection(even_if_fenced=True) as connection:
            return authenticate(connection, secret)


def why_closed(page: Page, session: Session) -> str | None:
    """Why a page is not for the person; None: it is."""
    identity = session.identity
    if not allows(identity.role, page.role):
        return f"Your role is {identity.role.word}; this page needs {page.role.word}."
    if identity.is_limited and not page.for_sites:
        return "This page concerns all sites; you are limited to some."
    if page.is_whole and session.sight.is_masked:
        return "This page shows whole numbers, which your role does not see."
    return None


def _ask_to_sign_in(connection: HTTPConnection, page: Page | None) -> Response:
    if page is None:
        return Response(status_code=401)
    # A SameSite=Strict cookie does not come with a link from a chat or a mail. Ask once more from our own
    # origin before saying that nobody is signed in, so that a shared page opens.
    if connection.headers.get("sec-fetch-site") == "cross-site":
        return HTMLResponse(documents.again())
    return RedirectResponse(f"/sign-in?next={quote(_target(connection), safe='')}", status_code=303)


def _address(connection: HTTPConnection) -> str | None:
    return connection.client.host if connection.client else None


def _target(connection: HTTPConnection) -> str:
    query = connection.url.query
    return f"{connection.url.path}?{query}" if query else connection.url.path
