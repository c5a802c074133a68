"""`ringfence probe`: the passive probe, and what belongs to it: a capture read, the tap checked, calls looked at."""

from __future__ import annotations

import typer

from ringfence.cli.enrol import enrol_probe
from ringfence.cli.probe_calls import calls, ladder
from ringfence.cli.probe_check import check
from ringfence.cli.probe_daemon import run
from ringfence.cli.probe_read import read


def register(app: typer.Typer) -> None:
    """Add the commands."""
    probe = typer.Typer(no_args_is_help=True, help="See the calls on the wire.", rich_markup_mode=None)
    probe.command("run")(run)
    probe.command("enrol")(enrol_probe)
    probe.command("check")(check)
    probe.command("calls")(calls)
    probe.command("ladder")(ladder)
    probe.command("read")(read)
    app.add_typer(probe, name="probe")
