"""`ringfence policy rule`: the draft's rules, one at a time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.draft_edit import (
    AfterOption,
    BeforeOption,
    FirstOption,
    RevisionOption,
    draft_path,
    place_of,
    say_edit,
    send,
)
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError
from ringfence.policy.yaml_reader import write_yaml

group = typer.Typer(no_args_is_help=True, help="Rules of the draft; they act once it is committed and installed.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The rule's name, which is its identity.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="MATCHER", help="+1900*, list:NAME, class:anonymous …; repeat for more.", show_default=False
    ),
]
Destinations = Annotated[
    list[str] | None,
    typer.Option("--destination", metavar="MATCHER", help="Likewise of the called number.", show_default=False),
]
Sites = Annotated[
    list[str] | None, typer.Option("--site", help="Only at this site; repeat for more.", show_default=False)
]
Devices = Annotated[
    list[str] | None, typer.Option("--device", help="Only on this device; repeat for more.", show_default=False)
]
Direction = Annotated[str | None, typer.Option(help="any, inbound, outbound or internal.", show_default=False)]
Mode = Annotated[str | None, typer.Option(help="enforce, monitor or off.", show_default=False)]
Target = Annotated[str | None, typer.Option(metavar="NUMBER", help="Where a redirect goes.", show_default=False)]
Schedule = Annotated[str | None, typer.Option(help="Name of a schedule; '' for always.", show_default=False)]
Rate = Annotated[
    str | None,
    typer.Option(metavar="N/SECONDS/KEY", help="Above N calls in so many seconds per source, destination or pair.",
                 show_default=False),
]  # fmt: skip
Track = Annotated[str | None, typer.Option(help="log or alert.", show_default=False)]
Note = Annotated[str | None, typer.Option(help="Why.", show_default=False)]


@group.command("list")
def list_rules(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List the draft's rules in their order."""
    with connect(settings_from(config, data)) as client:
        answer = client.get(draft_path("rules"))
    if as_json:
        print_json(answer)
        return
    print_table(
        ("", "rule", "mode", "direction", "sources", "destinations", "action", "only at", "note"),
        [_row(place, one["body"]) for place, one in enumerate(answer["objects"], 1)],
    )


@group.command("show")
def show(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Print one rule."""
    with connect(settings_from(config, data)) as client:
        answer = client.get(draft_path("rules", name))
    if as_json:
        print_json(answer)
    else:
        print_line(write_yaml(answer["body"]).rstrip())


@group.command("add")
def add(
    name: Name,
    action: Annotated[str, typer.Option(help="allow, terminate or redirect.")],
    source: Sources = None,
    destination: Destinations = None,
    direction: Direction = None,
    mode: Mode = None,
    target: Target = None,
    site: Sites = None,
    device: Devices = None,
    schedule: Schedule = None,
    rate: Rate = None,
    track: Track = None,
    note: Note = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    first: FirstOption = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a rule; without a place it comes last."""
    fields = _fields(action, source, destination, direction, mode, target, site, device, schedule, rate, track, note)
    body = {"name": name, "body": {field: value for field, value in fields.items() if value is not None}}
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "POST", draft_path("rules"), body | place_of(before, after, first), revision), as_json)


@group.command("edit")
def edit(
    name: Name,
    action: Annotated[str | None, typer.Option(help="allow, terminate or redirect.", show_default=False)] = None,
    source: Sources = None,
    destination: Destinations = None,
    any_source: Annotated[bool, typer.Option("--any-source", help="Any caller.", show_default=False)] = False,
    any_destination: Annotated[
        bool, typer.Option("--any-destination", help="Any called number.", show_default=False)
    ] = False,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="At all sites, on all devices.", show_default=False)
    ] = False,
    direction: Direction = None,
    mode: Mode = None,
    target: Target = None,
    site: Sites = None,
    device: Devices = None,
    schedule: Schedule = None,
    rate: Rate = None,
    track: Track = None,
    note: Note = None,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Change what the options name; an empty text takes a field back."""
    fields = _fields(action, source, destination, direction, mode, target, site, device, schedule, rate, track, note)
    if action is not None and action != "redirect":
        fields["target"] = None
    taken_back = (
        (["sources"] if any_source else [])
        + (["destinations"] if any_destination else [])
        + (["sites", "devices"] if everywhere else [])
    )
    with connect(settings_from(config, data)) as client:
        changes = {"fields": fields | dict.fromkeys(taken_back)}
        say_edit(send(client, "PATCH", draft_path("rules", name), changes, revision), as_json)


@group.command("move")
def move(
    name: Name,
    before: BeforeOption = None,
    after: AfterOption = None,
    first: FirstOption = False,
    last: Annotated[bool, typer.Option("--last", help="Stand last.", show_default=False)] = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Give a rule another place in the order."""
    if sum((before is not None, after is not None, first, last)) != 1:
        raise InvalidInputError("name one place: --before RULE, --after RULE, --first or --last")
    with connect(settings_from(config, data)) as client:
        place = place_of(before, after, first)
        say_edit(send(client, "POST", draft_path("rules", name, "/move"), place, revision), as_json)


@group.command("copy")
def copy(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME")],
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Copy a rule; the copy stands right after it."""
    with connect(settings_from(config, data)) as client:
        answer = send(client, "POST", draft_path("rules", name, "/copy"), {"name": new_name}, revision)
    say_edit(answer, as_json)


@group.command("enable")
def enable(
    name: Name, revision: RevisionOption = None, as_json: JsonOption = False, config: ConfigOption = None,
    data: DataOption = None,
) -> None:  # fmt: skip
    """Let a rule decide (mode enforce)."""
    edit(name, mode="enforce", revision=revision, as_json=as_json, config=config, data=data)


@group.command("disable")
def disable(
    name: Name, revision: RevisionOption = None, as_json: JsonOption = False, config: ConfigOption = None,
    data: DataOption = None,
) -> None:  # fmt: skip
    """Let a rule be skipped (mode off)."""
    edit(name, mode="off", revision=revision, as_json=as_json, config=config, data=data)


@group.command("remove")
def remove(
    name: Name, revision: RevisionOption = None, as_json: JsonOption = False, config: ConfigOption = None,
    data: DataOption = None,
) -> None:  # fmt: skip
    """Remove a rule from the draft."""
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "DELETE", draft_path("rules", name), {}, revision), as_json)


def _fields(
    action: str | None,
    source: list[str] | None,
    destination: list[str] | None,
    direction: str | None,
    mode: str | None,
    target: str | None,
    site: list[str] | None,
    device: list[str] | None,
    schedule: str | None,
    rate: str | None,
    track: str | None,
    note: str | None,
) -> dict[str, Any]:
    """What the options say; fields that none names are left out, those named empty are None."""
    given: dict[str, Any] = {
        "action": action,
        "sources": source or None,
        "destinations": destination or None,
        "direction": direction,
        "mode": mode,
        "target": target,
        "sites": site or None,
        "devices": device or None,
        "schedule": schedule,
        "rate": rate,
        "track": track,
        "note": note,
    }
    named = {field: value for field, value in given.items() if value is not None}
    if named.get("rate"):
        named["rate"] = _parse_rate(str(rate))
    return {field: value if value != "" else None for field, value in named.items()}


def _parse_rate(text: str) -> dict[str, Any]:
    parts = text.split("/")
    if len(parts) != 3 or not parts[0].isdecimal() or not parts[1].isdecimal():
        raise InvalidInputError(f"--rate: {text!r} is no rate; expected such as 10/60/source: over 10 calls in 60 s")
    return {"limit": int(parts[0]), "window_s": int(parts[1]), "key": parts[2]}


def _row(place: int, rule: dict[str, Any]) -> tuple[object, ...]:
    action = f"{rule['action']} to {rule['target']}" if "target" in rule else rule["action"]
    return (
        place,
        rule["name"],
        rule.get("mode", "enforce"),
        rule.get("direction", "any"),
        _few(rule.get("sources", []), "any"),
        _few(rule.get("destinations", []), "any"),
        action,
        _few([*rule.get("sites", []), *rule.get("devices", [])], ""),
        rule.get("note"),
    )


def _few(values: list[Any], none: str) -> str:
    return ", ".join(map(str, values[:3])) + (f" and {len(values) - 3} more" if len(values) > 3 else "") or none
