"""`ringfence audit`: who did what, when, from where; searched and exported."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.accounts.audit_chain import Anchor, anchor_line, anchors_in
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment
from ringfence.errors import ConflictError, InvalidInputError

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


@group.command("verify")
def verify(
    anchor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Anchors that were kept elsewhere.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say whether the trail is whole; exit code 1 and the first wrong entry when it is not."""
    anchors = [str(one) for one in anchors_in(_read(anchor))][-100:] if anchor is not None else None
    with connect(settings_from(config, data)) as client:
        found = client.get("audit/verification", anchor=anchors)
    if as_json:
        print_json(found)
    elif found["is_whole"]:
        print_line(f"The trail is whole: {found['entries']:,} entries, each as it was written.", "green")
    else:
        print_line(f"The trail is not whole: {found['fault']}.", "red")
        print_line(f"The {found['entries']:,} entries before are as they were written.")
    if not found["is_whole"]:
        raise typer.Exit(1)


@group.command("anchor")
def print_anchor(config: ConfigOption = None, data: DataOption = None) -> None:
    """Print the trail's end as a line to keep on another machine: `ringfence audit anchor >> audit-anchors`."""
    with connect(settings_from(config, data)) as client:
        found = client.get("audit/verification")
    if not found["is_whole"] or found["head"] is None:
        raise ConflictError(f"audit: {found['fault'] or 'nothing was ever recorded'}; no anchor is made of it")
    sys.stdout.write(anchor_line(Anchor.parse(found["head"]), datetime.now(UTC)))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"--anchor: {file} cannot be read: {error}") from None


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
