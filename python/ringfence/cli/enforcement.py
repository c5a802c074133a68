"""`ringfence enforcement`: what ENUM servers decided, beside what probes saw the SBCs do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment

_COLUMNS = ("time", "verdict", "source", "destination", "action", "rule", "enum_device", "result", "device")
_HEADINGS = ("time", "verdict", "source", "destination", "decision", "rule", "asked", "result", "seen by")
_WORDS = {
    "followed": "followed what was decided",
    "ignored": "ignored what was decided",
    "unproven": "cannot be told from what was seen",
    "unasked": "no ENUM server was asked about",
}
_STYLES = {"ignored": "red", "unasked": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("enforcement")(enforcement)


def enforcement(
    verdict: Annotated[
        str | None, typer.Option(help="List only these: ignored, unasked, unproven or followed.", show_default=False)
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Begin: so long ago (15m, 24h) or a time.")] = "1h",
    until: Annotated[str, typer.Option(metavar="TIME", help="End: so long ago or a time.", show_default="now")] = "0s",
    device: Annotated[str, typer.Option(help="By what one probe saw, or All.")] = "All",
    number: Annotated[str | None, typer.Option(help="Source or destination, E.164.", show_default=False)] = None,
    after_s: Annotated[float, typer.Option(help="A decision counts up to so many seconds after the INVITE.")] = 10.0,
    before_s: Annotated[float, typer.Option(help="And so many before it: clocks differ.")] = 2.0,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Most calls to list; 0: only counts.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show which calls followed the decisions about them, ignored them, or were never asked about."""
    now = datetime.now(UTC)
    with connect(settings_from(config, data)) as client:
        report = client.get(
            "enforcement",
            verdict=verdict,
            device=None if device.casefold() == "all" else device,
            number=number,
            start=parse_moment("--since", since, now).isoformat(),
            end=parse_moment("--until", until, now).isoformat(),
            after_s=after_s,
            before_s=before_s,
            limit=limit,
        )
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    print_line(f"{report['total']:,} calls were seen, {report['queries']:,} queries asked:", "bold")
    for word, count in report["counts"].items():
        print_line(f"  {count:>9,}  {_WORDS[word]}", _STYLES.get(word) if count else None)
    print_line(f"  {report['queries_without_call']:>9,}  queries without a call that a probe has recorded")
    for caution in report["cautions"]:
        print_line(f"Note: {caution}.", "yellow")
    if report["calls"]:
        print_table(_HEADINGS, [[_shown(call, column) for column in _COLUMNS] for call in report["calls"]])
    if report["next"]:
        print_line(f"The newest {len(report['calls']):,}; --limit and --until show others.")


def _shown(call: dict[str, Any], column: str) -> Any:
    if column == "time":
        return datetime.fromisoformat(call["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return call[column]
