"""`ringfence restore`: put a backup back on this node, whole or one section; the node must be stopped."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from ringfence.availability.configuration import is_aside
from ringfence.availability.restore import RestoreOptions, check_restore, read_interrupted, restore_backup
from ringfence.availability.shelf import KeptBackup, find_backup
from ringfence.cli.backup import Jobs, Select, Timeout
from ringfence.cli.bar import shown_progress
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, configuration_file, settings_from
from ringfence.cli.output import print_json, print_line
from ringfence.errors import InvalidInputError
from ringfence.log import configure_logging


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore")(restore)


def restore(
    name: Annotated[
        str | None, typer.Argument(metavar="BACKUP", help="Id, its beginning, or a file.", show_default="newest")
    ] = None,
    select: Select = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.", show_default=False)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Put a backup back: it replaces what is here. A damaged one is refused and changes nothing."""
    settings = settings_from(config, data)
    configure_logging(settings.log)
    interrupted = read_interrupted(settings)
    kept = find_backup(settings, name or (interrupted.path if interrupted else None))
    file = configuration_file(config)
    options = RestoreOptions(tuple(select) if select else None, jobs, timeout, file)
    with shown_progress("restore") as report:
        if dry_run:
            manifest = check_restore(settings, kept, options, report)
    if dry_run:
        if as_json:
            print_json(manifest.as_json() | {"is_restored": False})
        else:
            wanted = ", ".join(options.sections or manifest.sections)
            print_line(f"Backup {manifest.backup_id} of {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC is whole and fits.")
            print_line(f"A restore would replace: {wanted}. Nothing was changed.")
        return
    if not yes:
        _ask(kept, options)
    with shown_progress("restore") as report:
        done = restore_backup(settings, kept, options, datetime.now(UTC), report)
    if as_json:
        print_json(done.as_json())
        return
    print_line(f"Restored {', '.join(done.sections)} from backup {done.backup_id} in {done.seconds:g} s.", "green")
    if is_aside(done.configuration_file):
        print_line(f"The settings could not be put in place: they lie in {done.configuration_file}, for root to do it.")
    elif done.configuration_file is not None:
        print_line(f"The settings are in {done.configuration_file}: start with --config {done.configuration_file}.")
    print_line("Everybody must sign in again. Edges send by themselves what the restored database lacks.")


def _ask(kept: KeptBackup, options: RestoreOptions) -> None:
    if not sys.stdin.isatty():
        raise InvalidInputError("restore: replaces what is on this node; say --yes")
    made = f" of {kept.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC" if kept.manifest else ""
    what = ", ".join(options.sections or (kept.manifest.sections if kept.manifest else ()))
    typer.confirm(f"Replace {what} on this node by backup {kept.backup_id}{made}?", abort=True)
