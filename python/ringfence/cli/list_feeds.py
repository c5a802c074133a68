"""`ringfence list feed`: lists fed from a URL."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

feed_group = typer.Typer(no_args_is_help=True, help="Static lists fed from a URL.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A static list.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `ringfence list`."""
    group.add_typer(feed_group, name="feed")


@feed_group.command("set")
def set_feed(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="https://…, http://… or file:///…")],
    every: Annotated[int, typer.Option(metavar="MINUTES", min=1, max=43_200, help="How often.")] = 60,
    numbers: Annotated[bool, typer.Option("--numbers", help="One number a line, not CSV.", show_default=False)] = False,
    checksum: Annotated[
        str | None, typer.Option(metavar="URL", help="A file with its SHA-256.", show_default=False)
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Install each change.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Feed a list from a URL, and fetch it now: each new file replaces the entries. For administrators."""
    body = {
        "url": url,
        "format": "numbers" if numbers else "csv",
        "every_s": every * 60,
        "checksum_url": checksum,
        "installs": install,
    }
    with connect(settings_from(config, data)) as client:
        client.request("PUT", _path(name), json=body)
        feed = client.post(f"{_path(name)}/fetch")
    _show(feed, as_json)


@feed_group.command("show")
def show(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Where a list comes from, and how the last attempt went."""
    with connect(settings_from(config, data)) as client:
        _show(client.get(_path(name)), as_json)


@feed_group.command("fetch")
def fetch(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Fetch now."""
    with connect(settings_from(config, data)) as client:
        _show(client.post(f"{_path(name)}/fetch"), as_json)


@feed_group.command("remove")
def remove(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """Stop feeding a list; its entries stay."""
    with connect(settings_from(config, data)) as client:
        client.delete(_path(name))
    print_line(f"List {name} is not fed any more.")


def _show(feed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(feed)
        return
    state = "never fetched" if feed["fetched_at"] is None else f"good at {_time(feed['fetched_at'])} UTC"
    print_table(
        ("list", "url", "every", "state", "last error"),
        [(feed["name"], feed["url"], f"{feed['every_s'] // 60} min", state, feed["error"])],
    )


def _path(name: str) -> str:
    return f"lists/{quote(name, safe='')}/feed"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
