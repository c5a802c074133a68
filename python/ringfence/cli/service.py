"""`ringfence service`: this node's roles as systemd services."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.options import ConfigOption, JsonOption
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import NotFoundError
from ringfence.service import installation
from ringfence.service.manager import Systemd, UnitState
from ringfence.service.units import CONFIGURATION, ROLES, Unit
from ringfence.settings import load_settings

RolesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ROLE]...", help=f"{', '.join(ROLES)}; without: those of this node.", show_default=False),
]
NewRolesArgument = Annotated[list[str], typer.Argument(metavar="ROLE...", help=f"{', '.join(ROLES)}.")]
RootOption = Annotated[
    Path, typer.Option("--root", metavar="FOLDER", help="The system below it, an image say, instead of this one.")
]
_HERE = Path("/")
_DONE = {"start": "started", "stop": "stopped", "restart": "restarted"}


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="This node's roles as systemd services.", rich_markup_mode=None)
    group.command("install")(install)
    group.command("uninstall")(uninstall)
    for verb, told in (
        ("start", "Start services."),
        ("stop", "Stop services."),
        ("restart", "Stop and start services."),
    ):
        group.command(verb, help=f"{told} Returns when it is done.")(_control(verb))
    group.command("enable")(enable)
    group.command("disable")(disable)
    group.command("status")(status)
    app.add_typer(group, name="service")


def install(
    roles: NewRolesArgument,
    root: RootOption = _HERE,
    config: ConfigOption = None,
    is_enabled: Annotated[bool, typer.Option("--enable", help="Start them at boot, too.", show_default=False)] = False,
    is_started: Annotated[bool, typer.Option("--start", help="Start them now, too.", show_default=False)] = False,
) -> None:
    """Make the accounts, the configuration and the unit files of roles; needs root."""
    units = _chosen(roles, root, config)
    made = installation.install(root, units, installation.program_path())
    for one in made:
        print_line(f"made {one}")
    if not made:
        print_line("everything is there already")
    systemd = Systemd(root)
    systemd.reload()
    if is_enabled:
        systemd.enable(_files(units))
        print_line(f"enabled {', '.join(_files(units))}")
    if is_started:
        systemd.control("start", _files(units))
        print_line(f"started {', '.join(_files(units))}")


def uninstall(roles: RolesArgument = None, root: RootOption = _HERE, config: ConfigOption = None) -> None:
    """Stop and disable roles and remove their unit files; data, configuration and accounts stay."""
    units = _chosen(roles, root, config)
    systemd = Systemd(root)
    if systemd.is_running:
        systemd.control("stop", _files(units))
    systemd.disable(_files(units))
    for one in installation.uninstall(root, units):
        print_line(f"removed {one}")
    systemd.reload()


def enable(roles: RolesArgument = None, root: RootOption = _HERE, config: ConfigOption = None) -> None:
    """Start services at boot."""
    units = _chosen(roles, root, config)
    Systemd(root).enable(_files(units))
    print_line(f"enabled {', '.join(_files(units))}")


def disable(roles: RolesArgument = None, root: RootOption = _HERE, config: ConfigOption = None) -> None:
    """No longer start services at boot; what runs goes on."""
    units = _chosen(roles, root, config)
    Systemd(root).disable(_files(units))
    print_line(f"disabled {', '.join(_files(units))}")


def status(
    roles: RolesArgument = None, root: RootOption = _HERE, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show services; exit code 1 when one is not as it should be."""
    states = Systemd(root).states(_files(_chosen(roles, root, config)))
    if as_json:
        print_json({"ok": all(state.reason is None for state in states), "services": [s.as_json() for s in states]})
    else:
        print_table(
            ("service", "at boot", "state", "pid", "restarts", "since (UTC)", "detail"),
            [_row(state) for state in states],
        )
    if any(state.reason for state in states):
        raise typer.Exit(1)


def _control(verb: str) -> Callable[..., None]:
    def control(roles: RolesArgument = None, root: RootOption = _HERE, config: ConfigOption = None) -> None:
        units = _chosen(roles, root, config)
        Systemd(root).control(verb, _files(units))
        print_line(f"{_DONE[verb]} {', '.join(_files(units))}")

    return control


def _chosen(roles: list[str] | None, root: Path, config: Path | None) -> list[Unit]:
    """The units of these roles, or those that this node has. NotFoundError when it has none."""
    if roles:
        return installation.units_of(roles, has_external_database=_has_external_database(root, config))
    units = installation.installed_units(root)
    if not units:
        raise NotFoundError(f"service: no role is installed here; `ringfence service install` with {', '.join(ROLES)}")
    return units


def _has_external_database(root: Path, config: Path | None) -> bool:
    """By the settings that the services will have: the file and what systemd reads beside it."""
    file = config or root / CONFIGURATION.lstrip("/")
    told = {**os.environ, **installation.service_environment(root)}
    return load_settings(file if config or file.exists() else None, told).database.url is not None


def _files(units: list[Unit]) -> list[str]:
    return [unit.file for unit in units]


def _row(state: UnitState) -> tuple[object, ...]:
    since = f"{state.since:%Y-%m-%d %H:%M:%S}" if state.since else ""
    restarts = state.restarts or None
    return (state.name, state.is_enabled, state.active, state.pid, restarts, since, state.reason or state.status)
