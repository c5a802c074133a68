"""`ringfence number`: what a number is to a site."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Telephone numbers: how a site's dial plan reads them.", no_args_is_help=True)
    group.callback()(_group)
    group.command("explain")(explain)
    app.add_typer(group, name="number")


def _group() -> None:
    """Telephone numbers: how a site's dial plan reads them."""


def explain(
    number: Annotated[str, typer.Argument(help="A number in any form, or a sip: or tel: URI.")],
    site: Annotated[str | None, typer.Option(help="As this site reads it.", show_default="the first site")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say what NUMBER is to a site: E.164, by which rule, whose, and what kind of call one to it is."""
    with connect(settings_from(config, data)) as client:
        reading = client.get("numbers/explain", number=number, site=site)
    if as_json:
        print_json(reading)
        return
    what = reading["number"] or reading["number_class"].replace("_", " ")
    print_line(f"{what}: {reading['why']}")
    print_table(
        ("", f"site {reading['site']}"),
        [
            ("as written there", reading["national"]),
            ("class", reading["number_class"].replace("_", " ")),
            ("own number", "yes" if reading["is_own"] else "no"),
            ("country", reading["country"]),
            ("region", reading["region"]),
            ("line", reading["line"].replace("_", " ")),
            ("a call to it is", reading["call_type"].replace("_", " ")),
        ],
    )
