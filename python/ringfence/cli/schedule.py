"""`ringfence schedule`: the draft's schedules, which rules name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.draft_edit import RevisionOption, draft_path, say_edit, send
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_table

group = typer.Typer(no_args_is_help=True, help="When rules are in force; edited in the draft, like rules.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What rules name.")]
Days = Annotated[
    list[str] | None, typer.Option("--day", help="mon … sun; repeat for more; default every day.", show_default=False)
]
From = Annotated[str | None, typer.Option("--from", metavar="HH:MM", help="Local time.", show_default=False)]
To = Annotated[
    str | None, typer.Option("--to", metavar="HH:MM", help="Local time, to 24:00; before --from: next day.",
                             show_default=False),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="schedule")


@group.command("list")
def list_schedules(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List the draft's schedules."""
    with connect(settings_from(config, data)) as client:
        answer = client.get(draft_path("schedules"))
    if as_json:
        print_json(answer)
        return
    print_table(
        ("schedule", "zone", "days", "from", "to"),
        [
            (
                one["name"],
                one["body"]["zone"],
                " ".join(one["body"].get("days", ["every day"])),
                one["body"].get("from", "00:00"),
                one["body"].get("to", "24:00"),
            )
            for one in answer["objects"]
        ],
    )


@group.command("add")
def add(
    name: Name,
    zone: Annotated[str, typer.Option(help="IANA time zone, such as America/Chicago.")],
    day: Days = None,
    start: From = None,
    end: To = None,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a schedule."""
    body = {"name": name, "body": _fields(zone, day, start, end)}
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "POST", draft_path("schedules"), body, revision), as_json)


@group.command("edit")
def edit(
    name: Name,
    zone: Annotated[str | None, typer.Option(help="IANA time zone.", show_default=False)] = None,
    day: Days = None,
    start: From = None,
    end: To = None,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Change what the options name."""
    fields = {"fields": _fields(zone, day, start, end)}
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "PATCH", draft_path("schedules", name), fields, revision), as_json)


@group.command("remove")
def remove(
    name: Name,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Remove a schedule; refused while a rule names it."""
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "DELETE", draft_path("schedules", name), {}, revision), as_json)


def _fields(zone: str | None, day: list[str] | None, start: str | None, end: str | None) -> dict[str, Any]:
    given = {"zone": zone, "days": day or None, "from": start, "to": end}
    return {field: value for field, value in given.items() if value is not None}
