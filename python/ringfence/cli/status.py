"""`ringfence status`: is all well on this node and behind its mediation, and where not, why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.availability.standby import read_standby
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.node.facts import WELL_AFTER_S, in_words
from ringfence.node.state import ServiceState, read_state
from ringfence.service.installation import installed_units
from ringfence.service.manager import Systemd
from ringfence.settings import Settings
from ringfence.trust.certificates import shown_fingerprint

_WORDS = {
    "green": "All is well.",
    "yellow": "All is well; what is yellow is worth a look.",
    "red": "Something is red.",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    is_settled: Annotated[
        bool,
        typer.Option(
            "--settled",
            help="Also red unless every process is up for 10 minutes and none logged an error within 30.",
            show_default=False,
        ),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show processes, database and devices; exit code 1 when something is red."""
    settings = settings_from(config, data)
    if settings.url is None and read_standby(settings) is not None:
        from ringfence.cli.standby_report import show_standby  # brings the database's libraries

        now = datetime.now(UTC)
        if not show_standby(settings, node_processes(settings.data, now), now, as_json=as_json):
            raise typer.Exit(1)
        return
    report = read_report(settings, is_this_node=data is None and settings.url is None)
    if as_json:
        print_json(report)
    else:
        print_report(report, with_settled=is_settled)
    if not report["ok"] or (is_settled and not report["settled"]["ok"]):
        raise typer.Exit(1)


def read_report(settings: Settings, *, is_this_node: bool = False) -> dict[str, Any]:
    """Everything known: the mediation's report, or why there is none, and the processes and services of this node."""
    now = datetime.now(UTC)
    processes = [] if settings.url else node_processes(settings.data, now)
    if is_this_node:
        processes += node_services(now)
    try:
        with connect(settings) as client:
            report: dict[str, Any] = client.get("status")
    except (UnavailableError, NotSignedInError) as error:
        if settings.url is not None and isinstance(error, NotSignedInError):
            raise  # a wrong token; on this node it is that of a mediation that was killed or just starts
        report = _without_mediation(error.message, is_edge=_is_edge(processes))
    parts = [report, *processes]
    states = {part["state"] for part in parts}
    unsettled = [
        f"{part['name']}: {part['reason'] or '; '.join(part['notes'])}"
        for part in processes
        if part["state"] != "green"
    ]
    reasons = [*report["settled"]["reasons"], *unsettled]
    return report | {
        "ok": all(part["ok"] for part in parts),
        "state": next((state for state in ("red", "yellow") if state in states), "green"),
        "settled": {"ok": not reasons, "reasons": reasons},
        "processes": processes,
    }


def _without_mediation(why: str, *, is_edge: bool) -> dict[str, Any]:
    """The report where no mediation answers; on a node that has edges only that is as it should be."""
    mediation = {
        "name": "mediation",
        "ok": is_edge,
        "state": "green" if is_edge else "red",
        "reason": None,
        "notes": [],
    }
    mediation |= {"notes": ["is elsewhere: ask there how devices are"]} if is_edge else {"reason": why}
    return {
        "ok": is_edge,
        "state": mediation["state"],
        "settled": {"ok": is_edge, "reasons": [] if is_edge else [f"mediation: {why}"]},
        "mediation": mediation,
        "database": None,
        "policy": None,
        "devices": [],
    }


def _is_edge(processes: list[dict[str, Any]]) -> bool:
    names = {part["name"] for part in processes}
    return bool(names) and names <= {"ringfence-enum.service", "ringfence-probe.service"}


def node_processes(data: Path, now: datetime) -> list[dict[str, Any]]:
    """The processes that `ringfence up` runs on this data folder; none when it does not."""
    node = read_state(data)
    if node is None:
        return []
    supervisor = _process("up", None if node.is_running else "is not running; start `ringfence up` again", node.pid, 0)
    supervisor = _noted(supervisor, node.since, now)
    services = [
        _noted(
            _process(
                service.name,
                None if service.is_running and service.state == "running" else f"is {_condition(service)}; see its log",
                service.pid,
                service.restarts,
            ),
            service.since,
            now,
        )
        for service in node.services
    ]
    return [supervisor, *services]


def node_services(now: datetime) -> list[dict[str, Any]]:
    """The systemd services that this node was given; none where systemd does not run."""
    systemd = Systemd()
    if not systemd.is_running:
        return []
    states = systemd.states([unit.file for unit in installed_units(Path("/"))])
    return [_noted(_process(state.name, state.reason, state.pid, state.restarts), state.since, now) for state in states]


def _noted(part: dict[str, Any], since: datetime | None, now: datetime) -> dict[str, Any]:
    """The part with its age, and yellow while that is short."""
    notes = []
    up_s = (now - since).total_seconds() if since is not None else None
    if part["ok"] and up_s is not None and up_s < WELL_AFTER_S:
        restarted = f", restarted {part['restarts']} times" if part["restarts"] else ""
        notes.append(f"up for {in_words(up_s)} only{restarted}")
    state = "red" if not part["ok"] else "yellow" if notes else "green"
    return part | {"since": since.isoformat() if since else None, "notes": notes, "state": state}


def print_report(report: dict[str, Any], *, with_settled: bool = False) -> None:
    """One line per part, red ones with their reason, yellow ones with their notes."""
    rows: list[tuple[object, ...]] = [
        ("process", part["name"], part["state"], _detail(part, _process_detail(part))) for part in report["processes"]
    ]
    mediation, database, policy = report["mediation"], report["database"], report["policy"]
    rows.append(("mediation", mediation.get("version"), mediation["state"], _detail(mediation, _role(mediation))))
    if tls := mediation.get("tls"):
        what = f"expires {tls['not_after'][:10]}, SHA-256 {shown_fingerprint(tls['fingerprint'])}"
        rows.append(("tls", "own" if tls["is_own"] else "self-signed", "green", what))
    if database:
        rows.append(("database", "postgresql", database["state"], _detail(database, database["server_version"])))
    if storage := report.get("storage"):
        rows.append(("storage", "disk", storage["state"], _detail(storage, _disk(storage["disk"]))))
    if policy:
        rows.append(("policy", "installed", policy["state"], _detail(policy, f"version {policy['version']}")))
    rows += [
        ("device", part["name"], part["state"], _detail(part, f"enforces {_version(part)}, seen {_seen(part)}"))
        for part in report["devices"]
    ]
    print_table(("part", "name", "state", "detail"), rows)
    print_line(_WORDS[report["state"]], report["state"])
    if with_settled:
        settled = report["settled"]
        print_line("Settled: up for 10 minutes, no error within 30." if settled["ok"] else "Not settled:", "bold")
        for reason in settled["reasons"]:
            print_line(f"  {reason}")


def _process(name: str, reason: str | None, pid: int | None, restarts: int) -> dict[str, Any]:
    return {"name": name, "ok": reason is None, "reason": reason, "pid": pid, "restarts": restarts}


def _condition(service: ServiceState) -> str:
    return "dead" if service.state == "running" else str(service.state)


def _detail(part: dict[str, Any], otherwise: str) -> str:
    """Why it is red, what is to know, or what it does."""
    return part["reason"] or ("; ".join(part["notes"]) if part["notes"] else otherwise)


def _process_detail(part: dict[str, Any]) -> str:
    restarts = part["restarts"]
    return f"pid {part['pid']}" + (f", restarted {restarts} time{'' if restarts == 1 else 's'}" if restarts else "")


def _disk(disk: dict[str, Any] | None) -> str:
    return f"{disk['used_percent']} % used" if disk else "size not known: storage.disk_path"


def _role(mediation: dict[str, Any]) -> str:
    return "leader" if mediation.get("is_leader") else "not the leader"


def _version(device: dict[str, Any]) -> str:
    return f"version {device['policy_version']}" if device["policy_version"] else "no policy"


def _seen(device: dict[str, Any]) -> str:
    return f"{device['last_seen_at'][:19]} UTC"
