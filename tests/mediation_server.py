"""A real mediation inside the test process: uvicorn on a free loopback port, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import httpx
import nicegui.ui_run_with

from ringfence.accounts.credentials import create_token
from ringfence.database.connection import Database
from ringfence.mediation.app import MediationServer, bind, create_app
from ringfence.mediation.devices import register_device
from ringfence.mediation.local_entrance import LocalEntrance
from ringfence.mediation.local_files import token_file
from ringfence.mediation.process import MediationProcess
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import AccountsSettings, MailSettings, Settings
from ringfence.trust.verification import Trust, verify_argument
from ringfence.vocabulary import Role

# NiceGUI looks for its server among all objects of the process, which are many in a test run. Nobody asks it for that.
setattr(nicegui.ui_run_with, "gc", SimpleNamespace(get_objects=list))  # noqa: B010 - it is not exported


class RunningMediation:
    """Starts on entering, stops on leaving; `url`, `settings` and clients for every role."""

    def __init__(
        self,
        database: Database,
        data: Path,
        partners: tuple[str, ...] = (),
        port: int = 0,
        mail: MailSettings | None = None,
        accounts: AccountsSettings | None = None,
        api: dict[str, Any] | None = None,
    ) -> None:
        self.database = database
        self.settings = Settings.model_validate(
            {
                "data": data,
                "database": {"url": database.url},
                "api": {"port": port, "socket": data / "api.sock"} | (api or {}),
                "availability": {"partners": partners},
                "mail": mail or MailSettings(),
                "accounts": accounts or AccountsSettings(),
            }
        )
        self.url = ""
        self._clients: list[httpx.Client] = []

    def __enter__(self) -> Self:
        with self.database.connection(even_if_fenced=True) as connection:
            ensure_first_site(connection, self.settings.site)
        self._sockets, self.url = bind(self.settings)
        self._entrance = LocalEntrance(self.settings.data, self.database)
        started = threading.Event()

        def on_started() -> None:
            self._entrance.open(self.url, self.settings.api.socket, self.fingerprint)
            started.set()

        app = create_app(self.settings, self.database)
        self.process: MediationProcess = app.state.process
        self.server = MediationServer(app, self._sockets, on_started)
        self._thread = threading.Thread(target=self.server.serve_until_stopped, name="mediation", daemon=True)
        self._thread.start()
        assert started.wait(20), "the mediation did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self.stop()
        self._entrance.close()

    def stop(self) -> None:
        """Stop serving; returns when it has."""
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the mediation did not stop"
        for listener in self._sockets:
            listener.close()

    def client(self, role: Role | None = Role.ADMINISTRATOR) -> httpx.Client:
        """An HTTP client below /api/v1 with a fresh token of a role; None: anonymous."""
        headers = {}
        if role is not None:
            with self.database.connection(even_if_fenced=True) as connection:
                name = f"{role.word}-{len(self._clients)}"
                headers["Authorization"] = f"Bearer {create_token(connection, name, role, 'test')}"
        return self._client(headers)

    def device(self, name: str = "enum-1", kind: str = "enum") -> httpx.Client:
        """A client with the credential of a device that is registered here."""
        with self.database.connection() as connection:
            _, credential = register_device(connection, name, kind, None, "test")
        return self._client({"Authorization": f"Bearer {credential}"})

    @property
    def fingerprint(self) -> str | None:
        """Of the listener's certificate; None: it has no TLS."""
        return self.process.tls.shown.facts.fingerprint if self.process.tls else None

    @property
    def trust(self) -> Trust:
        """What a client needs to know to believe it."""
        return Trust((self.fingerprint,) if self.fingerprint else ())

    @property
    def local_token(self) -> str:
        """The token that the CLI on this machine uses."""
        return token_file(self.settings.data).read_text(encoding="utf-8")

    def _client(self, headers: dict[str, str]) -> httpx.Client:
        # On plain HTTP the authorities of TLS need not be read for each client.
        verify = verify_argument(self.url, self.trust)
        client = httpx.Client(
            base_url=f"{self.url}/api/v1", headers=headers, timeout=20, trust_env=False, verify=verify
        )
        self._clients.append(client)
        return client


def wait_until(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true value of a condition; fails after the deadline."""
    deadline = monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        assert monotonic() < deadline, "did not happen in time"
        sleep(0.02)
