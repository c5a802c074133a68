"""`ringfence audit`: who did what, when, from where; searched and exported."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_table
from ringfence.cli.period import parse_moment

group = typer.Typer(no_args_is_help=True, help="The trail of every change and sign-in; nobody can alter it.")

Actor = Annotated[str | None, typer.Option(help="Who.", show_default=False)]
Action = Annotated[
    str | None, typer.Option(help="What, or its beginning: policy, policy.install …", show_default=False)
]
Subject = Annotated[str | None, typer.Option(help="To what: a rule, a version, a device …", show_default=False)]
Text = Annotated[str | None, typer.Option(help="Anywhere in subject or detail.", show_default=False)]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="7d, 24h, or a date and time.", show_default=False)]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Likewise.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="audit")


@group.command("list")
def list_entries(
    actor: Actor = None,
    action: Action = None,
    subject: Subject = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List entries, newest first."""
    wanted = _wanted(actor, action, subject, text, since, until)
    with connect(settings_from(config, data)) as client:
        entries = client.get("audit", limit=limit, **wanted)["entries"]
    if as_json:
        print_json(entries)
        return
    print_table(
        ("at (UTC)", "who", "from", "did", "to", "detail"),
        [
            (e["at"][:19].replace("T", " "), e["actor"], e["address"], e["action"], e["subject"], _short(e["detail"]))
            for e in entries
        ],
    )


@group.command("export")
def export(
    actor: Actor = None,
    action: Action = None,
    subject: Subject = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    form: Annotated[str, typer.Option("--format", help="ndjson (one object a line) or csv.")] = "ndjson",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print every entry that is looked for, newest first, before and after included."""
    wanted = _wanted(actor, action, subject, text, since, until)
    with connect(settings_from(config, data)) as client:
        sys.stdout.write(client.text("audit/export", format=form, **wanted))


def _wanted(
    actor: str | None, action: str | None, subject: str | None, text: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "actor": actor,
        "action": action,
        "subject": subject,
        "text": text,
        "since": parse_moment("--since", since, now).isoformat() if since else None,
        "until": parse_moment("--until", until, now).isoformat() if until else None,
    }


def _short(detail: dict[str, Any]) -> str:
    said = detail.get("words") or json.dumps(detail, ensure_ascii=False) if detail else ""
    return said if len(said) <= 100 else f"{said[:99]}…"
