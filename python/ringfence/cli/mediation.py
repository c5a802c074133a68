"""`ringfence mediation`: API and console, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer

from ringfence.accounts.people import FIRST_ADMINISTRATOR, ensure_first_administrator
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.database.connection import Database, open_database
from ringfence.database.migrate import migrate
from ringfence.log import configure_logging
from ringfence.mediation.app import MediationServer, bind, create_app
from ringfence.mediation.local_entrance import LocalEntrance
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mediation")(mediation)


def mediation(
    config: ConfigOption = None,
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="0 picks a free port.", show_default="8420")] = None,
    socket: Annotated[Path | None, typer.Option(help="Unix socket to listen on as well.", show_default=False)] = None,
    database: Annotated[
        str | None, typer.Option(help="libpq URL; default: the embedded server.", show_default=False)
    ] = None,
) -> None:
    """Run API and console until stopped. Needs a reachable database (exit code 6 without)."""
    settings = settings_from(config, data, api__host=host, api__port=port, api__socket=socket, database__url=database)
    configure_logging(settings.log)
    opened = open_database(settings)
    try:
        serve(settings, opened)
    finally:
        opened.close()


def serve(settings: Settings, database: Database) -> None:
    """Prepare the database, then serve until SIGTERM or SIGINT."""
    sockets, url = bind(settings)
    migrate(database)
    with database.connection() as connection:
        ensure_first_site(connection, settings.site)
        password = ensure_first_administrator(connection)
    if password is not None:
        typer.echo(f"First administrator: {FIRST_ADMINISTRATOR}  one-time password: {password}", err=True)
    entrance = LocalEntrance(settings.data, database)

    def started() -> None:
        entrance.open(url, settings.api.socket)
        log.info("mediation.started", url=url, socket=str(settings.api.socket or ""))

    try:
        MediationServer(create_app(settings, database), sockets, started).serve_until_stopped()
    finally:
        entrance.close()
        for listener in sockets:
            listener.close()
        log.info("mediation.stopped")
