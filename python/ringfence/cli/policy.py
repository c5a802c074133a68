"""`ringfence policy`: policy as code and its versions; rules, draft and installing stand in modules of their own."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli import policy_draft, policy_install, policy_rule
from ringfence.cli.client import connect
from ringfence.cli.draft_edit import say_edit, say_findings, seen
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_duration
from ringfence.cli.policy_install import WAIT_S, ConfirmWithin, NoWait, finish
from ringfence.edge.policy_reset import request_reset
from ringfence.errors import InvalidInputError
from ringfence.policy.yaml_reader import write_yaml

__all__ = ["WAIT_S", "register"]

group = typer.Typer(no_args_is_help=True, help="What calls may go on: rules, in numbered versions.")
group.add_typer(policy_rule.group, name="rule")
group.add_typer(policy_draft.group, name="draft")
group.command("commit")(policy_draft.commit)
for _command, _does in (
    ("install", policy_install.install),
    ("uninstall", policy_install.uninstall),
    ("follow", policy_install.follow),
    ("go-on", policy_install.go_on),
    ("confirm", policy_install.confirm),
    ("rollback", policy_install.rollback),
    ("installed", policy_install.installed),
):
    group.command(_command)(_does)

File = Annotated[str, typer.Argument(metavar="FILE", help="Policy in YAML or JSON; - reads standard input.")]
Named = Annotated[str, typer.Argument(help="draft, installed, newest or a version's number.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="policy")


@group.command("apply")
def apply(
    file: File,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, kept with the version.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check, and say what it would change.", show_default=False)
    ] = False,
    no_install: Annotated[
        bool, typer.Option("--no-install", help="Only commit; install it later.", show_default=False)
    ] = False,
    to_draft: Annotated[
        bool, typer.Option("--to-draft", help="Only make it the draft; commit it later.", show_default=False)
    ] = False,
    confirm_within: ConfirmWithin = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Check a policy, commit it as a version and install it everywhere."""
    parameters: dict[str, Any] = {"message": message, "dry_run": dry_run, "install": not no_install}
    if confirm_within is not None:
        parameters["confirm_within_s"] = parse_duration("--confirm-within", confirm_within).total_seconds()
    headers = {"Content-Type": "application/yaml"}
    with connect(settings_from(config, data)) as client:
        content = _read(file)
        if to_draft:
            at = {"revision": seen(client, None)}
            say_edit(client.request("PUT", "policy/draft", content=content, params=at, headers=headers), as_json)
            return
        answer = client.request("POST", "policy", content=content, params=parameters, headers=headers)
        if dry_run:
            _say_dry_run(file, answer, as_json)
            return
        did = "committed" if no_install else "installed"
        said = (
            f"Policy version {answer['version']} {did}{'' if answer['is_new'] else '; its content was known already'}"
        )
        if no_install:
            _show(answer, as_json, said + ".")
        else:
            finish(client, answer, said, no_wait, as_json)
    if not as_json:
        say_findings(answer["findings"])


@group.command("validate")
def validate(file: File, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Say what is wrong or strange in a policy; exit code 2 when a commit would refuse it."""
    with connect(settings_from(config, data)) as client:
        headers = {"Content-Type": "application/yaml"}
        answer = client.request("POST", "policy/validate", content=_read(file), headers=headers)
    wrong = sum(one["severity"] == "error" for one in answer["findings"])
    if as_json:
        print_json(answer)
    else:
        say_findings(answer["findings"])
        print_line(f"{file}: {_count(answer['rules'], 'rule')}, {_count(len(answer['findings']), 'finding')}")
    if wrong:
        raise typer.Exit(2)


@group.command("export")
def export(name: Named = "installed", config: ConfigOption = None, data: DataOption = None) -> None:
    """Print a policy as YAML that `apply` takes again; equal policies are equal text."""
    with connect(settings_from(config, data)) as client:
        sys.stdout.write(client.text("policy/export", of=name))


@group.command("schema")
def schema(config: ConfigOption = None, data: DataOption = None) -> None:
    """Print the JSON schema of a policy, for editors and checks in git."""
    with connect(settings_from(config, data)) as client:
        print_json(client.get("policy/schema"))


@group.command("diff")
def diff(
    before: Named = "installed",
    after: Named = "draft",
    as_yaml: Annotated[bool, typer.Option("--yaml", help="As a unified diff of YAML.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say what differs between two policies."""
    with connect(settings_from(config, data)) as client:
        answer = client.get("policy/diff", before=before, after=after)
    if as_json:
        print_json(answer)
    elif as_yaml:
        sys.stdout.write(answer["yaml"])
    else:
        print_line(f"From {answer['before']} to {answer['after']}:")
        _say_changes(answer)


@group.command("show")
def show(
    version: Annotated[int | None, typer.Argument(help="Default: what is installed.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print a policy as YAML that `apply` takes again."""
    with connect(settings_from(config, data)) as client:
        answer = client.get("policy" if version is None else f"policy/versions/{version}")
    if as_json:
        print_json(answer)
    elif answer["policy"] is None:
        print_line("# No policy is installed.")
    else:
        print_line(f"# Version {answer['version']} of {answer['created_at'][:19]} UTC by {answer['author']}")
        print_line(write_yaml(answer["policy"]).rstrip())


@group.command("versions")
def list_versions(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List versions, newest first."""
    with connect(settings_from(config, data)) as client:
        found = client.get("policy/versions", limit=limit)["versions"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("version", "installed on", "rules", "author", "created (UTC)", "message"),
        [
            (v["version"], ", ".join(v["installed_on"]), v["rules"], v["author"], v["created_at"][:19], v["message"])
            for v in found
        ],
    )


@group.command("reset")
def reset(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """On a node: drop the policy its ENUM server has, and fetch the wanted one again."""
    outcome = request_reset(settings_from(config, data).data / "run")
    _show(asdict(outcome), as_json, outcome.in_words())


def _say_dry_run(file: str, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    print_line(f"{file}: would be accepted, {_count(answer['rules'], 'rule')}. From {answer['before']}:")
    _say_changes(answer)
    say_findings(answer["findings"])


def _say_changes(answer: dict[str, Any]) -> None:
    for change in answer["changes"]:
        print_line(f"  {change['words']}")
    if not answer["changes"]:
        print_line("  no difference")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be read: {error.strerror}") from None


def _show(answer: dict[str, Any], as_json: bool, said: str) -> None:
    if as_json:
        print_json(answer)
    else:
        print_line(said)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
