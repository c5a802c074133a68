"""`ringfence failback`: swap the roles again, on the pair that was failed over from and is the standby now."""

from __future__ import annotations

import typer

from ringfence.availability.failover.steps import Options
from ringfence.cli.failover import Command, Devices, DryRun, Host, Ssh, Status, run, ssh_words
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, command_there, configuration_file, settings_from


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("failback")(failback)


def failback(
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
    """Swap the roles again: as failover, but only while the active is reached and gives all it has."""
    settings = settings_from(config, data)
    options = Options(
        None, host, ssh_words(ssh), command_there(settings, command), devices, True, configuration_file(config)
    )
    run(settings, options, "failback", dry_run=dry_run, status=status, as_json=as_json)
