"""`ringfence hits`: what rules and list entries did, and which do nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment

group = typer.Typer(no_args_is_help=True, help="How often and when last rules and list entries decided calls.")
Since = Annotated[str, typer.Option(metavar="TIME", help="So long ago (7d, 24h), or a date and time.")]
Unused = Annotated[bool, typer.Option("--unused", help="Only what had no hit.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="hits")


@group.command("rules")
def rules(
    since: Since = "30d",
    unused: Unused = False,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of this version instead of the installed one.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Hits of each rule over all devices; in monitor mode what it would have decided."""
    start = parse_moment("--since", since, datetime.now(UTC))
    with connect(settings_from(config, data)) as client:
        report = client.get("hits/usage", start=start.isoformat(), version=version)
    if as_json:
        print_json(report)
        return
    shown = [rule for rule in report["rules"] if rule["is_unused"] or not unused]
    print_table(
        ("rule", "mode", "action", "hits", "monitored", "last (UTC)", "never decides, shadowed by"),
        [
            (
                *(r[name] for name in ("name", "mode", "action", "hits", "monitored")),
                _time(r["last_at"]) or "never",
                r["shadowed_by"],
            )
            for r in shown
        ],
    )
    if report["counted_since"] and datetime.fromisoformat(report["counted_since"]) > start:
        print_line(f"Calls are counted since {_time(report['counted_since'])} UTC.")


@group.command("list")
def entries(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A list of the policy.")],
    since: Since = "7d",
    unused: Unused = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries, most hits first.")] = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Hits of each entry of list NAME, from the calls that are kept."""
    start = parse_moment("--since", since, datetime.now(UTC))
    body: dict[str, Any] = {"list": name, "start": start.isoformat(), "unused": unused, "limit": limit}
    with connect(settings_from(config, data)) as client:
        report = wait_for_job(client, client.post("hits/entries", body), "counting hits")
    if as_json:
        print_json(report)
        return
    print_line(
        f"list {name}: {report['entries_with_hits']:,} of {report['entries_total']:,} entries had hits "
        f"in {report['calls']:,} calls of its rules"
    )
    print_table(
        ("pattern", "hits", "last (UTC)", "kind", "origin", "note"),
        [
            (e["pattern"], e["hits"], _time(e["last_at"]) or "never", e["kind"], e["origin"], e["note"])
            for e in report["entries"]
        ],
    )


def _time(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if text else None
