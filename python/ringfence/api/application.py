"""The HTTP application: guards, error forms, routes. `mediation.app` adds the console and serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from ringfence import __version__
from ringfence.api.errors import add_handlers
from ringfence.api.guards import Guards
from ringfence.api.security import is_for_sites, needed_role
from ringfence.mediation.process import MediationProcess

PREFIX = "/api/v1"

# One module of `ringfence.api.routes` per resource; each has `router`, and is documented in this order.
RESOURCES = (
    "sessions",
    "policy",
    "installation",
    "drafts",
    "lists",
    "list_files",
    "list_feeds",
    "explain",
    "numbers",
    "simulate",
    "hits",
    "sites",
    "devices",
    "invitations",
    "edge",
    "edge_events",
    "edge_evidence",
    "analytics",
    "saved_views",
    "reports",
    "alerts",
    "alert_channels",
    "detections",
    "events",
    "call_ladder",
    "enforcement",
    "status",
    "storage",
    "users",
    "second_factor",
    "tokens",
    "own",
    "number_records",
    "audit",
    "jobs",
    "backups",
    "standby",
    "captures",
    "fst",
)
# Outside /api/v1, where monitoring looks for them.
ROOT_RESOURCES = ("health",)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_application(process: MediationProcess) -> FastAPI:
    """Assemble the API around a process, whose tasks run while the application does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with process.running():
            yield

    app = FastAPI(
        title="Ringfence",
        version=__version__,
        summary="Voice-network policy: decide calls, record them, see them.",
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.process = process
    add_handlers(app)
    app.add_middleware(Guards)
    app.router.routes.extend(routes_of_resources())
    _refuse_the_rest(app)
    return app


@cache
def routes_of_resources() -> tuple[BaseRoute, ...]:
    """The routes of all resources. One set serves every application of the program: each request brings its own."""
    router = APIRouter()
    for resource in RESOURCES:
        router.include_router(_router(resource), prefix=PREFIX)
    for resource in ROOT_RESOURCES:
        router.include_router(_router(resource))
    return tuple(router.routes)


def _refuse_the_rest(app: FastAPI) -> None:
    """Under /api nothing but the API answers: a program that errs gets the one form of refusal, not a page."""
    routes = list(app.routes)

    async def refuse(request: Request) -> Response:
        known = any(route.matches(request.scope)[0] is Match.PARTIAL for route in routes)
        raise HTTPException(405 if known else 404)

    app.add_route("/api/{rest:path}", refuse, methods=_METHODS, include_in_schema=False)


def _document_roles(router: APIRouter) -> None:
    """Write into each operation of the OpenAPI document which role it asks for (`x-role`).

    `x-sites` marks those that answer accounts which are limited to sites.
    """
    for route in router.routes:
        if isinstance(route, APIRoute) and (role := needed_role(route.dependant)) is not None:
            told: dict[str, Any] = {"x-role": role.word} | ({"x-sites": True} if is_for_sites(route.dependant) else {})
            route.openapi_extra = (route.openapi_extra or {}) | told


def _router(resource: str) -> APIRouter:
    router = import_module(f"ringfence.api.routes.{resource}").router
    assert isinstance(router, APIRouter)  # noqa: S101 - a mistake of this package, found at start
    _document_roles(router)
    return router
