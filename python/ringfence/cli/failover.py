"""`ringfence failover`: make the standby the active pair. `failback` shares how it is run and shown."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated

import typer

from ringfence.availability.failover.record import Record, Step, read_record
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.cli.bar import shown_progress
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, command_there, configuration_file, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.status import read_report
from ringfence.errors import NotFoundError
from ringfence.log import configure_logging
from ringfence.settings import Settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and say what would be done.", show_default=False)]
Status = Annotated[bool, typer.Option("--status", help="Show the last failover of this node.", show_default=False)]
Host = Annotated[
    str | None,
    typer.Option(metavar="[USER@]HOST", help="The old pair for ssh, to stop it too.", show_default="as followed"),
]
Ssh = Annotated[
    str | None, typer.Option(help="How ssh is called: port, key, known hosts.", show_default="as the standby was made")
]
Command = Annotated[
    str | None,
    typer.Option(
        help="How ringfence is called on the old pair, over ssh.", show_default="env RINGFENCE_DATA=(as here) ringfence"
    ),
]
Devices = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long devices are waited for.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("failover")(failover)


def failover(
    backup: Annotated[
        str | None, typer.Option(metavar="ID", help="Restore this backup.", show_default="the newest")
    ] = None,
    dry_run: DryRun = False,
    status: Status = False,
    host: Host = None,
    ssh: Ssh = None,
    command: Command = None,
    devices: Devices = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make this standby the active pair. Interrupted, it goes on where it was when it is called again."""
    settings = settings_from(config, data)
    options = Options(
        backup, host, ssh_words(ssh), command_there(settings, command), devices, False, configuration_file(config)
    )
    run(settings, options, "failover", dry_run=dry_run, status=status, as_json=as_json)


def run(settings: Settings, options: Options, kind: str, *, dry_run: bool, status: bool, as_json: bool) -> None:
    """What both commands do, as their flags say."""
    configure_logging(settings.log)
    if status:
        record = read_record(settings)
        if record is None:
            raise NotFoundError(f"{kind}: there was none on this node")
        _show(record, as_json=as_json)
        return
    local = settings.model_copy(update={"url": None, "token": None})  # this machine's, wherever RINGFENCE_URL points
    with shown_progress(kind) as report:
        told = _silent if as_json or dry_run else _tell
        work = Failover(settings, options, lambda: read_report(local), kind, told, report)
        record = work.plan() if dry_run else work.run()
    _show(record, as_json=as_json, is_told=not dry_run)


def ssh_words(ssh: str | None) -> tuple[str, ...] | None:
    """How ssh is called, in words."""
    return tuple(shlex.split(ssh)) if ssh else None


def _silent(step: Step) -> None:
    pass


def _tell(step: Step) -> None:
    if step.state == "running":
        print_line(f"{step.title} …")
    elif step.state == "done":
        print_line(f"  {step.words} ({step.seconds:g} s)", "green")


def _show(record: Record, *, as_json: bool, is_told: bool = False) -> None:
    if as_json:
        print_json(record.as_json())
        return
    if not is_told:
        print_table(("step", "state", "what"), [(step.title, step.state, step.words) for step in record.steps])
    if record.ended_at is not None and record.is_done:
        seconds = (datetime.fromisoformat(record.ended_at) - datetime.fromisoformat(record.started_at)).total_seconds()
        print_line(f"This pair is active after {seconds:.0f} s: {record.steps[-1].words}.", "green")
