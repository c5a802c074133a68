"""`ringfence list`: lists of numbers. Static ones act by policy versions, dynamic ones at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli import list_feeds, list_files
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

group = typer.Typer(no_args_is_help=True, help="Lists of numbers: what is on them, files in and out, feeds.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A list.")]
Pattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="+12105550100, +1900*, +12105550000-+12105559999 or +1210555????.")
]
Seen = Annotated[
    int | None,
    typer.Option("--revision", min=0, help="What you looked at; refused when it is another.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    list_files.add_to(group)
    list_feeds.add_to(group)
    app.add_typer(group, name="list")


@group.command("all")
def all_lists(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Every list: static, dynamic, and inline ones of the installed policy."""
    with connect(settings_from(config, data)) as client:
        lists = client.get("lists")["lists"]
    if as_json:
        print_json(lists)
        return
    print_table(
        ("name", "kind", "entries", "revision", "in force", "changed (UTC)", "by", "note"),
        [
            (
                *(one["name"], one["kind"], one["entries"], one["revision"] or None, _in_force(one)),
                *(_time(one["changed_at"]), one["changed_by"], one["note"]),
            )
            for one in lists
        ],
    )


@group.command("create")
def create(
    name: Name,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Entries act at once.", show_default=False)] = False,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make an empty list; rules name it `list:NAME`."""
    body = {"name": name, "kind": "dynamic" if dynamic else "static", "note": note}
    with connect(settings_from(config, data)) as client:
        made = client.post("lists", body)
    _show(made, as_json, f"List {made['name']} is made ({made['kind']}); rules name it list:{made['name']}.")


@group.command("delete")
def delete(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """Take a list away; versions keep what they had of it."""
    with connect(settings_from(config, data)) as client:
        client.delete(list_path(name))
    print_line(f"List {name} is deleted.")


@group.command("add")
def add(
    name: Name,
    pattern: Pattern,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="After 90s, 30m, 2h, 7d, or at 2026-12-31T18:00Z.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option(help="Why, kept with the entry.")] = "",
    seen: Seen = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Put PATTERN on list NAME. A new end or note replaces the old one. A dynamic list acts on every device at once."""
    body: dict[str, Any] = {"pattern": pattern, "note": note, "seen": seen} | _end(expires)
    with connect(settings_from(config, data)) as client:
        entry = client.post(f"{list_path(name)}/entries", body)
    end = f"until {_time(entry['expires_at'])} UTC" if entry["expires_at"] else "until it is removed"
    _show(entry, as_json, f"{entry['pattern']} is on list {name} {end}{_when(entry)}.")


@group.command("remove")
def remove(
    name: Name, pattern: Pattern, seen: Seen = None, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Take PATTERN off list NAME; off a dynamic one on every device at once."""
    parameters: dict[str, Any] = {"pattern": pattern} | ({"seen": seen} if seen is not None else {})
    with connect(settings_from(config, data)) as client:
        client.request("DELETE", f"{list_path(name)}/entries", params=parameters)
    print_line(f"{pattern} is not on list {name}.")


@group.command("show")
def show(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 1000,
    revision: Annotated[
        int | None, typer.Option(min=0, help="A static list as it was then.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show the entries: a static list's by number, a dynamic one's that act now, newest first."""
    with connect(settings_from(config, data)) as client:
        page = client.get(f"{list_path(name)}/entries", limit=limit, revision=revision)
    _print_entries(page, as_json)


@group.command("search")
def search(
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A number, the start of a pattern, or part of a note.")],
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Find entries: under which +NUMBER falls, whose pattern begins with TEXT*, or whose note holds TEXT."""
    wanted = {"note": text}
    if re.fullmatch(r"\+[1-9][0-9]{1,14}", text):
        wanted = {"number": text}
    elif text.startswith("+"):
        wanted = {"pattern": text.removesuffix("*")}
    with connect(settings_from(config, data)) as client:
        page = client.get(f"{list_path(name)}/entries", limit=limit, **wanted)
    _print_entries(page, as_json)


@group.command("history")
def history(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show the changes of a static list, newest first."""
    with connect(settings_from(config, data)) as client:
        revisions = client.get(list_path(name))["revisions"]
    if as_json:
        print_json(revisions)
        return
    print_table(
        ("revision", "at (UTC)", "by", "what", "added", "removed", "changed", "entries"),
        [
            (r["revision"], _time(r["at"]), r["actor"], r["what"], r["added"], r["removed"], r["changed"], r["entries"])
            for r in revisions
        ],
    )


def parse_duration(text: str) -> int:
    """Seconds of `90s`, `30m`, `2h`, `7d`. InvalidInputError."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise InvalidInputError(f"--expires: {text!r} is not a duration; expected such as 90s, 30m, 2h or 7d")
    return int(match[1]) * _UNITS_S[match[2]]


def list_path(name: str) -> str:
    """Where the API has a list."""
    return f"lists/{quote(name, safe='')}"


def _end(expires: str | None) -> dict[str, Any]:
    if expires is None:
        return {}
    if "-" not in expires:
        return {"lasts_s": parse_duration(expires)}
    try:
        end = datetime.fromisoformat(expires)
    except ValueError:
        raise InvalidInputError(
            f"--expires: {expires!r} is no time; expected such as 2h, 7d or 2026-12-31T18:00Z"
        ) from None
    return {"expires_at": (end if end.tzinfo else end.replace(tzinfo=UTC)).isoformat()}


def _when(entry: dict[str, Any]) -> str:
    return "" if entry["acts"] == "at_once" else f" (revision {entry['revision']}; acts once committed and installed)"


def _in_force(one: dict[str, Any]) -> str:
    if not one["is_installed"]:
        return "no"
    return "older revision" if one["is_pending"] else "yes"


def _print_entries(page: dict[str, Any], as_json: bool) -> None:
    entries = page["entries"]
    if as_json:
        print_json(entries)
        return
    print_table(
        ("pattern", "expires (UTC)", "origin", "added (UTC)", "note"),
        [(e["pattern"], _time(e["expires_at"]), e["origin"], _time(e["added_at"]), e["note"]) for e in entries],
    )
    if page["after"] is not None:
        print_line("… and more: --limit, or `ringfence list export`.")


def _show(answer: dict[str, Any], as_json: bool, said: str) -> None:
    if as_json:
        print_json(answer)
    else:
        print_line(said)


def _time(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if text else None
