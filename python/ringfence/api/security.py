"""Who may ask: every route declares the role it needs, or that it is for devices.

    identity: Annotated[Identity, Depends(require(Role.EDITOR))]        a person's session cookie, or a token
    device: Annotated[Device, Depends(device())]                        a device's own credential

A test walks all routes and proves that each refuses an anonymous caller and a role too low. A person whose password
must be changed, or whose second factor must be set up, is let through only where a route says so; and so is one who is
limited to sites (`for_sites`): what such a one may ask is answered by views of those sites alone (`database.sight`).
Cookies are sent by browsers on their own accord: they are SameSite=Strict, and `guards` refuses a changing request from
another origin.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from ringfence.accounts.credentials import Identity, authenticate
from ringfence.accounts.roles import allows, sight_of
from ringfence.api.context import database_of, process_of
from ringfence.database.sight import narrow
from ringfence.errors import ForbiddenError, NotSignedInError
from ringfence.mediation.device_certificates import authenticate_certificate, authenticate_named
from ringfence.mediation.devices import Device, authenticate_device
from ringfence.mediation.http_protocol import PEER_CERTIFICATE
from ringfence.settings import AccountsSettings
from ringfence.vocabulary import Role

SESSION_COOKIE = "ringfence_session"
# RFC 6265bis 4.1.3.2: no other host, path or clear-text page can set a cookie of this name.
SECURE_SESSION_COOKIE = f"__Host-{SESSION_COOKIE}"
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="API token or device credential")
_cookie = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, scheme_name="session", description="Made by signing in")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def cookie_name(connection: HTTPConnection) -> str:
    """Of the session's cookie: over TLS one that only this very host can have set."""
    return SECURE_SESSION_COOKIE if connection.url.scheme in ("https", "wss") else SESSION_COOKIE


def session_of(connection: HTTPConnection) -> str | None:
    """The session's secret that a browser sent."""
    return connection.cookies.get(cookie_name(connection))


def set_session(response: Response, request: Request, secret: str, settings: AccountsSettings) -> None:
    """Give the browser its session: out of scripts' reach, to no other site, over TLS only where it came over TLS."""
    response.set_cookie(
        cookie_name(request), secret, max_age=int(settings.session_hours * 3600), path="/",
        secure=request.url.scheme == "https", httponly=True, samesite="strict",
    )  # fmt: skip


def delete_session(response: Response, request: Request) -> None:
    """Take it away again."""
    response.delete_cookie(
        cookie_name(request), path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )


def _sent_session(request: Request, _documented: Annotated[str | None, Depends(_cookie)]) -> str | None:
    return session_of(request)


Cookie = Annotated[str | None, Depends(_sent_session)]


class RequiredRole:
    """The dependency of a route that asks for a role; the route's documentation and its test read `role`."""

    def __init__(self, role: Role, while_pending: bool, for_sites: bool) -> None:
        self.role = role
        self.while_pending = while_pending
        self.for_sites = for_sites

    def __call__(self, request: Request, bearer: Bearer, cookie: Cookie) -> Identity:
        """The one who asks. NotSignedInError without a valid credential, ForbiddenError when the role is too low."""
        secret = bearer.credentials if bearer else cookie
        if not secret:
            raise NotSignedInError("sign in first: no session and no token came with the request")
        # A fenced mediation can be looked at: signing in is kept, nothing else.
        with database_of(request).connection(even_if_fenced=True) as connection:
            identity = authenticate(connection, secret)
        if identity.must_change_password and not self.while_pending:
            raise ForbiddenError("change the one-time password first", code="forbidden.password_pending")
        if identity.must_enrol and not self.while_pending:
            raise ForbiddenError("set up your second factor first", code="forbidden.second_factor_pending")
        if not allows(identity.role, self.role):
            raise ForbiddenError(f"this needs the role {self.role.word}; {identity.name} is {identity.role.word}")
        if identity.is_limited and not self.for_sites:
            raise ForbiddenError("this concerns all sites; you are limited to some", code="forbidden.sites")
        narrow(sight_of(identity, process_of(request).settings.accounts))
        return identity


class RequiredDevice:
    """The dependency of a route for devices: by certificate, else by credential. An enrolled one has no credential."""

    role = Role.DEVICE

    def __call__(self, request: Request, bearer: Bearer) -> Device:
        """The device that asks. NotSignedInError without its own valid credential, FencedError from a fenced pair."""
        der: bytes | None = getattr(request.state, PEER_CERTIFICATE, None)
        if der is None and bearer is None:
            raise NotSignedInError("a device's certificate is needed, or its credential: Authorization: Bearer …")
        with database_of(request).connection() as connection:
            if der is None:
                assert bearer is not None  # noqa: S101 - one of both came
                authenticated = authenticate_device(connection, bearer.credentials)
            elif process_of(request).settings.api.tls.client_ca is None:
                authenticated = authenticate_certificate(connection, der, datetime.now(UTC))
            else:
                authenticated = authenticate_named(connection, der)
        process_of(request).membership.require_active()
        return authenticated


@cache
def require(role: Role, *, while_pending: bool = False, for_sites: bool = False) -> RequiredRole:
    """The dependency that asks for a role, or one above it."""
    return RequiredRole(role, while_pending, for_sites)


@cache
def device() -> RequiredDevice:
    """The dependency that asks for a device's credential."""
    return RequiredDevice()


def needed_role(dependant: Dependant) -> Role | None:
    """The role that a route's dependencies ask for; None when it is open to anyone."""
    if isinstance(dependant.call, RequiredRole | RequiredDevice):
        return dependant.call.role
    roles = [role for inner in dependant.dependencies if (role := needed_role(inner)) is not None]
    return max(roles, default=None)


def is_for_sites(dependant: Dependant) -> bool:
    """Whether a route answers who is limited to sites."""
    if isinstance(dependant.call, RequiredRole):
        return dependant.call.for_sites
    return any(is_for_sites(inner) for inner in dependant.dependencies)


Viewer = Annotated[Identity, Depends(require(Role.VIEWER))]
Analyst = Annotated[Identity, Depends(require(Role.ANALYST))]
Editor = Annotated[Identity, Depends(require(Role.EDITOR))]
Administrator = Annotated[Identity, Depends(require(Role.ADMINISTRATOR))]
# Also for people and tokens that are limited to sites.
SiteViewer = Annotated[Identity, Depends(require(Role.VIEWER, for_sites=True))]
SiteAdministrator = Annotated[Identity, Depends(require(Role.ADMINISTRATOR, for_sites=True))]
# Also for who has to change the password or set up a second factor first.
Anyone = Annotated[Identity, Depends(require(Role.VIEWER, while_pending=True, for_sites=True))]
CurrentDevice = Annotated[Device, Depends(device())]
