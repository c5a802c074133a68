"""`ringfence detection`: patterns over many calls, what is deployed, and what containment has listed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError

group = typer.Typer(no_args_is_help=True, help="Patterns over many calls: floods, fraud, robocalls; and containment.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a detection.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A definition in YAML or JSON; - is standard input.")]
_YAML = {"Content-Type": "application/yaml"}


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="detection")


@group.command("list")
def list_detections(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """All detections and what is deployed."""
    with connect(settings_from(config, data)) as client:
        answer = client.get("detections")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("name", "title", "dataset", "severity", "saved", "deployed"),
        [
            (one["name"], one["title"], one["dataset"], one["severity"],
             f"version {one['version']}" if one["version"] else "catalogue", _deployed_words(one["deployed"]))
            for one in answer["detections"]
        ],
    )  # fmt: skip
    for name, why in answer["faults"].items():
        print_line(f"{name} is deployed and not watched: {why}", "red")
    if answer["all_stop"]["is_stopped"]:
        print_line(f"All containment is stopped{_switch_words(answer['all_stop'])}", "red")


@group.command("show")
def show(
    name: Name,
    yaml: Annotated[bool, typer.Option("--yaml", help="Only the definition, as `save` takes it.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """One detection, its attacks, and what would keep it from working here."""
    with connect(settings_from(config, data)) as client:
        found = client.get(f"detections/{name}")
    if as_json:
        print_json(found)
        return
    if yaml:
        sys.stdout.write(found["yaml"])
        return
    saved = f"version {found['version']} by {found['author']}" if found["version"] else "of the catalogue"
    print_line(f"{found['name']}: {found['title']} ({saved}); {_deployed_words(found['deployed']) or 'not deployed'}")
    print_line(found["yaml"].rstrip())
    _say_findings(found["findings"])
    _print_attacks(found["episodes"])


@group.command("validate")
def validate(file: File, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Say what is wrong, or to be known, in a definition; exit code 2 when it could not be deployed."""
    with connect(settings_from(config, data)) as client:
        answer = client.request("POST", "detections/validate", content=_read(file), headers=_YAML)
    if as_json:
        print_json(answer)
    else:
        _say_findings(answer["findings"])
        print_line(f"{file}: detection {answer['definition']['name']}, {len(answer['findings'])} findings")
    if any(one["severity"] == "error" for one in answer["findings"]):
        raise typer.Exit(2)


@group.command("save")
def save(
    file: File,
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Keep a definition as the next version of its name."""
    content = _read(file)
    with connect(settings_from(config, data)) as client:
        checked = client.request("POST", "detections/validate", content=content, headers=_YAML)
        name = checked["definition"]["name"]
        parameters = {"message": message}
        saved = client.request("PUT", f"detections/{name}", content=content, headers=_YAML, params=parameters)
    if as_json:
        print_json(saved)
        return
    _say_findings(checked["findings"])
    print_line(f"{name}: version {saved['version']}; {_deployed_words(saved['deployed']) or 'not deployed'}")


@group.command("deploy")
def deploy(
    name: Name,
    contain: Annotated[bool, typer.Option("--contain", help="List what the definition says.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Only tell.")] = False,
    version: Annotated[int | None, typer.Option(help="Another than the newest.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let a detection act from the next call on; without --contain or --report as its definition says."""
    if contain and report:
        raise InvalidInputError("--contain and --report: one of the two")
    mode = "contain" if contain else "report" if report else None
    with connect(settings_from(config, data)) as client:
        found = client.post(f"detections/{name}/deploy", {"mode": mode, "version": version})
    if as_json:
        print_json(found)
        return
    _say_findings(found["findings"])
    print_line(f"{name}: {_deployed_words(found['deployed'])}")


@group.command("withdraw")
def withdraw(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Let a detection act no more; what it listed stays until it ends or is released."""
    with connect(settings_from(config, data)) as client:
        found = client.post(f"detections/{name}/withdraw", {})
    if as_json:
        print_json(found)
    else:
        print_line(f"{name}: withdrawn")


@group.command("test")
def back_test(
    name: Name,
    days: Annotated[float, typer.Option(help="How many past days, at most 60.")] = 7,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """What a detection would have fired on over the past days."""
    with connect(settings_from(config, data)) as client:
        job = client.request("POST", f"detections/{name}/test", params={"days": days})
        result = wait_for_job(client, job, "Testing")
    if as_json:
        print_json(result)
        return
    print_table(
        ("at", "key", "value", "threshold"),
        [
            (one["at"], _key_words(one["key"]), round(one["value"], 3), round(one["threshold"], 3))
            for one in result["firings"]
        ],
    )
    print_line(
        f"{name}: {result['firings_in_all']} firings of {result['keys']} keys in {result['calls']} calls,"
        f" {result['start']} to {result['end']}"
    )


@group.command("attacks")
def attacks(
    name: Annotated[str | None, typer.Option(help="Of one detection.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Attacks, the newest first, and what containment did."""
    with connect(settings_from(config, data)) as client:
        found = client.get("detections/episodes", **({"name": name} if name else {}))
    if as_json:
        print_json(found)
    else:
        _print_attacks(found)


@group.command("entries")
def entries(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """What containment has on lists now."""
    with connect(settings_from(config, data)) as client:
        found = client.get("detections/entries")
    if as_json:
        print_json(found)
        return
    columns = ("list", "pattern", "detection", "key", "added", "expires")
    fields = ("list", "pattern", "detection", "key_text", "added_at", "expires_at")
    print_table(columns, [[one[field] for field in fields] for one in found])


@group.command("release")
def release(
    list_name: Annotated[str, typer.Argument(metavar="LIST", help="A dynamic list.")],
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="The entry, such as +12105550100.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take an entry off that containment made; it is not listed again for an hour."""
    with connect(settings_from(config, data)) as client:
        client.post("detections/entries/release", {"list": list_name, "pattern": pattern})
    if as_json:
        print_json({"released": {"list": list_name, "pattern": pattern}})
    else:
        print_line(f"{pattern}: off list {list_name}")


@group.command("all-stop")
def all_stop(
    turn: Annotated[Literal["on", "off", "show"], typer.Argument(help="on halts all containment at once.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    release_entries: Annotated[bool, typer.Option("--release", help="Also take off what it has listed.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Halt all containment at once, or let it go on; detections go on telling."""
    with connect(settings_from(config, data)) as client:
        if turn == "show":
            switch: dict[str, Any] = client.get("detections")["all_stop"]
        else:
            body = {"stopped": turn == "on", "reason": reason, "release": release_entries}
            switch = client.post("detections/all-stop", body)
    if as_json:
        print_json(switch)
        return
    state = "stopped" if switch["is_stopped"] else "allowed"
    released = f"; {switch['released']} entries released" if switch.get("released") else ""
    print_line(f"Containment is {state}{_switch_words(switch)}{released}")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file}: {error.strerror}") from None


def _say_findings(findings: list[dict[str, Any]]) -> None:
    for one in findings:
        print_line(f"{one['severity']}: {one['text']}", "red" if one["severity"] == "error" else None)


def _print_attacks(found: list[dict[str, Any]]) -> None:
    print_table(
        ("fired", "detection", "key", "peak", "threshold", "until", "listed", "held back"),
        [
            (one["fired_at"], one["name"], one["key_text"], round(one["peak"], 3), round(one["threshold"], 3),
             "goes on" if one["is_running"] else one["last_at"], one["listed"],
             ", ".join(f"{count} {why}" for why, count in one["held_back"].items()))
            for one in found
        ],
    )  # fmt: skip


def _deployed_words(deployed: dict[str, Any] | None) -> str:
    if deployed is None:
        return ""
    return f"{'contains' if deployed['mode'] == 'contain' else 'reports'}, version {deployed['version']}"


def _switch_words(switch: dict[str, Any]) -> str:
    if switch["changed_at"] is None:
        return ""
    why = f" ({switch['reason']})" if switch["reason"] else ""
    return f" since {switch['changed_at']} by {switch['changed_by']}{why}"


def _key_words(key: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(key.items()))
