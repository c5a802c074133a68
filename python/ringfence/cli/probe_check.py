"""`ringfence probe check`: does the tap deliver? The bond, its members, and what arrives in a few seconds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.capture.link_state import LinkState, read_link
from ringfence.capture.sample import take_sample
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import ConfigurationError

_LINK_COLUMNS = ("interface", "up", "mbit/s", "mtu", "packets", "dropped", "errors", "ring", "of")


def check(
    interface: Annotated[
        list[str] | None, typer.Argument(help="Interfaces; default: those of the settings.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, max=600, help="How long to look at what arrives; 0: not.")] = 3.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Check what the probe reads: exit code 1 when something is wrong."""
    settings = settings_from(config, data)
    names = interface or list(settings.probe.interfaces)
    if not names:
        raise ConfigurationError("probe.interfaces: names none; give one, as in `ringfence probe check bond0`")
    reports = [_check(name, seconds) for name in names]
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            _print(report)
    if any(report["problems"] for report in reports):
        raise typer.Exit(1)


def _check(name: str, seconds: float) -> dict[str, Any]:
    link = read_link(name)
    problems = link.problems()
    sample = take_sample(name, seconds).as_json() if seconds else None
    if sample is not None and not sample["kinds"]["sip"]:
        problems.append(f"{name}: no SIP arrived within {seconds:g} s")
    if sample is not None and sample["lost"]:
        problems.append(f"{name}: {sample['lost']:,} packets were too many for this check to look at")
    return {"link": link.as_json(), "rows": _rows(link), "sample": sample, "problems": problems}


def _rows(link: LinkState, indent: str = "") -> list[list[object]]:
    row: list[object] = [
        f"{indent}{link.name}",
        link.is_up,
        link.speed_mbps,
        link.mtu,
        link.packets,
        link.drops,
        sum(link.errors.values()),
        link.ring,
        link.ring_max,
    ]
    return [row, *(row for member in link.members for row in _rows(member, indent + "  "))]


def _print(report: dict[str, Any]) -> None:
    if report["link"]["bond_mode"]:
        print_line(f"{report['link']['name']}: bond, {report['link']['bond_mode']}", "bold")
    print_table(_LINK_COLUMNS, report["rows"])
    sample = report["sample"]
    if sample is not None:
        print_line("")
        rows = [
            [kind, count, round(count / max(sample["seconds"], 0.001), 1)] for kind, count in sample["kinds"].items()
        ]
        print_table(("arrived", "packets", "a second"), rows)
        if sample["talkers"]:
            print_line("")
            columns = ("kind", "source", "destination", "packets")
            print_table(columns, [[talker[column] for column in columns] for talker in sample["talkers"]])
    print_line("")
    for problem in report["problems"]:
        print_line(problem, "red")
    if not report["problems"]:
        print_line("all well", "green")
