"""`ringfence policy`: apply a file, show versions, install, uninstall."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli.client import Client, connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.edge.policy_reset import request_reset
from ringfence.errors import InvalidInputError
from ringfence.policy.yaml_reader import write_yaml

WAIT_S = 2.0
_POLL_S = 0.05

group = typer.Typer(no_args_is_help=True, help="What calls may go on: rules, in numbered versions.")
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the devices.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="policy")


@group.command("apply")
def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Policy in YAML or JSON; - reads standard input.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why, kept with the version.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.", show_default=False)] = False,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Check a policy, commit it as a version and install it everywhere."""
    with connect(settings_from(config, data)) as client:
        answer = client.request(
            "POST",
            "policy",
            content=_read(file),
            params={"message": message, "dry_run": dry_run},
            headers={"Content-Type": "application/yaml"},
        )
        if dry_run:
            _show(answer, as_json, f"{file}: would be accepted, {_count(answer['rules'], 'rule')}")
            return
        said = "installed" if answer["is_new"] else "installed; its content was known already"
        _finish(client, answer, f"Policy version {answer['version']} {said}", no_wait, as_json)


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
        ("version", "installed", "rules", "author", "created (UTC)", "message"),
        [(v["version"], v["is_installed"], v["rules"], v["author"], v["created_at"][:19], v["message"]) for v in found],
    )


@group.command("install")
def install(
    version: Annotated[int, typer.Argument(min=1, help="Also an older one: that rolls back.")],
    no_wait: NoWait = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a version act everywhere."""
    with connect(settings_from(config, data)) as client:
        answer = client.post("policy/install", {"version": version})
        _finish(client, answer, f"Policy version {version} installed", no_wait, as_json)


@group.command("uninstall")
def uninstall(
    no_wait: NoWait = False, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Let no policy act: every device answers as its fail mode says."""
    with connect(settings_from(config, data)) as client:
        _finish(client, client.post("policy/uninstall"), "Policy uninstalled", no_wait, as_json)


def _finish(client: Client, answer: dict[str, Any], said: str, no_wait: bool, as_json: bool) -> None:
    """Wait until the live devices enforce what is now wanted, and say how many do."""
    current, live = _count_devices(client) if no_wait else _wait_for_devices(client)
    answer = answer | {"devices_live": live, "devices_current": current}
    if live == 0:
        said += "; no device is connected now."
    elif current == live:
        said += f"; enforced by {'the live device' if live == 1 else f'all {live} live devices'}."
    else:
        said += f"; enforced by {current} of {_count(live, 'live device')} so far."
    _show(answer, as_json, said)


@group.command("reset")
def reset(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """On a node: drop the policy its ENUM server has, and fetch the wanted one again."""
    outcome = request_reset(settings_from(config, data).data / "run")
    _show(asdict(outcome), as_json, outcome.in_words())


def _wait_for_devices(client: Client) -> tuple[int, int]:
    deadline = time.monotonic() + WAIT_S
    while True:
        current, live = _count_devices(client)
        if current == live or time.monotonic() >= deadline:
            return current, live
        time.sleep(_POLL_S)


def _count_devices(client: Client) -> tuple[int, int]:
    """How many devices enforce what they should, and how many are connected."""
    live = [device for device in client.get("devices")["devices"] if device["is_live"]]
    return sum(device["is_current"] for device in live), len(live)


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
