"""The mediation, assembled: API and console on one application around one process, and how it is served.

This is the one module of the domain that knows its faces.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from ringfence.accounts.people import FIRST_ADMINISTRATOR, ensure_first_administrator
from ringfence.api.application import build_application
from ringfence.availability.cluster import ensure_cluster
from ringfence.console import pages
from ringfence.database.connection import Database, open_database
from ringfence.database.migrate import migrate
from ringfence.errors import ConfigurationError
from ringfence.log import configure_logging, log_file
from ringfence.mediation.first_sign_in import where_to_read
from ringfence.mediation.http_protocol import GuardedProtocol
from ringfence.mediation.local_entrance import LocalEntrance
from ringfence.mediation.process import MediationProcess
from ringfence.mediation.sites import ensure_first_site
from ringfence.mediation.tls_server import Listening, watch_certificate
from ringfence.mediation.trust_keys import require_administrator
from ringfence.service.notify import Notifier
from ringfence.settings import Settings
from ringfence.trust.certificates import shown_fingerprint

# Answers under way may finish; long polls are sent home at once.
STOP_WITHIN_S = 3
log = structlog.get_logger()


def create_app(settings: Settings, database: Database) -> FastAPI:
    """API and console around a migrated database; background tasks run with the application's lifespan."""
    app = build_application(MediationProcess(settings, database))
    pages.mount(app, database, settings)
    return app


class MediationServer(uvicorn.Server):
    """Serves the application on sockets that are bound already, and says when it does."""

    def __init__(
        self,
        app: FastAPI,
        sockets: list[socket.socket],
        on_started: Callable[[], None],
        on_alive: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_alive` is called every second while the event loop turns."""
        super().__init__(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_WITHIN_S,
            )
        )
        self._process: MediationProcess = app.state.process
        self._sockets = sockets
        self._listening = Listening(self, self._process.tls)
        self._watching: asyncio.Task[None] | None = None
        self._on_started = on_started
        self._on_alive = on_alive

    def serve_until_stopped(self) -> None:
        """Until SIGTERM or SIGINT, or `should_exit`."""
        self.run(sockets=self._sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT. uvicorn's own would raise them again and skip our tidying up."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, then tell."""
        plain, covered = self._listening.divide(sockets or [])
        await super().startup(plain)
        if self.started:
            await self._listening.add(covered)
            if self._process.tls is not None:
                self._watching = asyncio.create_task(watch_certificate(self._process.tls), name="certificate")
            self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            self._on_alive()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send long polls home, then close what is open."""
        if self._watching is not None:
            self._watching.cancel()
        self._process.stop()
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Open and prepare the database, then serve until SIGTERM or SIGINT. UnavailableError without a database."""
    configure_logging(settings.log, log_file(settings, "mediation"))
    database = open_database(settings)
    try:
        if settings.api.is_beyond_loopback:
            migrate(database)
            with database.connection(even_if_fenced=True) as connection:
                require_administrator(settings, connection)
        sockets, url = bind(settings)
        try:
            _prepare(settings, database)
            _serve_on(sockets, url, settings, database)
        finally:
            for listener in sockets:
                listener.close()
    finally:
        database.close()


def _prepare(settings: Settings, database: Database) -> None:
    migrate(database)
    with database.connection() as connection:
        ensure_cluster(connection)
        ensure_first_site(connection, settings.site)
        password = ensure_first_administrator(connection)
    if password is not None:
        told = where_to_read(settings.data, FIRST_ADMINISTRATOR, password, sys.stderr)
        print(f"First administrator: {told}", file=sys.stderr, flush=True)


def _serve_on(sockets: list[socket.socket], url: str, settings: Settings, database: Database) -> None:
    entrance = LocalEntrance(settings.data, database)
    notifier = Notifier.take()
    app = create_app(settings, database)
    tls = app.state.process.tls

    def started() -> None:
        entrance.open(url, settings.api.socket, tls.shown.facts.fingerprint if tls else None)
        notifier.ready(f"serves {url}")
        if tls is not None:
            print(f"TLS certificate, SHA-256: {shown_fingerprint(tls.shown.facts.fingerprint)}", file=sys.stderr)
        log.info("mediation.started", url=url, socket=str(settings.api.socket or ""))

    try:
        MediationServer(app, sockets, started, notifier.alive).serve_until_stopped()
    finally:
        notifier.stopping()
        entrance.close()
        log.info("mediation.stopped")


def bind(settings: Settings) -> tuple[list[socket.socket], str]:
    """The listening sockets of the settings, and the URL of the first. ConfigurationError names what is taken."""
    host, port = settings.api.host, settings.api.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        tcp = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(f"api.port: {host}:{port} cannot be listened on: {_why(error)}") from None
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what it is called from here
    shown = f"[{local}]" if ":" in local else local
    sockets = [tcp]
    if settings.api.socket is not None:
        try:
            sockets.append(_bind_unix(settings.api.socket))
        except OSError as error:
            tcp.close()
            message = f"api.socket: {settings.api.socket} cannot be listened on: {_why(error)}"
            raise ConfigurationError(message) from None
    scheme = "https" if settings.api.has_tls else "http"
    return sockets, f"{scheme}://{shown}:{tcp.getsockname()[1]}"


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _bind_unix(path: Path) -> socket.socket:
    """Listen on a path; a socket that nobody listens on any more is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError("another process listens on it")
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    # Every caller shows a credential, and the folder above may be closed; the file mode alone keeps nobody out.
    path.chmod(0o660)
    listener.listen(2048)
    return listener
