"""`ringfence policy draft`, and the other objects that it holds: profiles, SBCs, protected numbers, answers."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.draft_edit import RevisionOption, draft_path, read_value, say_edit, say_findings, seen, send
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="The one candidate that all operators edit.")

KINDS = {"list": "lists", "schedule": "schedules", "profile": "profiles", "sbc": "sbcs", "protected": "protected",
         "answers": "answers"}  # fmt: skip
Kind = Annotated[str, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}.")]


@group.command("show")
def show(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Say what a commit would change in the newest version, and what is wrong or strange in the draft."""
    with connect(settings_from(config, data)) as client:
        draft = client.get("policy/draft")
    if as_json:
        print_json(draft)
        return
    by = f", last edited by {draft['changed_by']} at {draft['changed_at'][:19]} UTC" if draft["changed_by"] else ""
    on = f"version {draft['base_version']}" if draft["base_version"] else "no version yet"
    print_line(f"Draft revision {draft['revision']} on {on}{by}")
    for change in draft["changes"]:
        print_line(f"  {change['words']}")
    if not draft["changes"]:
        print_line("  nothing to commit")
    say_findings(draft["findings"])


@group.command("log")
def log(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Who edited what, newest first."""
    with connect(settings_from(config, data)) as client:
        changes = client.get("policy/draft/changes", limit=limit)["changes"]
    if as_json:
        print_json(changes)
        return
    print_table(
        ("revision", "at (UTC)", "who", "what"),
        [(one["revision"], one["at"][:19], one["actor"], one["words"]) for one in changes],
    )


@group.command("discard")
def discard(
    revision: RevisionOption = None, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Drop every edit since the newest version."""
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "POST", "policy/draft/discard", {}, revision), as_json)


@group.command("load")
def load(
    version: Annotated[int, typer.Argument(min=1, help="The version to edit from.")],
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take a version as the draft."""
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "POST", "policy/draft/load", {"version": version}, revision), as_json)


@group.command("set")
def set_object(
    kind: Kind,
    name: Annotated[str, typer.Argument(help="Its name; of protected the number, of answers: default.")],
    value: Annotated[str, typer.Argument(help="Its content as YAML, such as '{service: sip+E2U}'.")] = "{}",
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write an object of the draft whole, new or not. Rules and schedules have commands of their own."""
    body = {"body": read_value("VALUE", value)}
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "PUT", draft_path(KINDS.get(kind, kind), name), body, revision), as_json)


@group.command("unset")
def unset(
    kind: Kind,
    name: Annotated[str, typer.Argument(help="Its name.")],
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Remove an object from the draft; refused while a rule refers to it."""
    with connect(settings_from(config, data)) as client:
        say_edit(send(client, "DELETE", draft_path(KINDS.get(kind, kind), name), {}, revision), as_json)


def commit(
    message: Annotated[str, typer.Option("--message", "-m", help="Why, kept with the version.")] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Undo what versions made meanwhile changed.", show_default=False)
    ] = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a numbered version of the draft. Findings with errors refuse it, warnings are shown."""
    with connect(settings_from(config, data)) as client:
        body = {"message": message, "overwrites": overwrite, "revision": seen(client, revision)}
        made = client.post("policy/draft/commit", body)
    if as_json:
        print_json(made)
        return
    said = "committed" if made["is_new"] else "has this content already"
    print_line(f"Version {made['version']} {said}; `ringfence policy install {made['version']}` lets it act.")
    say_findings(made["findings"])
