"""`ringfence database`: the embedded PostgreSQL as a service of its own, and what the database keeps."""

from __future__ import annotations

import json
import os

import structlog
import typer

from ringfence.cli.database_storage import add_commands
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.cli.stop_signals import stopped_by_signals
from ringfence.database.embedded import EmbeddedServer
from ringfence.errors import UnavailableError
from ringfence.log import configure_logging, log_file
from ringfence.private_file import write_private
from ringfence.service.notify import Notifier
from ringfence.settings import Settings

_WAIT_S = 1.0
log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="The database: its server, and what it keeps.", rich_markup_mode=None
    )
    group.command("run")(run)
    add_commands(group)
    app.add_typer(group, name="database")


def run(config: ConfigOption = None, data: DataOption = None) -> None:
    """Run the embedded PostgreSQL in the foreground until stopped; exit code 6 when it ends by itself."""
    settings = settings_from(config, data)
    configure_logging(settings.log, log_file(settings, "database"))
    notifier = Notifier.take()
    if settings.database.url is not None:
        notifier.ready("not needed: database.url names an external PostgreSQL")
        typer.echo("database.url names an external PostgreSQL: there is nothing to run")
        return
    try:
        with stopped_by_signals():
            _run(settings, notifier)
    except KeyboardInterrupt:
        log.info("database.told_to_stop")


def _run(settings: Settings, notifier: Notifier) -> None:
    server = EmbeddedServer(settings)
    place = settings.data / "run" / "database.json"
    try:
        server.start()
        place.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(place, json.dumps({"pid": os.getpid(), "server_pid": server.pid}))
        notifier.ready(f"PostgreSQL accepts connections (process {server.pid})")
        typer.echo(f"PostgreSQL accepts connections on {settings.data}")
        while not server.wait(_WAIT_S):
            pass
        raise UnavailableError("database: PostgreSQL ended by itself; its log says why")
    finally:
        notifier.stopping()
        place.unlink(missing_ok=True)
        server.stop()
