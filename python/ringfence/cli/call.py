"""`ringfence call`: one recorded call; its SIP messages, asked of the probe that saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.analytics.cursor import parse_call_name
from ringfence.cli.client import connect
from ringfence.cli.export_file import write_export
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.client import Client


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="One recorded call.", no_args_is_help=True)
    group.callback()(_group)
    group.command("ladder")(ladder)
    app.add_typer(group, name="call")


def _group() -> None:
    """One recorded call."""


def ladder(
    call: Annotated[str, typer.Argument(metavar="CALL", help="`id` of a call, or a Call-ID: its newest call.")],
    pcap: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the messages as a capture.", show_default=False)
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the messages as text.", show_default=False)
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the ladder as a drawing.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show the SIP messages of CALL; where its probe cannot give them, say why and show what the record has."""
    with connect(settings_from(config, data)) as client:
        path = f"events/{_id_of(client, call)}"
        files = [(f"{path}/messages.pcap", pcap), (f"{path}/messages.txt", text), (f"{path}/ladder.svg", svg)]
        wanted = [(source, file) for source, file in files if file is not None]
        for source, file in wanted:
            write_export(client, source, {}, file)
        if wanted and not as_json:
            return
        found = client.get(f"{path}/ladder")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _id_of(client: Client, call: str) -> str:
    """The `id` that was given, or that of the newest call of a Call-ID."""
    try:
        parse_call_name(call)
    except InvalidInputError:
        pass
    else:
        return call
    calls = client.get("events", dataset="sip", call_id=call, limit=1)["calls"]
    if not calls:
        raise NotFoundError(f"call: no call with the Call-ID {call!r} is recorded")
    return str(calls[0]["id"])


def _print(found: dict[str, Any]) -> None:
    steps = found["steps"]
    begin = steps[0]["time_us"] if steps else 0
    print_table(
        ("seconds", "from", "to", "message"),
        [
            (
                f"{(step['time_us'] - begin) / 1e6:.6f}",
                step["source"],
                step["destination"],
                f"{step['label']} {step['note']}".strip(),
            )
            for step in steps
        ],
    )
    if found["left_out"]:
        print_line(f"{found['left_out']:,} more messages are left out")
    if found["state"] != "shown":
        print_line(f"{found['says']} Above: what the record has.", "yellow")
