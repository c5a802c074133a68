"""`ringfence policy install` and its like: what acts where, and taking it back."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_duration
from ringfence.errors import InvalidInputError
from ringfence.mediation.client import Client

WAIT_S = 2.0
_POLL_S = 0.05

NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the devices.", show_default=False)]
Site = Annotated[str | None, typer.Option("--site", help="Only on this site's devices.", show_default=False)]
Device = Annotated[str | None, typer.Option("--device", help="Only on this device.", show_default=False)]
KeepExceptions = Annotated[
    bool, typer.Option("--keep-exceptions", help="Leave what sites and devices have of their own.", show_default=False)
]
ConfirmWithin = Annotated[
    str | None,
    typer.Option(
        "--confirm-within",
        metavar="TIME",
        help="Revert by itself unless confirmed in 10m, 90s …; a bare number is minutes.",
        show_default=False,
    ),
]


def install(
    version: Annotated[int, typer.Argument(min=1, help="Also an older one.")],
    site: Site = None,
    device: Device = None,
    staged: Annotated[
        str | None,
        typer.Option("--staged", metavar="DEVICE", help="On this device first, all after go-on.", show_default=False),
    ] = None,
    confirm_within: ConfirmWithin = None,
    keep_exceptions: KeepExceptions = False,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let a version act: on all devices, a site's or one."""
    if staged is not None and (site is not None or device is not None):
        raise InvalidInputError("--staged names the first device itself: leave --site and --device out")
    body: dict[str, Any] = {"version": version, **_scope(site, staged or device, keep_exceptions)}
    if confirm_within is not None:
        body["confirm_within_s"] = parse_duration("--confirm-within", confirm_within).total_seconds()
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/install", body | ({"staged": True} if staged else {}))
        where = _where(site, staged or device)
        finish(client, answer, f"Policy version {version} installed{where}", no_wait, as_json)
    if not as_json:
        _say_next(answer["installation"])


def uninstall(
    site: Site = None,
    device: Device = None,
    keep_exceptions: KeepExceptions = False,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let no policy act: devices answer as their fail mode says."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/uninstall", _scope(site, device, keep_exceptions))
        finish(client, answer, f"Policy uninstalled{_where(site, device)}", no_wait, as_json)


def follow(
    site: Site = None,
    device: Device = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let a device follow its site again, or a site all the others."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/follow", _scope(site, device, False))
        which = f"Device {device}" if device else f"Site {site}"
        finish(client, answer, f"{which} follows the others", no_wait, as_json)


def go_on(
    force: Annotated[
        bool, typer.Option("--force", help="Also when the first device does not enforce it.", show_default=False)
    ] = False,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Install on all what was staged on its first device."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/go-on", {"force": force})
        finish(client, answer, f"Policy version {answer['version']} installed", no_wait, as_json)


def confirm(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Keep an installation that would revert by itself."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/confirm", {})
    if as_json:
        print_json(answer)
        return
    for one in answer["confirmed"]:
        print_line(f"Confirmed: {one['words']}.")


def rollback(
    no_wait: NoWait = False, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Put back what acted before the newest installation; again: before the one before it."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/rollback")
        words = answer["installation"]["words"]
        finish(client, answer, words[0].upper() + words[1:], no_wait, as_json)


def installed(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the log, from the newest.")] = 10,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """What is installed where, what waits to be confirmed or to go on, and what was done last."""
    with connect(settings_from(config, data)) as client:
        state = client.get("policy/installation", limit=limit)
    if as_json:
        print_json(state)
        return
    print_table(
        ("target", "version", "since (UTC)"),
        [(one["target"], one["version"] or "uninstalled", one["since"][:19]) for one in state["targets"]],
    )
    for one in state["unconfirmed"]:
        print_line(f"Not confirmed: {one['words']}; reverts at {one['confirm_by'][:19]} UTC", "yellow")
    if state["staged"]:
        print_line(f"Staged: {state['staged']['words']}; `ringfence policy go-on` installs it on all", "yellow")
    print_line("")
    print_table(
        ("at (UTC)", "who", "what", "outcome"),
        [(one["at"][:19], one["actor"], one["words"], one["outcome"]) for one in state["log"]],
    )


def finish(client: Client, answer: dict[str, Any], said: str, no_wait: bool, as_json: bool) -> None:
    """Wait until the live devices enforce what is now wanted, and say how many do."""
    current, live = _count_devices(client) if no_wait else _wait_for_devices(client)
    if as_json:
        print_json(answer | {"devices_live": live, "devices_current": current})
        return
    if live == 0:
        said += "; no device is connected now."
    elif current == live:
        said += f"; enforced by {'the live device' if live == 1 else f'all {live} live devices'}."
    else:
        said += f"; enforced by {current} of {live} live device{'' if live == 1 else 's'} so far."
    print_line(said)


def _say_next(made: dict[str, Any] | None) -> None:
    if made and made["confirm_by"]:
        print_line(f"It reverts at {made['confirm_by'][:19]} UTC unless `ringfence policy confirm` comes first.")
    if made and made["is_staged"]:
        print_line("`ringfence policy go-on` installs it on all, `ringfence policy rollback` takes it back.")


def _scope(site: str | None, device: str | None, keep_exceptions: bool) -> dict[str, Any]:
    named = {"site": site, "device": device, "keep_exceptions": keep_exceptions}
    return {key: value for key, value in named.items() if value}


def _where(site: str | None, device: str | None) -> str:
    return f" on device {device}" if device else f" on site {site}" if site else ""


def _wait_for_devices(client: Client) -> tuple[int, int]:
    deadline = time.monotonic() + WAIT_S
    while True:
        current, live = _count_devices(client)
        if current == live or time.monotonic() >= deadline:
            return current, live
        time.sleep(_POLL_S)


def _count_devices(client: Client) -> tuple[int, int]:
    """How many devices enforce what they should, and how many are connected."""
    live = [device for device in client.get("devices")["devices"] if device["is_live"]]
    return sum(device["is_current"] for device in live), len(live)
