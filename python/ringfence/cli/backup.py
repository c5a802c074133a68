"""`ringfence backup`: make, list and check backups: by the mediation where one runs, else by this command itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.availability import schedule, shelf
from ringfence.availability.backup import BackupOptions, sections_here
from ringfence.availability.encryption import new_key
from ringfence.cli.bar import shown_progress
from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import ConflictError, InvalidInputError, UnavailableError
from ringfence.log import configure_logging
from ringfence.mediation.client import Client
from ringfence.private_file import write_private
from ringfence.settings import Settings

Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="SECTION",
        help="database, configuration, edge:enum, edge:probe; repeatable. Default: all.",
        show_default=False,
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, max=64, help="Parallel jobs.", show_default="processors")]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Longest time of dump or restore.", show_default="3600")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Make, list and check backups.", invoke_without_command=True)
    group.callback()(backup)
    group.command("list")(list_backups)
    group.command("verify")(verify)
    group.command("log")(log)
    group.command("key")(key)
    app.add_typer(group, name="backup")


def backup(
    context: typer.Context,
    select: Select = None,
    keep: Annotated[int | None, typer.Option(min=1, help="How many are kept.", show_default="14")] = None,
    jobs: Jobs = None,
    timeout: Timeout = None,
    with_journal: Annotated[
        bool, typer.Option("--with-journal", help="Edges' journals too.", show_default=False)
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a backup of this node: database, configuration, edges. With a subcommand: list, verify, log, key."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(config, data)
    configure_logging(settings.log)
    options = BackupOptions(tuple(select) if select else None, jobs, keep, timeout, with_journal)
    with _mediation(settings) as client:
        made = _make_there(client, options) if client else _make_here(settings, options)
    if as_json:
        print_json(made)
    else:
        sections = ", ".join(made["sections"])
        print_line(f"Backup {made['backup_id']}: {sections}; {_size(made['bytes'])}.")


def list_backups(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show the backups, newest first, and what is wrong with one that is not whole."""
    report = _read(settings_from(config, data))
    if as_json:
        print_json(report)
        return
    print_table(
        ("backup", "made (UTC)", "on", "sections", "size", "encrypted", "state"),
        [
            (
                one["backup_id"],
                str(one.get("created_at", ""))[:19].replace("T", " "),
                one.get("host"),
                ", ".join(one.get("sections", ())),
                _size(one["bytes"]),
                bool(one.get("key")),
                one["problem"] or "whole",
            )
            for one in report["backups"]
        ],
    )


def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="BACKUP", help="Id, its beginning, or a file.", show_default="newest")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every one.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Read every octet of a backup; exit code 2 when one is damaged, with the reason."""
    settings = settings_from(config, data)
    problems = []
    with _mediation(settings) as client:
        is_remote = client is not None and settings.url is not None
        names = _names(settings, client if is_remote else None, name, every=every)
        for one in names:
            try:
                checked = _verify_there(client, one) if client and is_remote else _verify_here(settings, one)
            except InvalidInputError as error:
                problems.append(error.message)
                checked = {"backup_id": one, "problem": error.message}
            if as_json:
                print_json(checked)
            else:
                print_line(checked["problem"] or f"Backup {checked['backup_id']} is whole.")
    if problems:
        raise typer.Exit(2)


def log(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show the last runs: backups, copies, imports, restores, and why one failed."""
    runs = _read(settings_from(config, data))["runs"]
    if as_json:
        print_json(runs)
        return
    print_table(
        ("at (UTC)", "what", "ok", "backup", "seconds", "detail"),
        [
            (
                run["at"][:19].replace("T", " "),
                run["what"],
                run["ok"],
                run.get("backup"),
                run.get("seconds"),
                run.get("error"),
            )
            for run in runs
        ],
    )


def key(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the key goes.")]) -> None:
    """Make a key for encrypted backups (set it as backup.key_file on both pairs); without it none can be restored."""
    if file.exists():
        raise ConflictError(f"{file} exists already: a key is never overwritten")
    try:
        write_private(file, new_key())
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be written: {error.strerror}") from None
    print_line(f"Key written to {file}. Keep a copy away from the backups: without it none can be read.")


@contextmanager
def _mediation(settings: Settings) -> Iterator[Client | None]:
    """The mediation of the settings; None where none runs on this node."""
    try:
        client = connect(settings)
        if settings.url is None:
            client.get("status")
    except UnavailableError:
        if settings.url is not None:
            raise
        yield None
        return
    with client:
        yield client


def _make_there(client: Client, options: BackupOptions) -> dict[str, Any]:
    body = {
        "select": list(options.sections) if options.sections else None,
        "keep": options.keep,
        "jobs": options.jobs,
        "timeout_s": options.timeout_s,
        "with_journal": options.with_journal,
    }
    return wait_for_job(client, client.post("backups", body), "backup")


def _make_here(settings: Settings, options: BackupOptions) -> dict[str, Any]:
    with shown_progress("backup") as report:
        return schedule.make(settings, options, datetime.now(UTC), report)


def _verify_there(client: Client, name: str) -> dict[str, Any]:
    return wait_for_job(client, client.post(f"backups/{name}/verify"), f"verify {name}")


def _verify_here(settings: Settings, name: str) -> dict[str, Any]:
    with shown_progress(f"verify {name}") as report:
        return schedule.verify(settings, name, report)


def _names(settings: Settings, client: Client | None, name: str | None, *, every: bool) -> list[str]:
    if name is not None:
        return [name]
    if client is not None:
        listed = [str(one["backup_id"]) for one in client.get("backups")["backups"]]
    else:
        listed = [one.backup_id for one in shelf.list_backups(settings)]
    if not listed:
        shelf.find_backup(settings)  # says how to make one
    return listed if every else listed[:1]


def _read(settings: Settings) -> dict[str, Any]:
    """List and runs; of this node from its own folder, so that it works with nothing running."""
    if settings.url is not None:
        with connect(settings) as client:
            report: dict[str, Any] = client.get("backups")
            return report
    return {
        "folder": str(shelf.folder_of(settings)),
        "keep": settings.backup.keep,
        "every_s": settings.backup.every_s,
        "is_encrypted": settings.backup.key_file is not None,
        "sections": list(sections_here(settings)),
        "backups": [one.as_json() for one in shelf.list_backups(settings)],
        "runs": shelf.list_runs(settings),
    }


def _size(octets: int) -> str:
    if octets < 1 << 20:
        return f"{octets / (1 << 10):,.0f} KiB"
    return f"{octets / (1 << 20):,.1f} MiB" if octets < 1 << 30 else f"{octets / (1 << 30):,.2f} GiB"
