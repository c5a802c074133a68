"""Puts the console on the mediation's application."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from nicegui import core, ui
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Importing a page registers it.
from ringfence.console import (  # noqa: F401
    accounts,
    alert_channels,
    alert_page,
    alerts,
    analytics,
    audit,
    availability,
    call_page,
    calls,
    captures,
    detections,
    devices,
    enforcement,
    explain,
    functional_test,
    lists,
    number_page,
    overview,
    policy,
    profile,
    schedules,
    simulate,
    sites,
    storage,
    versions,
)
from ringfence.console.documents import ASSET_PATH, ASSETS
from ringfence.console.gate import Gate
from ringfence.console.second_factor import add_second_factor
from ringfence.console.sign_in import add_sign_in
from ringfence.database.connection import Database
from ringfence.settings import Settings

# How long a page whose connection broke (a closed laptop, a restart of a proxy) may come back as it was.
RECONNECT_S = 30.0
# Of 9, which takes twice the time to save two hundredths more.
GZIP_LEVEL = 5


def mount(app: FastAPI, database: Database, settings: Settings) -> None:
    """Serve sign-in, pages and their files on `app`. Call it after every other route is added.

    The console takes what no other route does.
    """
    app.mount(ASSET_PATH, _Assets(directory=ASSETS), name="console-assets")
    add_sign_in(app, app.state.process)
    add_second_factor(app, database)
    # Before NiceGUI's own mount at the same place, which it shadows: nothing reaches NiceGUI but through the gate.
    app.mount(
        "/",
        Gate(core.app, database, app.state.process.jobs, app.state.process.settings, app.state.process),
        name="console",
    )
    _run_nicegui_with(app)


def _run_nicegui_with(app: FastAPI) -> None:
    # NiceGUI is one per process and adds its middleware at each mount: begin anew, so that a process (a test run)
    # may assemble more than one application. It keeps nothing for the browser, so there is no storage secret.
    core.app.user_middleware.clear()
    core.app.middleware_stack = None
    ui.run_with(
        app,
        title="Ringfence",
        favicon=ASSETS / "ringfence.svg",
        dark=None,
        tailwind=False,
        reconnect_timeout=RECONNECT_S,
        binding_refresh_interval=None,  # nothing is bound: no need to look ten times a second
        gzip_middleware_factory=lambda inner: GZipMiddleware(inner, compresslevel=GZIP_LEVEL),
        show_welcome_message=False,
    )


class _Assets(StaticFiles):
    """The console's own files. Their address carries their hash, so a browser may keep them for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
