"""`ringfence up`: everything on one machine — database, mediation with console, one ENUM server (`enum.enabled`).

Order: database (embedded, unless a URL names another) → schema and first administrator → mediation → the ENUM server's
device → ENUM server. Each is kept running by `ringfence.node.supervisor` until Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from ringfence import __version__
from ringfence.accounts.people import FIRST_ADMINISTRATOR, ensure_first_administrator
from ringfence.availability.failover.run import give_up
from ringfence.availability.follow import follow
from ringfence.availability.standby import read_standby
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.cli.stop_signals import stopped_by_signals
from ringfence.cli.up_screen import Screen, Welcome
from ringfence.database.connection import open_database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.errors import (
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotSignedInError,
    UnavailableError,
)
from ringfence.log import configure_logging, log_file
from ringfence.mediation.client import Client
from ringfence.mediation.first_sign_in import where_to_read
from ringfence.mediation.local_files import mediation_file, place_trust
from ringfence.mediation.trust_keys import require_administrator
from ringfence.node.child import ChildProcess
from ringfence.node.supervisor import Supervisor
from ringfence.private_file import write_private
from ringfence.service.notify import Notifier
from ringfence.settings import Settings
from ringfence.trust.certificates import shown_fingerprint
from ringfence.trust.verification import Trust

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    config: ConfigOption = None,
    data: DataOption = None,
    port: Annotated[
        int | None, typer.Option(help="Port of console and API; 0 picks a free one.", show_default="8420")
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS:PORT", help="Where the ENUM server listens.", show_default="127.0.0.1:1053"),
    ] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface", "-i", metavar="IF", help="Run a probe on it as well; repeatable.", show_default=False
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="libpq URL; default: the embedded server.", show_default=False)
    ] = None,
) -> None:
    """Start database, mediation with console, ENUM server, a probe where an interface is named; Ctrl-C stops all."""
    settings = settings_from(
        config,
        data,
        api__port=port,
        enum__listen=listen or None,
        database__url=database,
        probe__interfaces=interface or None,
    )
    screen = Screen()
    notifier = Notifier.take()
    try:
        with stopped_by_signals():
            settings = _log_to(settings)
            with Supervisor(settings.data) as supervisor:
                try:
                    standby = read_standby(settings)
                    if standby is not None:
                        give_up(settings, standby)
                        notifier.ready(f"follows {standby.active}")
                        follow(settings, standby, supervisor, screen.line, notifier.alive)
                    Node(settings, config, supervisor, screen).start()
                    notifier.ready("everything runs")
                    while True:
                        time.sleep(1)  # not signal.pause: a signal just before it would be slept through
                        notifier.alive()
                finally:
                    notifier.stopping()
                    screen.stopping()
    except KeyboardInterrupt:
        screen.stopped()


class Node:
    """The start of one machine's services, and the ports that they came to have."""

    def __init__(self, settings: Settings, config: Path | None, supervisor: Supervisor, screen: Screen) -> None:
        self._settings = settings
        self._config = config
        self._supervisor = supervisor
        self._screen = screen
        self._api_port = settings.api.port
        self._listen = settings.enum.listen
        self._url = ""
        self._trust = Trust()

    def start(self) -> None:
        """Start everything in order; a RingfenceError ends the start."""
        sign_in: str | None = None
        try:
            if self._settings.database.url is None:
                with self._screen.step("PostgreSQL"):
                    self._supervisor.run("database", EmbeddedServer(self._settings))
            with self._screen.step("Schema"):
                sign_in = self._prepare_database()
            with self._screen.step("Mediation and console"):
                self._start_mediation()
            if self._settings.enum.enabled:
                with self._screen.step("ENUM server"):
                    self._ensure_device("enum")
                    self._start_enum()
            if self._settings.probe.interfaces or self._settings.probe.hep_listen:
                with self._screen.step("Probe"):
                    self._ensure_device("probe")
                    self._start_probe()
        except BaseException:
            if sign_in is not None:  # its password is made, stored only as a hash, and not shown yet
                self._screen.sign_in(sign_in)
            raise
        self._screen.welcome(
            Welcome(
                console=self._url,
                enum=self._listen if self._settings.enum.enabled else (),
                apex=self._settings.enum.apex[0],
                option_code=self._settings.enum.source_option_codes[0]
                if self._settings.enum.source_option_codes
                else None,
                sign_in=sign_in,
                data=self._settings.data,
                fingerprint=next(map(shown_fingerprint, self._trust.fingerprints), None),
            )
        )

    def _prepare_database(self) -> str | None:
        """Bring the schema up; how the first administrator signs in, when there was none yet.

        Done here rather than by the mediation, so that the password stays in memory until it is on the screen.
        """
        database = open_database(self._settings)
        try:
            migrate(database)
            with database.connection() as connection:
                require_administrator(self._settings, connection)
                password = ensure_first_administrator(connection)
        finally:
            database.close()
        if password is None:
            return None
        return where_to_read(self._settings.data, FIRST_ADMINISTRATOR, password, sys.stdout)

    def _start_mediation(self) -> None:
        ready = mediation_file(self._settings.data)
        self._supervisor.run("mediation", self._child("mediation", ready, self._environment))
        place = _read_json(ready)
        self._url, self._trust = str(place["url"]), place_trust(place)
        self._api_port = int(self._url.rpartition(":")[2])

    def _start_enum(self) -> None:
        ready = enum_file(self._settings.data)
        self._supervisor.run("enum", self._child("enum", ready, self._enum_environment))
        self._listen = tuple(_read_json(ready)["listen"])

    def _start_probe(self) -> None:
        ready = self._settings.data / "run" / "probe.json"
        self._supervisor.run("probe", self._child("probe", ready, lambda: self._edge_environment("probe"), "run"))

    def _child(self, name: str, ready: Path, environment: Any, *words: str) -> ChildProcess:
        return ChildProcess(
            name,
            [sys.executable, "-m", "ringfence", name, *words],
            output=self._settings.data / "log" / f"{name}.out" if self._settings.log.to == "file" else None,
            ready_file=ready,
            environment=environment,
        )

    def _environment(self) -> Mapping[str, str]:
        """The same settings for a child. Through the environment, because a URL may hold a password."""
        values = {
            "RINGFENCE_DATA": str(self._settings.data),
            "RINGFENCE_API_PORT": str(self._api_port),
            "RINGFENCE_ENUM_LISTEN": ",".join(self._listen),
            "RINGFENCE_PROBE_INTERFACES": ",".join(self._settings.probe.interfaces),
            "RINGFENCE_LOG_TO": self._settings.log.to,
        }
        if self._config is not None:
            values["RINGFENCE_CONFIG"] = str(self._config.absolute())
        if self._settings.database.url is not None:
            values["RINGFENCE_DATABASE_URL"] = self._settings.database.url
        return values

    def _enum_environment(self) -> Mapping[str, str]:
        return self._edge_environment("enum")

    def _edge_environment(self, kind: str) -> Mapping[str, str]:
        edge = self._settings.edge
        values = dict(self._environment())
        if not edge.mediation:
            values["RINGFENCE_EDGE_MEDIATION"] = self._url
            if self._trust.fingerprints:
                values["RINGFENCE_TRUST_FINGERPRINTS"] = ",".join(self._trust.fingerprints)
        if edge.credential is None and edge.credential_file is None:
            values["RINGFENCE_EDGE_CREDENTIAL_FILE"] = str(credential_file(self._settings.data, kind))
        return values

    def _ensure_device(self, kind: str) -> None:
        """Register this machine's edge of a kind once; its credential is kept where only its owner reads it."""
        edge = self._settings.edge
        file = credential_file(self._settings.data, kind)
        if edge.credential is not None or edge.credential_file is not None:
            return
        if file.exists():
            if self._is_accepted(file, kind):
                return
            # The database was emptied, or the device revoked; this machine's owner starts its own server again.
            log.warning("up.device_registered_anew", why="the mediation does not know the credential", file=str(file))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Of this machine's mediation, wherever RINGFENCE_URL may point.
        with connect(self._settings.model_copy(update={"url": None, "token": None})) as client:
            for number in count(1):
                with suppress(ConflictError):  # a name from before the folder was emptied: its events stay its own
                    device = client.post("devices", {"name": f"{kind}-{number}", "kind": kind})
                    write_private(file, f"{device['credential']}\n")
                    return

    def _is_accepted(self, file: Path, kind: str) -> bool:
        """Whether the mediation knows the credential in a file; anything but its clear refusal counts as yes."""
        with suppress(OSError, UnavailableError, InvalidInputError, ForbiddenError):
            credential = file.read_text(encoding="ascii").strip()
            body = {"kind": kind, "software": __version__, "journal_id": 0, "now_us": time.time_ns() // 1000}
            try:
                with Client(self._url, credential, trust=self._trust) as client:
                    client.post("edge/hello", body)
            except NotSignedInError:
                return False
        return True


def credential_file(data: Path, kind: str = "enum") -> Path:
    """Where the local edge's credential is kept."""
    return data / kind / "credential"


def enum_file(data: Path) -> Path:
    """Where a serving ENUM server says its addresses (docs/contracts.md 6)."""
    return data / "run" / "enum.json"


def _log_to(settings: Settings) -> Settings:
    """Our own log beside the children's: the screen belongs to the operator. The settings as they are from here on."""
    if settings.log.to == "auto":
        settings = settings.model_copy(update={"log": settings.log.model_copy(update={"to": "file"})})
    folder = settings.data / "log"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "up.log").open("a").close()
    except OSError as error:
        raise ConfigurationError(f"data: {folder} cannot be used: {error.strerror}") from None
    configure_logging(settings.log, log_file(settings, "up"))
    return settings


def _read_json(file: Path) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{file} cannot be read: {error}") from None
    return tree
