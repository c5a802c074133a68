"""`ringfence analytics saved`: views kept under a name, one's own and those that others share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.analytics.asking import COMPARISONS
from ringfence.analytics.time_range import SPANS, iso
from ringfence.analytics.views import FILTERS, GROUPINGS, VIEWS
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, FilterOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment, parse_named
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.client import Client

saved_group = typer.Typer(no_args_is_help=True, help="Views saved under a name, as the console's menu shows them.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a saved view.")]
OwnerOption = Annotated[
    str | None, typer.Option(help="Whose, where another shares one of the same name.", show_default=False)
]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `ringfence analytics`."""
    group.add_typer(saved_group, name="saved")


@saved_group.command("list")
def list_saved(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """One's own, then those that others share."""
    with connect(settings_from(config, data)) as client:
        found = client.get("saved_views")
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "owner", "shared", "view", "dataset", "grouping", "time"),
        [
            (view["name"], view["owner"], view["shared"], words["view"], words.get("dataset", "enum"),
             words.get("grouping", "hour"), _time(words))
            for view in found
            for words in [view["words"]]
        ],
    )  # fmt: skip


@saved_group.command("show")
def show(
    name: Name,
    owner: OwnerOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """What one asks."""
    with connect(settings_from(config, data)) as client:
        view = find_saved(client, name, owner)
    if as_json:
        print_json(view)
        return
    print_table(
        ("field", "value"),
        [("name", view["name"]), ("owner", view["owner"]), ("shared", view["shared"]), *view["words"].items()],
    )


@saved_group.command("save")
def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One's own of the same name is replaced.")],
    view: Annotated[str, typer.Option(help=f"One of {', '.join(VIEWS)}.")] = "average_cps",
    dataset: Annotated[str, typer.Option(help="enum or sip.")] = "enum",
    grouping: Annotated[str, typer.Option(help=f"One of {', '.join(GROUPINGS)}.")] = "hour",
    device: Annotated[str, typer.Option(help="Name of one device, or All.")] = "All",
    span: Annotated[
        str | None,
        typer.Option("--range", help=f"A time that ends when it is asked: {', '.join(SPANS)}.", show_default="24h"),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Instead a time that stays: its begin.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help="Its end.", show_default="now, with --since")] = None,
    named: FilterOption = None,
    compare: Annotated[
        str | None, typer.Option(help=f"With an earlier period: {', '.join(COMPARISONS)}.", show_default=False)
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Show it to everybody.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Keep a view under a name."""
    filters = parse_named("--filter", named)
    for one in filters.keys() - set(FILTERS):
        raise InvalidInputError(f"--filter: {one!r} is not one of {', '.join(FILTERS)}")
    words = {
        "view": view,
        "dataset": dataset,
        "grouping": grouping,
        "device": "" if device.casefold() == "all" else device,
        "compare": compare or "",
        **filters,
        **_time_words(span, since, until),
    }
    with connect(settings_from(config, data)) as client:
        kept = client.request("PUT", _path(name), json={"words": words, "shared": shared})
    if as_json:
        print_json(kept)
    else:
        print_line(f"{name}: saved{', shared with everybody' if shared else ''}")


@saved_group.command("delete")
def delete(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Take one's own away."""
    with connect(settings_from(config, data)) as client:
        client.delete(_path(name))
    if as_json:
        print_json({"deleted": name})
    else:
        print_line(f"{name}: deleted")


def find_saved(client: Client, name: str, owner: str | None) -> dict[str, Any]:
    """A saved view, one's own first. NotFoundError, InvalidInputError when others share several of the name."""
    listed: list[dict[str, Any]] = client.get("saved_views")
    found = [view for view in listed if view["name"] == name and owner in (None, view["owner"])]
    if not found:
        raise NotFoundError(f"saved view {name!r}: there is none; see `ringfence analytics saved list`")
    # One's own stand first; of others' with the same name none is meant more than another.
    me = client.get("session")["name"]
    if len(found) > 1 and found[0]["owner"] != me:
        raise InvalidInputError(f"--owner: {name!r} is shared by {', '.join(view['owner'] for view in found)}")
    return found[0]


def _time_words(span: str | None, since: str | None, until: str | None) -> dict[str, str]:
    if since is None and until is None:
        return {"range": span or "24h"}
    if span is not None or since is None:
        raise InvalidInputError("--range: give either it, or --since with or without --until")
    now = datetime.now(UTC)
    return {
        "start": iso(parse_moment("--since", since, now)),
        "end": iso(parse_moment("--until", until, now) if until is not None else now),
    }


def _time(words: dict[str, str]) -> str:
    return f"{words['start']} – {words['end']}" if "start" in words else words.get("range", "24h")


def _path(name: str) -> str:
    return f"saved_views/{quote(name, safe='')}"
