"""`ringfence analytics`: calls counted over time; below it what has been saved of such questions."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ringfence.analytics.asking import COMPARISONS
from ringfence.analytics.reading import lost_in_words
from ringfence.analytics.views import FILTERS, GROUPINGS, VIEWS
from ringfence.cli import analytics_saved
from ringfence.cli.client import connect
from ringfence.cli.export_file import form_of, write_export
from ringfence.cli.options import ConfigOption, DataOption, FilterOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment, parse_named
from ringfence.errors import InvalidInputError

_BAR_WIDTH = 30


group = typer.Typer(invoke_without_command=True)
analytics_saved.add_to(group)


def register(app: typer.Typer) -> None:
    """Add the command with its group."""
    app.add_typer(group, name="analytics")


@group.callback()
def analytics(
    context: typer.Context,
    view: Annotated[str, typer.Option(help=f"One of {', '.join(VIEWS)}.")] = "average_cps",
    dataset: Annotated[str, typer.Option(help="enum or sip.")] = "enum",
    grouping: Annotated[str, typer.Option(help=f"One of {', '.join(GROUPINGS)}.")] = "hour",
    device: Annotated[str, typer.Option(help="Name of one device, or All.")] = "All",
    since: Annotated[str, typer.Option(help="Begin: so long ago (90s, 24h, 7d) or a time.")] = "24h",
    until: Annotated[str, typer.Option(help="End: so long ago or a time.", show_default="now")] = "0s",
    limit: Annotated[int, typer.Option(help="Ranks of each bucket in a top view.")] = 10,
    zone: Annotated[str, typer.Option(help="Time zone that hours and days follow.")] = "UTC",
    named: FilterOption = None,
    compare: Annotated[
        str | None, typer.Option(help=f"With an earlier period: {', '.join(COMPARISONS)}.", show_default=False)
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the rows to FILE, .csv or .parquet.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Count calls over time: a view of a dataset, by second to week."""
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    now = datetime.now(UTC)
    filters = parse_named("--filter", named)
    for name in filters.keys() - set(FILTERS):
        raise InvalidInputError(f"--filter: {name!r} is not one of {', '.join(FILTERS)}")
    question: dict[str, Any] = {
        "view": view,
        "dataset": dataset,
        "grouping": grouping,
        "device": None if device.casefold() == "all" else device,
        "start": parse_moment("--since", since, now).isoformat(),
        "end": parse_moment("--until", until, now).isoformat(),
        "limit": limit,
        "zone": zone,
        **filters,
    }
    with connect(settings_from(config, data)) as client:
        if export is not None:
            form = form_of(export, ("csv", "parquet"))
            write_export(client, "analytics/export", question | {"format": form}, export)
            return
        answer = client.get("analytics", **question, compare=compare)
    if as_json:
        print_json(answer)
    elif sys.stdout.isatty():
        _print_bars(answer)
    else:
        print_table(answer["columns"], _shown_rows(answer))
    if not as_json and (missing := lost_in_words([date.fromisoformat(day) for day in answer["lost_days"]])):
        print_line(missing, "yellow")
    if not as_json and answer["compared"] is not None:
        _print_change(answer)


def _refuse_options(context: typer.Context, command: str) -> None:
    """What stands in front of a command below would be lost."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise InvalidInputError(f"{parameter.opts[0]}: must stand behind `analytics {command} …`")


def _shown_rows(answer: dict[str, Any]) -> list[list[Any]]:
    """Rows with times in the zone that was asked for, as far as the bucket needs them."""
    try:
        zone = ZoneInfo(answer["zone"])
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    form = "%Y-%m-%d" if answer["grouping"] == "day" else "%Y-%m-%d %H:%M%z"
    return [
        [
            datetime.fromisoformat(row[0]).astimezone(zone).strftime(form) if isinstance(row[0], str) else row[0],
            *(round(value, 3) if isinstance(value, float) else value for value in row[1:]),
        ]
        for row in answer["rows"]
    ]


def _print_bars(answer: dict[str, Any]) -> None:
    columns = answer["columns"]
    measure = columns.index("cps") if "cps" in columns else _measure(columns, answer["rows"])
    rows = _shown_rows(answer)
    highest = max((row[measure] or 0 for row in rows), default=0) or 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        is_number = bool(rows) and isinstance(rows[0][index], int | float)
        table.add_column(column, justify="right" if is_number else "left")
    table.add_column("", style="cyan", no_wrap=True)
    for row in rows:
        figure = row[measure] or 0
        bar = "█" * max(round(figure / highest * _BAR_WIDTH), 1 if figure else 0)
        table.add_row(*(_plain(value) for value in row), bar)
    Console().print(table)
    if not rows:
        Console().print("No calls in this period.", style="dim")


def _print_change(answer: dict[str, Any]) -> None:
    """How the calls of the period stand to those of the earlier one, where the view counts them."""
    earlier = answer["compared"]
    begin = f"{earlier['start']} to {earlier['end']}"
    if "calls" not in answer["columns"]:
        print_line(f"Compared with {begin}: see --json.")
        return
    place = answer["columns"].index("calls")
    now, then = (sum(row[place] or 0 for row in one["rows"]) for one in (answer, earlier))
    change = f" ({(now - then) / then:+.1%})" if then else ""
    print_line(f"{now:,} calls; {then:,} from {begin}{change}")


def _measure(columns: list[str], rows: list[list[Any]]) -> int:
    """Which column the bars show: calls, else the last that holds numbers."""
    if "calls" in columns:
        return columns.index("calls")
    numeric = [index for index in range(1, len(columns)) if any(isinstance(row[index], int | float) for row in rows)]
    return numeric[-1] if numeric else len(columns) - 1


def _plain(value: object) -> str:
    """What came from the network must not steer the terminal, nor rich."""
    text = "".join(character if character.isprintable() else "�" for character in str(value))
    return text.replace("[", r"\[")
