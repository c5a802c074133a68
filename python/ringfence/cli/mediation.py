"""`ringfence mediation`: API and console, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.options import ConfigOption, DataOption, settings_from


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
    # The web framework and the console take a second to import: no other command shall wait for them.
    from ringfence.mediation.app import serve

    serve(settings_from(config, data, api__host=host, api__port=port, api__socket=socket, database__url=database))
