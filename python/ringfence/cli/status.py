"""`ringfence status`: is all well on this node and behind its mediation, and where not, why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import UnavailableError
from ringfence.node.state import ServiceState, read_state
from ringfence.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show processes, database and devices; exit code 1 when something is red."""
    settings = settings_from(config, data)
    report = read_report(settings)
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if not report["ok"]:
        raise typer.Exit(1)


def read_report(settings: Settings) -> dict[str, Any]:
    """Everything known: the mediation's report, or why there is none, and the processes of this node."""
    processes = [] if settings.url else node_processes(settings.data)
    try:
        with connect(settings) as client:
            report: dict[str, Any] = client.get("status")
    except UnavailableError as error:
        report = {
            "ok": False,
            "mediation": {"name": "mediation", "ok": False, "reason": error.message},
            "database": None,
            "policy": None,
            "devices": [],
        }
    return report | {"ok": report["ok"] and all(part["ok"] for part in processes), "processes": processes}


def node_processes(data: Path) -> list[dict[str, Any]]:
    """The processes that `ringfence up` runs on this data folder; none when it does not."""
    node = read_state(data)
    if node is None:
        return []
    supervisor = _process("up", None if node.is_running else "is not running; start `ringfence up` again", node.pid, 0)
    services = [
        _process(
            service.name,
            None if service.is_running and service.state == "running" else f"is {_condition(service)}; see its log",
            service.pid,
            service.restarts,
        )
        for service in node.services
    ]
    return [supervisor, *services]


def print_report(report: dict[str, Any]) -> None:
    """One line per part, red ones with their reason."""
    rows: list[tuple[object, ...]] = [
        ("process", part["name"], _light(part), part["reason"] or _process_detail(part)) for part in report["processes"]
    ]
    mediation, database, policy = report["mediation"], report["database"], report["policy"]
    rows.append(("mediation", mediation.get("version"), _light(mediation), mediation["reason"] or _role(mediation)))
    if database:
        rows.append(("database", "postgresql", _light(database), database["reason"] or database["server_version"]))
    if policy:
        rows.append(("policy", "installed", "-", f"version {policy['version']}" if policy["version"] else "none"))
    rows += [
        ("device", part["name"], _light(part), part["reason"] or f"enforces {_version(part)}, seen {_seen(part)}")
        for part in report["devices"]
    ]
    print_table(("part", "name", "state", "detail"), rows)
    print_line("All is well." if report["ok"] else "Something is red.", "green" if report["ok"] else "red")


def _process(name: str, reason: str | None, pid: int | None, restarts: int) -> dict[str, Any]:
    return {"name": name, "ok": reason is None, "reason": reason, "pid": pid, "restarts": restarts}


def _condition(service: ServiceState) -> str:
    return "dead" if service.state == "running" else str(service.state)


def _light(part: dict[str, Any]) -> str:
    return "green" if part["ok"] else "red"


def _process_detail(part: dict[str, Any]) -> str:
    restarts = part["restarts"]
    return f"pid {part['pid']}" + (f", restarted {restarts} time{'' if restarts == 1 else 's'}" if restarts else "")


def _role(mediation: dict[str, Any]) -> str:
    return "leader" if mediation.get("is_leader") else "not the leader"


def _version(device: dict[str, Any]) -> str:
    return f"version {device['policy_version']}" if device["policy_version"] else "no policy"


def _seen(device: dict[str, Any]) -> str:
    return f"{device['last_seen_at'][:19]} UTC"
