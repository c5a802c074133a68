"""`ringfence simulate`: what a policy would have done to the calls of the past days."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment
from ringfence.errors import InvalidInputError

_KINDS = {
    "newly_blocked": ("newly blocked", "red"),
    "newly_redirected": ("newly redirected", "yellow"),
    "changed_target": ("redirected elsewhere", "yellow"),
    "newly_allowed": ("newly allowed", "green"),
}
_SHOWN_SAMPLES = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    draft: Annotated[bool, typer.Option("--draft", help="The draft.", show_default=False)] = False,
    version: Annotated[int | None, typer.Option(min=1, help="A committed version.", show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="POLICY.yaml", help="A policy file; - reads standard input.")
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="WHAT", help="Compare with what was `recorded`, what is `installed`, or a version.")
    ] = "recorded",
    since: Annotated[str, typer.Option(metavar="TIME", help="So long ago (7d, 24h), or a date and time.")] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Likewise; default now.", show_default=False)
    ] = None,
    site: Annotated[str | None, typer.Option(help="Calls of this site only.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="Calls of this device only.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Replay recorded calls under a policy and say what would change; by default the installed one."""
    now = datetime.now(UTC)
    body = {
        "start": parse_moment("--since", since, now).isoformat(),
        "end": parse_moment("--until", until, now).isoformat() if until else None,
        "version": version,
        "draft": draft,
        "policy": _read(file) if file else None,
        "against": against,
        "site": site,
        "device": device,
    }
    with connect(settings_from(config, data)) as client:
        report = wait_for_job(client, client.post("simulate", body), "simulating")
    if as_json:
        print_json(report)
    else:
        _print(report)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"--file: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"--file: {file} is not UTF-8 text") from None


def _print(report: dict[str, Any]) -> None:
    compared = f"{report['candidate']['title']} compared with {report['against']['title']}"
    print_line(f"{compared}: {report['changed']:,} of {report['calls']:,} calls would change", "bold")
    for caution in report["cautions"]:
        print_line(f"caution: {caution}", "yellow")
    for kind, (words, style) in _KINDS.items():
        if report["kinds"][kind]:
            print_line(f"  {report['kinds'][kind]:>10,} {words}", style)
    actions = report["actions"]
    print_line("")
    print_table(
        ("action", "before", "after"),
        [
            (word, count, actions["after"][word])
            for word, count in actions["before"].items()
            if count + actions["after"][word]
        ],
    )
    _print_rules(report["rules"])
    for side, numbers in report["top"].items():
        if numbers:
            print_line(f"\n{side}s with most changed calls")
            print_table((side, "calls", *_words()), [(n["number"], n["calls"], *_kinds(n)) for n in numbers])
    _print_samples(report["samples"])


def _print_rules(rules: list[dict[str, Any]]) -> None:
    if rules:
        print_line("")
        print_table(
            ("rule", "mode", "action", "before", "after", "monitored", *_words()),
            [(r["name"], r["mode"], r["action"], r["before"], r["after"], r["monitored"], *_kinds(r)) for r in rules],
        )


def _print_samples(samples: dict[str, list[dict[str, Any]]]) -> None:
    for kind, calls in samples.items():
        print_line(f"\n{_KINDS[kind][0]}, the last of them")
        print_table(
            ("time (UTC)", "device", "source", "destination", "was", "would be", "by"),
            [
                (
                    call["time"][:19].replace("T", " "),
                    call["device"],
                    call["source"],
                    call["destination"],
                    _decided(call["before"]),
                    _decided(call["after"]),
                    call["after"]["rule"],
                )
                for call in calls[:_SHOWN_SAMPLES]
            ],
        )


def _decided(decision: dict[str, Any]) -> str:
    return f"{decision['action']} {decision['target'] or ''}".strip()


def _words() -> tuple[str, ...]:
    return tuple(words for words, _ in _KINDS.values())


def _kinds(counted: dict[str, Any]) -> tuple[int, ...]:
    return tuple(counted[kind] for kind in _KINDS)
