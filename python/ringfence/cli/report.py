"""`ringfence report`: saved views sent by e-mail."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from ringfence.cli.analytics_saved import find_saved
from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.reports.schedule import WEEKDAYS, Schedule

group = typer.Typer(no_args_is_help=True, help="Saved views sent by e-mail, daily, weekly or monthly.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a report.")]
_HOUR = re.compile(r"([01]?\d|2[0-3])(?::00)?")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="report")


@group.command("list")
def list_reports(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """All reports, when each is due next and how it went last."""
    with connect(settings_from(config, data)) as client:
        reports = client.get("reports")
    if as_json:
        print_json(reports)
        return
    print_table(
        ("name", "view", "when", "to", "next", "last", "note"),
        [
            (report["name"], report["view"]["name"], _schedule_words(report), ", ".join(report["recipients"]),
             _local(report["next_due"], report["zone"]), *_last(report))
            for report in reports
        ],
    )  # fmt: skip


@group.command("show")
def show(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """One report and how its sending went, the newest first."""
    with connect(settings_from(config, data)) as client:
        report = client.get(_path(name))
    if as_json:
        print_json(report)
        return
    view, zone = report["view"], report["zone"]
    print_line(f"{report['name']}: view {view['name']!r} of {view['owner']}, {_schedule_words(report)}")
    print_line(
        f"To {', '.join(report['recipients'])}; next {_local(report['next_due'], zone)}; set by {report['owner']}"
    )
    print_table(
        ("period", "state", "attempts", "at", "again", "asked by", "note"),
        [
            (run["period"], run["state"].replace("_", " "), run["attempts"], _local(run["changed_at"], zone),
             _local(run["retry_at"], zone), run["asked_by"], run["note"])
            for run in report["runs"]
        ],
    )  # fmt: skip


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A report of the same name is replaced.")],
    view: Annotated[str, typer.Option(metavar="NAME", help="The saved view (`analytics saved list`).")],
    to: Annotated[list[str], typer.Option(metavar="ADDRESS", help="Mail address; may be repeated.")],
    owner: Annotated[str | None, typer.Option(help="Whose view, where another shares it.", show_default=False)] = None,
    every: Annotated[str, typer.Option(help="day, week or month.")] = "day",
    on: Annotated[
        str | None, typer.Option(metavar="DAY", help="mon … sun, or day of the month.", show_default="mon, or 1")
    ] = None,
    at: Annotated[str, typer.Option(metavar="HOUR", help="0 to 23, or 08:00.")] = "8",
    zone: Annotated[str, typer.Option(help="Time zone of the hour, and of the report's times.")] = "UTC",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Send a saved view from the next time that it is due. The view's time ends at the hour of the report."""
    hour = _HOUR.fullmatch(at)
    if hour is None:
        raise InvalidInputError(f"--at: {at!r} is not an hour, must be 0 to 23, or such as 08:00")
    with connect(settings_from(config, data)) as client:
        saved = find_saved(client, view, owner)
        body = {
            "view": {"name": saved["name"], "owner": saved["owner"]},
            "every": every,
            "day": _day(every, on),
            "hour": int(hour[1]),
            "zone": zone,
            "recipients": to,
        }
        report = client.request("PUT", _path(name), json=body)
    if as_json:
        print_json(report)
    else:
        print_line(f"{name}: {_schedule_words(report)}; the first {_local(report['next_due'], zone)}")


@group.command("remove")
def remove(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Send it no more."""
    with connect(settings_from(config, data)) as client:
        client.delete(_path(name))
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"{name}: removed")


@group.command("send")
def send(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Send it now, beside its schedule; exit code 6 when the mail server does not take it."""
    with connect(settings_from(config, data)) as client:
        run = wait_for_job(client, client.post(f"{_path(name)}/send"), "Sending")
    if as_json:
        print_json(run)
    if run["state"] != "sent":
        raise UnavailableError(f"report {name!r}: {run['state'].replace('_', ' ')}: {run['note']}")
    if not as_json:
        print_line(f"{name}: sent{'; ' + run['note'] if run['note'] else ''}")


def _schedule_words(report: dict[str, Any]) -> str:
    return Schedule(report["every"], report["day"], report["hour"], report["zone"]).words


def _day(every: str, on: str | None) -> int:
    if on is None:
        return 1
    if every == "week" and on.casefold()[:3] in WEEKDAYS:
        return WEEKDAYS.index(on.casefold()[:3]) + 1
    if every == "month" and on.isdecimal():
        return int(on)
    raise InvalidInputError(f"--on: {on!r} goes with --every week (mon … sun) or --every month (1 to 31)")


def _last(report: dict[str, Any]) -> tuple[str | None, str | None]:
    if not report["runs"]:
        return None, None
    run = report["runs"][0]
    return f"{run['state'].replace('_', ' ')} {_local(run['changed_at'], report['zone'])}", run["note"]


def _local(text: str | None, zone: str) -> str | None:
    if text is None:
        return None
    try:
        return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    except (ZoneInfoNotFoundError, ValueError):
        return text


def _path(name: str) -> str:
    return f"reports/{quote(name, safe='')}"
