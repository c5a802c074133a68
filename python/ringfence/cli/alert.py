"""`ringfence alert`: what detections found, and what people did about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli import alert_channel
from ringfence.cli.client import connect
from ringfence.cli.export_file import form_of, write_export
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="Alerts of detections, and the channels that tell of them.")
Number = Annotated[int, typer.Argument(metavar="ALERT", min=1, help="Number of an alert.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group.add_typer(alert_channel.group, name="channel")
    app.add_typer(group, name="alert")


@group.command("list")
def list_alerts(
    state: Annotated[
        str | None, typer.Option(help="open, acknowledged, closed or unclosed.", show_default=False)
    ] = None,
    severity: Annotated[str | None, typer.Option(help="At least: info, warning, critical.", show_default=False)] = None,
    detection: Annotated[str | None, typer.Option(help="Of one detection.", show_default=False)] = None,
    text: Annotated[
        str | None, typer.Option(help="Anywhere in detection, key and numbers.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Alerts, newest first."""
    asked = {"state": state, "severity": severity, "detection": detection, "text": text, "limit": limit}
    with connect(settings_from(config, data)) as client:
        found = client.get("alerts", **{name: value for name, value in asked.items() if value is not None})
    if as_json:
        print_json(found["alerts"])
        return
    print_table(
        ("alert", "severity", "state", "what", "value", "peak", "last seen"),
        [
            (one["id"], one["severity"], one["state"], one["headline"], f"{one['value']:g}", f"{one['peak']:g}",
             _moment(one["seen_at"]))
            for one in found["alerts"]
        ],
    )  # fmt: skip


@group.command("show")
def show(alert: Number, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """One alert: what happened, what was contained, who did what."""
    with connect(settings_from(config, data)) as client:
        found = client.get(f"alerts/{alert}")
    if as_json:
        print_json(found)
        return
    print_line(f"{found['headline']}  [{found['severity']}, {found['state']}]", style="bold")
    for line in found["words"]:
        print_line(line)
    if found["contained"]:
        print_table(
            ("list", "entry", "until"),
            [(one["list"], one["pattern"], _moment(one["expires_at"])) for one in found["contained"]],
        )
    print_table(
        ("at", "who", "what", "words"),
        [(_moment(one["at"]), one["actor"], one["kind"].replace("_", " "), one["words"]) for one in found["timeline"]],
    )


@group.command("acknowledge")
def acknowledge(
    alert: Number, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Say that you look after it."""
    with connect(settings_from(config, data)) as client:
        _said(client.post(f"alerts/{alert}/acknowledge"), "acknowledged", as_json)


@group.command("comment")
def comment(
    alert: Number,
    text: Annotated[str, typer.Argument(help="What you have to say.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a comment."""
    with connect(settings_from(config, data)) as client:
        _said(client.post(f"alerts/{alert}/comments", {"text": text}), "commented", as_json)


@group.command("close")
def close(
    alert: Number,
    comment: Annotated[str, typer.Option(help="How it was dealt with.", show_default=False)] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """It is dealt with. Entries that were contained stay until they expire."""
    with connect(settings_from(config, data)) as client:
        _said(client.post(f"alerts/{alert}/close", {"comment": comment}), "closed", as_json)


@group.command("export")
def export(
    alert: Number,
    file: Annotated[Path, typer.Argument(help="Ends in .json (all of it) or .csv (the calls).")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write the evidence that was kept with an alert."""
    form = form_of(file, ("json", "csv"))
    with connect(settings_from(config, data)) as client:
        write_export(client, f"alerts/{alert}/evidence", {"format": form}, file)


def _said(alert: dict[str, Any], word: str, as_json: bool) -> None:
    if as_json:
        print_json(alert)
    else:
        print_line(f"alert {alert['id']}: {word}")


def _moment(text: str | None) -> str | None:
    return f"{text[:19].replace('T', ' ')} UTC" if text else None
