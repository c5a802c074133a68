"""How a standby stands, as `ringfence standby status` and `ringfence status` on a standby print it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ringfence.availability.standby_status import read_status
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.settings import Settings


def standby_report(settings: Settings, now: datetime) -> dict[str, Any]:
    """The standby of this data folder."""
    return read_status(settings, now).as_json()


def show_standby(settings: Settings, processes: list[dict[str, Any]], now: datetime, *, as_json: bool) -> bool:
    """A standby has no mediation that could answer: its processes, and how it follows. Whether all is well."""
    report = standby_report(settings, now)
    is_ok = bool(report["ok"]) and all(part["ok"] for part in processes)
    if as_json:
        print_json(report | {"ok": is_ok, "processes": processes})
    else:
        rows = [(part["name"], "green" if part["ok"] else "red", part["reason"] or part["pid"]) for part in processes]
        print_table(("process", "state", "detail"), rows)
        print_standby(report)
    return is_ok


def print_standby(report: dict[str, Any]) -> None:
    """One line per fact, then what is wrong."""
    print_table(("what", "how it stands"), _rows(report))
    for problem in report["problems"]:
        print_line(problem, "red")


def _rows(report: dict[str, Any]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("role", report["role"])]
    if report["standby"] is None:
        return rows
    versions = report["versions"]
    rows += [
        ("follows", f"{report['standby']['active']} ({report['mode']})"),
        ("age", f"{report['age_s']:g} s" if report["age_s"] is not None else None),
        ("version", f"{versions['here']}; the active: {versions['active'] or 'not known'}"),
    ]
    if report["mode"] == "streaming":
        rows += [("streams", report["is_streaming"]), ("behind", f"{report['lag_bytes'] or 0:,} octets")]
    else:
        rows += [("imported", report["imported"]), ("backups here", report["backups"])]
    return [*rows, ("a failover now loses", report["loses"])]
