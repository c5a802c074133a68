"""`ringfence list`: entries of dynamic lists, which act at once and without a policy version."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

group = typer.Typer(no_args_is_help=True, help="Entries of the policy's dynamic lists, in force at once.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A list that the policy declares dynamic.")]
Pattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="+12105550100, +1900*, +12105550000-+12105559999 or +1210555????.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="list")


@group.command("add")
def add(
    name: Name,
    pattern: Pattern,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="After 90s, 30m, 2h, 7d; default never.", show_default=False)
    ] = None,
    note: Annotated[str, typer.Option(help="Why, kept with the entry.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Put PATTERN on list NAME, on every device at once. A new end or note replaces the old one."""
    body: dict[str, Any] = {"pattern": pattern, "note": note}
    if expires is not None:
        body["lasts_s"] = parse_duration(expires)
    with connect(settings_from(config, data)) as client:
        entry = client.post(_path(name), body)
    if as_json:
        print_json(entry)
    else:
        end = f"until {_time(entry['expires_at'])} UTC" if entry["expires_at"] else "until it is removed"
        print_line(f"{entry['pattern']} is on list {name} {end}.")


@group.command("remove")
def remove(name: Name, pattern: Pattern, config: ConfigOption = None, data: DataOption = None) -> None:
    """Take PATTERN off list NAME, on every device at once."""
    with connect(settings_from(config, data)) as client:
        client.request("DELETE", _path(name), params={"pattern": pattern})
    print_line(f"{pattern} is not on list {name}.")


@group.command("show")
def show(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, from the newest.")] = 1000,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show the entries that act now, newest first."""
    with connect(settings_from(config, data)) as client:
        entries = client.get(_path(name), limit=limit)["entries"]
    if as_json:
        print_json(entries)
        return
    print_table(
        ("pattern", "expires (UTC)", "origin", "added (UTC)", "note"),
        [(e["pattern"], _time(e["expires_at"]), e["origin"], _time(e["added_at"]), e["note"]) for e in entries],
    )


def parse_duration(text: str) -> int:
    """Seconds of `90s`, `30m`, `2h`, `7d`. InvalidInputError."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise InvalidInputError(f"--expires: {text!r} is not a duration; expected such as 90s, 30m, 2h or 7d")
    return int(match[1]) * _UNITS_S[match[2]]


def _path(name: str) -> str:
    return f"lists/{quote(name, safe='')}/entries"


def _time(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if text else None
