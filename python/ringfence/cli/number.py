"""`ringfence number`: what a number is to a site; all that is kept about one, told or erased."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Telephone numbers: how a site reads them, what is kept of one.", no_args_is_help=True)
    group.callback()(_group)
    group.command("explain")(explain)
    group.command("export")(export)
    group.command("erase")(erase)
    app.add_typer(group, name="number")


def _group() -> None:
    """Telephone numbers: how a site reads them, what is kept of one."""


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


def export(
    number: Annotated[str, typer.Argument(help="A whole number, such as +12105550123.")],
    format_: Annotated[str, typer.Option("--format", help="json: calls and list entries; csv: calls.")] = "json",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write all that is kept about NUMBER to standard output, for who has a right to it."""
    if format_ not in ("json", "csv"):
        raise InvalidInputError(f"--format: {format_!r} is not one of json, csv")
    with connect(settings_from(config, data)) as client:
        found = client.post("number_records/export", {"number": number})
    if format_ == "json":
        print_json(found)
        return
    columns = ("time", "dataset", "device", "source", "destination", "direction", "action", "result", "rule")
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    # A cell that a spreadsheet would run (CWE-1236): a number's plus is not such a one.
    writer.writerows({name: _cell(value) for name, value in call.items()} for call in found["calls"])


def erase(
    number: Annotated[str, typer.Argument(help="A whole number, such as +12105550123.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="It cannot be taken back.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Replace NUMBER by a mark in all calls, of archived days too; no figure changes. Says what it cannot reach."""
    if not confirm:
        raise InvalidInputError("erasing cannot be taken back: add --confirm")
    with connect(settings_from(config, data)) as client:
        job = client.post("number_records/erase", {"number": number, "confirm": True})
        done = wait_for_job(client, job, "Erasing")
    if as_json:
        print_json(done)
        return
    print_line(f"{done['enum']:,} queries and {done['sip']:,} calls now have {done['mark']} in its place.")
    if done["files"]:
        print_line(f"So have {done['archived']:,} of archived days, in {done['files']:,} files that were written anew.")
    for entry in done["entries"]:
        print_line(f"List {entry['list']} still has {entry['pattern']}: ringfence list remove", "yellow")
    print_line("What this does not reach:")
    for words in done["left"]:
        print_line(f"  {words}")


def _cell(value: object) -> object:
    text = value if isinstance(value, str) else None
    is_formula = text is not None and text[:1] in "=+-@\t\r" and text and not text.lstrip("+").isdigit()
    return f"'{text}" if is_formula else value
