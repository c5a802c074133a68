"""`ringfence fence`: the old pair's part in a failover; called over ssh by `ringfence failover`, or by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ringfence.availability.failover.fencing import fence_here
from ringfence.availability.failover.node import Node
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line
from ringfence.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fence")(fence)


def fence(
    term: Annotated[str, typer.Argument(metavar="TERM", help="The term of the new active pair.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop this node as well.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """On the old pair: take no more work. `ringfence failover` calls it over ssh; by hand where it cannot."""
    settings = settings_from(config, data)
    configure_logging(settings.log)
    done = fence_here(settings, term, Node(settings, config) if stop else None, datetime.now(UTC))
    if as_json:
        print_json(done.as_json())
    else:
        print_line(f"Fenced by epoch {done.epoch}: {done.words}.")
