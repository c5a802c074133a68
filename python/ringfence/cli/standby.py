"""`ringfence standby`: make a node the standby of another, look how it stands, copy now, leave."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ringfence.availability import standby as roles
from ringfence.availability import streaming
from ringfence.availability.shelf import folder_of
from ringfence.availability.source import source_of
from ringfence.availability.standby import Standby
from ringfence.availability.sync import sync_once
from ringfence.cli.bar import shown_progress
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, command_there, settings_from
from ringfence.cli.output import print_json, print_line
from ringfence.cli.standby_report import print_standby, standby_report
from ringfence.errors import ConfigurationError, InvalidInputError
from ringfence.log import configure_logging
from ringfence.node.supervisor import lock_node
from ringfence.settings import Settings
from ringfence.trust.address import check_address


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The warm standby: make one, see how it stands.", no_args_is_help=True)
    group.command("init")(init)
    group.command("status")(status)
    group.command("sync")(sync)
    group.command("leave")(leave)
    group.command("admit")(admit)
    group.command("dismiss")(dismiss)
    app.add_typer(group, name="standby")


def init(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The active: [USER@]HOST for ssh, or its API's URL.")],
    mode: Annotated[
        Literal["backup", "streaming"], typer.Option(help="Copy backups, or follow all the time.")
    ] = "backup",
    token_file: Annotated[
        Path | None, typer.Option(help="File with an administrator's token of the active's API.", show_default=False)
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates that the active's API is trusted by.", show_default=False)
    ] = None,
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(help="SHA-256 of the certificate that the active's API shows; repeatable.", show_default=False),
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="Backups on the active, for rsync.", show_default="as on this node")
    ] = None,
    ssh: Annotated[str, typer.Option(help="How ssh is called: port, key, known hosts.")] = "ssh",
    command: Annotated[
        str | None,
        typer.Option(
            help="How ringfence is called on the active, its data folder in the environment (streaming).",
            show_default="env RINGFENCE_DATA=(as here) ringfence",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the active calls this standby.", show_default="host name")
    ] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks for a new backup.")] = roles.EVERY_S,
    keep: Annotated[
        int | None, typer.Option(min=1, help="How many copies are kept.", show_default="backup.keep")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The database of this node may go.", show_default=False)
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make this (stopped) node the standby of HOST. Afterwards `ringfence up` follows the active."""
    settings = _settings(config, data, trust__fingerprints=fingerprint or None)
    ca_file = ca_file or settings.trust.ca_file
    if "://" in host:
        check_address(host, "HOST")
    if settings.database.url is not None:
        raise ConfigurationError("standby: the database is external (database.url): let it replicate by its own means")
    wanted = Standby(
        mode=mode,
        active=host,
        every_s=every,
        keep=keep,
        token=_token(token_file),
        ca_file=str(ca_file.absolute()) if ca_file else None,
        fingerprints=settings.trust.fingerprints,
        ssh=tuple(shlex.split(ssh)),
        folder=folder or str(folder_of(settings)),
    )
    with _stopped(settings):
        if mode == "streaming":
            _init_streaming(
                settings, wanted, command_there(settings, command), name or socket.gethostname(), may_replace=replace
            )
        else:
            roles.refuse_to_replace(settings, may_replace=replace)
            source_of(wanted).offers()  # whether it can be reached, and lets us in
            roles.become(settings, wanted)
    if as_json:
        print_json(wanted.as_json())
        return
    print_line(f"This node is the standby of {host} ({mode}). `ringfence up` follows it from now on.")
    if mode == "backup":
        print_line("`ringfence standby sync` copies and imports the newest backup now.")


def status(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Age of the copy, lag, versions, and what a failover now would lose; exit code 1 when something is wrong."""
    report = standby_report(settings_from(config, data), datetime.now(UTC))
    if as_json:
        print_json(report)
    else:
        print_standby(report)
    if not report["ok"]:
        raise typer.Exit(1)


def sync(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Copy the active's newest backup and import it, once: what `ringfence up` on a standby does by itself."""
    settings = _settings(config, data)
    with shown_progress("standby") as report:
        run = sync_once(settings, datetime.now(UTC), report)
    if as_json:
        print_json(run.as_json())
    elif run.is_imported:
        print_line(f"Backup {run.backup_id} was {'copied and ' if run.is_copied else ''}imported in {run.seconds:g} s.")
    else:
        print_line(f"Nothing new: backup {run.backup_id} is imported already.")


def leave(config: ConfigOption = None, data: DataOption = None) -> None:
    """Follow nobody any more; the database here stays as it is. A failover does this by itself."""
    settings = _settings(config, data)
    with _stopped(settings):
        left = roles.leave(settings)
    print_line(f"This node is no longer the standby of {left.active}.")
    if left.slot is not None:
        print_line(f"On the active, `ringfence standby dismiss {left.slot}` lets go of what it keeps for this node.")


def admit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The standby.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it.", show_default=False)] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """On the active: let a standby stream. `standby init` calls it over ssh; the answer holds passwords."""
    if not as_json:
        raise InvalidInputError("standby admit: is for `ringfence standby init` on the standby, which adds --json")
    print_json(streaming.admit(settings_from(config, data), name).as_json())


def dismiss(
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="The standby's slot.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """On the active: keep nothing for a standby any more that left."""
    streaming.dismiss(settings_from(config, data), slot)
    print_line(f"Nothing is kept for {slot}.")


def _init_streaming(settings: Settings, wanted: Standby, command: str, name: str, *, may_replace: bool) -> None:
    if wanted.is_over_api:
        raise InvalidInputError("standby: streaming goes over ssh: name the active as [USER@]HOST")
    roles.refuse_to_replace(settings, may_replace=may_replace)
    admission = streaming.ask_admission(wanted, command, name)
    with shown_progress("standby") as report:
        streaming.init_streaming(settings, wanted, admission, report, may_replace=may_replace)


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    (settings.data / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = lock_node(settings.data)
    try:
        yield
    finally:
        os.close(descriptor)


def _settings(config: Path | None, data: Path | None, **flags: Any) -> Settings:
    settings = settings_from(config, data, **flags)
    configure_logging(settings.log)
    return settings


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"--token-file: {file} cannot be read: {error}") from None
