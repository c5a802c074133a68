"""`ringfence probe`: the passive probe, and what belongs to it: reading a capture, checking the tap."""

from __future__ import annotations

import typer

from ringfence.cli.probe_check import check
from ringfence.cli.probe_read import read


def register(app: typer.Typer) -> None:
    """Add the commands."""
    probe = typer.Typer(no_args_is_help=True, help="See the calls on the wire.", rich_markup_mode=None)
    probe.command("read")(read)
    probe.command("check")(check)
    app.add_typer(probe, name="probe")
