"""`ringfence alert channel`: how alerts get out."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError, UnavailableError

group = typer.Typer(no_args_is_help=True, help="E-mail, syslog, webhooks and SNMP traps that tell of alerts.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a channel.")]


@group.command("list")
def list_channels(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """All channels, what they want, what waits for them and whether they fail."""
    with connect(settings_from(config, data)) as client:
        channels = client.get("alert_channels")
    if as_json:
        print_json(channels)
        return
    print_table(
        ("name", "kind", "enabled", "to", "from severity", "detections", "waiting", "fault"),
        [
            (one["name"], one["kind"], one["enabled"], _place(one), one["minimum_severity"],
             ", ".join(one["detections"]) or "all", one["waiting"], one["fault"])
            for one in channels
        ],
    )  # fmt: skip


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A channel of the same name is replaced.")],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="email, syslog, webhook or snmp.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the kind; recipients separated by commas."),
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME=VARIABLE", help="A secret, from an environment variable; `-`: stdin."),
    ] = None,
    severity: Annotated[str, typer.Option(help="At least: info, warning, critical.")] = "info",
    detection: Annotated[
        list[str] | None, typer.Option(help="Only of this detection; may be repeated.", show_default="all")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Keep it, but send nothing.")] = False,
    closing: Annotated[bool, typer.Option("--closing", help="Say too when an alert is closed.")] = False,
    per_minute: Annotated[int, typer.Option(help="Most messages a minute.")] = 10,
    group_s: Annotated[int, typer.Option(help="Further alerts of a detection within it are one message.")] = 60,
    renew_secret: Annotated[bool, typer.Option("--renew-secret", help="A new secret for a webhook.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a channel, or replace one; secrets that are not given stay. A webhook's secret is printed once."""
    body = {
        "kind": kind,
        "settings": dict(_setting(text) for text in settings or ()),
        "secrets": dict(_secret(text) for text in secrets or ()),
        "minimum_severity": severity,
        "detections": detection or [],
        "enabled": not off,
        "sends_closing": closing,
        "per_minute": per_minute,
        "group_s": group_s,
        "renew_secret": renew_secret,
    }
    with connect(settings_from(config, data)) as client:
        kept = client.request("PUT", _path(name), json=body)
    if as_json:
        print_json(kept)
        return
    print_line(f"{name}: {kept['kind']} to {_place(kept)}")
    if kept["secret"]:
        print_line(f"Its secret, shown only now: {kept['secret']}")
    if kept.get("engine_id") and kept["settings"].get("version") == "3":
        print_line(f"Its engine id, for the receiver: 0x{kept['engine_id']}")


@group.command("remove")
def remove(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Tell it nothing more."""
    with connect(settings_from(config, data)) as client:
        client.delete(_path(name))
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"{name}: removed")


@group.command("test")
def send_test(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Send a test message now; exit code 6 when it cannot be sent."""
    with connect(settings_from(config, data)) as client:
        tested = client.post(f"{_path(name)}/test")
    if as_json:
        print_json(tested)
    if not tested["sent"]:
        raise UnavailableError(f"channel {name!r}: {tested['words']}")
    if not as_json:
        print_line(f"{name}: {tested['words']}")


def _setting(text: str) -> tuple[str, Any]:
    name, is_given, value = text.partition("=")
    if not is_given:
        raise InvalidInputError(f"--set: {text!r} must be NAME=VALUE")
    return name, [one.strip() for one in value.split(",")] if name == "recipients" else value


def _secret(text: str) -> tuple[str, str]:
    """Never on the command line itself, which others on the machine can see."""
    name, _, variable = text.partition("=")
    value = sys.stdin.readline().rstrip("\n") if variable == "-" else os.environ.get(variable)
    if not value:
        raise InvalidInputError(f"--secret: {name}: environment variable {variable!r} is not set; `-` reads from stdin")
    return name, value


def _place(channel: dict[str, Any]) -> str:
    settings = channel["settings"]
    if channel["kind"] == "email":
        return ", ".join(settings["recipients"])
    return str(settings.get("url") or f"{settings['host']}:{settings['port']}")


def _path(name: str) -> str:
    return f"alert_channels/{quote(name, safe='')}"
