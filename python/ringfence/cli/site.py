"""`ringfence site`: places with a country, a dial plan and number ranges of their own."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="Sites; what is edited acts with the next commit of the policy.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The site's name, which is its identity.")]
OwnRanges = Annotated[
    list[str] | None,
    typer.Option("--own", metavar="PATTERN", help="The site's own numbers; repeat for more, '' for none.",
                 show_default=False),
]  # fmt: skip
NationalPrefix = Annotated[
    str | None,
    typer.Option(metavar="DIGITS", help="Before national numbers, if not the country's.", show_default=False),
]
InternationalPrefixes = Annotated[
    list[str] | None,
    typer.Option("--international-prefix", metavar="DIGITS", help="Before numbers abroad.", show_default=False),
]
LocalPrefix = Annotated[
    str | None, typer.Option(metavar="DIGITS", help="Area code that local numbers lack.", show_default=False)
]
LocalLengths = Annotated[
    list[int] | None, typer.Option("--local-length", help="Digits of local numbers.", show_default=False)
]
ExtensionLengths = Annotated[
    list[int] | None, typer.Option("--extension-length", help="Digits of extensions.", show_default=False)
]
Note = Annotated[str | None, typer.Option(help="A note.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="site")


@group.command("list")
def list_sites(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List sites."""
    with connect(settings_from(config, data)) as client:
        found = client.get("sites")["sites"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("site", "country", "own ranges", "devices", "note"),
        [(s["name"], s["country"], ", ".join(s["own_ranges"]), s["devices"], s["note"]) for s in found],
    )


@group.command("show")
def show(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show a site and the dial plan that results."""
    with connect(settings_from(config, data)) as client:
        site = client.get(_path(name))
    _say(site, as_json)


@group.command("add")
def add(
    name: Name,
    country: Annotated[str, typer.Option(help="ISO 3166 code, such as US.")],
    own: OwnRanges = None,
    national_prefix: NationalPrefix = None,
    international_prefix: InternationalPrefixes = None,
    local_prefix: LocalPrefix = None,
    local_length: LocalLengths = None,
    extension_length: ExtensionLengths = None,
    note: Note = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a site."""
    body = _fields(
        country, own, national_prefix, international_prefix, local_prefix, local_length, extension_length, note
    )
    with connect(settings_from(config, data)) as client:
        site = client.post("sites", body | {"name": name})
    _say(site, as_json)


@group.command("edit")
def edit(
    name: Name,
    country: Annotated[str | None, typer.Option(help="ISO 3166 code.", show_default=False)] = None,
    own: OwnRanges = None,
    national_prefix: NationalPrefix = None,
    international_prefix: InternationalPrefixes = None,
    local_prefix: LocalPrefix = None,
    local_length: LocalLengths = None,
    extension_length: ExtensionLengths = None,
    note: Note = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Change what the options name; it acts with the next commit of the policy."""
    body = _fields(
        country, own, national_prefix, international_prefix, local_prefix, local_length, extension_length, note
    )
    with connect(settings_from(config, data)) as client:
        site = client.request("PATCH", _path(name), json=body)
    _say(site, as_json)


@group.command("remove")
def remove(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """Remove a site where no device stands."""
    with connect(settings_from(config, data)) as client:
        client.delete(_path(name))
    print_line(f"Site {name} removed.")


def _fields(
    country: str | None,
    own: list[str] | None,
    national_prefix: str | None,
    international_prefix: list[str] | None,
    local_prefix: str | None,
    local_length: list[int] | None,
    extension_length: list[int] | None,
    note: str | None,
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "country": country,
        "own_ranges": [pattern for pattern in own if pattern] if own else None,
        "national_prefix": national_prefix,
        "international_prefixes": international_prefix or None,
        "local_prefix": local_prefix,
        "local_lengths": local_length or None,
        "extension_lengths": extension_length or None,
        "note": note,
    }
    return {field: value for field, value in given.items() if value is not None}


def _say(site: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(site)
        return
    facts = {"site": site["name"], "country": site["country"], "own_ranges": site["own_ranges"], **site["plan"]}
    print_table(
        ("", ""),
        [
            (field.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else value)
            for field, value in (facts | {"devices": site["devices"], "note": site["note"]}).items()
        ],
    )


def _path(name: str) -> str:
    return f"sites/{quote(name, safe='')}"
