"""A. Baseline: everything runs, keeps running, says nothing bad, and is in step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ringfence.acceptance.case import Case
from ringfence.acceptance.record import Evidence, Subject
from ringfence.acceptance.run import Run
from ringfence.errors import NotFoundError

MEDIATION = Subject("deployment", "mediation")
DATABASE = Subject("deployment", "database")
STANDBY = Subject("deployment", "standby")
# Counters that only fall when a process was started anew.
_GROWING = ("queries", "packets")
_BACKLOG = "A1 backlog"
_WORKING = "A1 status"


def subjects(run: Run) -> Iterator[Subject]:
    """Every server and probe of the plan."""
    for location in run.plan.locations:
        yield from (Subject("enum", server.name, location.site) for server in location.enum_servers)
        yield from (Subject("probe", one.name, location.site) for one in location.probes)


def device_status(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Device name → its part of the status."""
    return {part["name"]: part for part in status["devices"]}


def _running(run: Run) -> None:
    status = run.until(lambda: _all_green(run)) or run.api.get("status")
    run.memory[_WORKING] = status
    database = status["database"]
    run.judge(MEDIATION, _reasons(status["mediation"]), f"version {status['mediation']['version']} answers",
              _parts(status))  # fmt: skip
    run.judge(DATABASE, _reasons(database), f"PostgreSQL {database['server_version']} answers")
    devices = device_status(status)
    for subject in subjects(run):
        part = devices.get(subject.name)
        faults = _reasons(part) if part else [f"{subject.name} is not registered at this mediation"]
        if part and part["kind"] != subject.kind:
            faults.append(f"is registered as {part['kind']}")
        if part and part["site"] != subject.site:
            faults.append(f"is registered at site {part['site']}, the plan has it at {subject.site}")
        well = f"green: software {part['software']}, last heard {part['last_seen_at'][:19]} UTC" if part else ""
        run.judge(subject, faults, well)


def _keeps_running(run: Run) -> None:
    before = run.memory.get(_WORKING) or run.api.get("status")
    run.wait(run.plan.waits.running_min * 60, "the processes run on")
    after = run.api.get("status")
    restarted = before["mediation"]["pid"] != after["mediation"]["pid"]
    faults = _reasons(after["mediation"]) + (["the process was started anew meanwhile"] if restarted else [])
    run.judge(MEDIATION, faults, f"the same process (pid {after['mediation']['pid']}) as before", _parts(after))
    run.judge(DATABASE, _reasons(after["database"]), "answers as before")
    old, new = device_status(before), device_status(after)
    for subject in subjects(run):
        part = new.get(subject.name)
        faults = _reasons(part) if part else ["is not registered any more"]
        fallen = [name for name in _GROWING if _counter(old.get(subject.name), name) > _counter(part, name)]
        started = [_counter_of(one, "process", "started_us") for one in (old.get(subject.name), part)]
        if fallen or (all(started) and started[0] != started[1]):
            faults.append("it was started anew meanwhile")
        run.judge(subject, faults, "green as before, counters went on")


def _quiet_log(run: Run) -> None:
    run.wait(run.plan.waits.log_min * 60, "the logs are watched")
    status = run.api.get("status")
    devices = device_status(status)
    for subject in (MEDIATION, *subjects(run)):
        lines = run.hands.log_errors("A3", subject.name)
        part = status["mediation"] if subject == MEDIATION else devices.get(subject.name)
        logged = _errors_logged(part)
        if lines is None and logged is not None:
            faults = [f"{logged} errors logged within 30 minutes: `ringfence logs --errors` there"] if logged else []
            run.judge(subject, faults, "no error logged within 30 minutes, by its own report")
            continue
        if lines is None:
            words = f"Look at the log of {subject.name} (`ringfence logs --errors` there): are there critical errors?"
            answer = run.hands.judge("A3", subject.name, words)
            run.put(subject, answer.verdict or "OTHER", answer.comment or "as judged at the log", by=answer.by)
            continue
        lost = _counter_of(devices.get(subject.name), "journal", "lost")
        faults = [f"{len(lines)} critical lines"] if lines else []
        faults += [f"{lost} events lost"] if lost else []
        evidence = (Evidence("Critical lines", text="\n".join(lines[:50])),) if lines else ()
        run.judge(subject, faults, "no critical line, no event lost", *evidence)


def _errors_logged(part: dict[str, Any] | None) -> int | None:
    """What a process says of its own log; None: it says nothing."""
    facts = (part or {}).get("process") or ((part or {}).get("report") or {}).get("process") or {}
    return int(facts["errors_30m"]) if "errors_30m" in facts else None


def _in_step(run: Run) -> None:
    def in_step() -> bool:
        devices = device_status(run.api.get("status"))
        return all(not _out_of_step(devices.get(subject.name)) for subject in subjects(run))

    run.until(in_step)
    devices = device_status(run.api.get("status"))
    rows = []
    for subject in subjects(run):
        part = devices.get(subject.name)
        report = part["report"] if part else {}
        journal = report.get("journal", {})
        run.judge(subject, _out_of_step(part), "enforces what it should; all it recorded is in the database")
        rows.append((subject.name, part and part["policy_version"], part and part["wanted_version"],
                     journal.get("durable"), journal.get("acknowledged")))  # fmt: skip
    table = Evidence("Devices", ("device", "enforces", "should", "events recorded", "in the database"), tuple(rows))
    run.judge(MEDIATION, [], "devices looked at", table)
    if run.plan.management.standby:
        _standby(run)


def _standby(run: Run) -> None:
    """What follows this mediation, by its own word; where it has none, a person looks at the standby."""
    try:
        followers = run.api.get("standby")["followers"]
    except NotFoundError:
        followers = []
    if not followers:
        words = "Look at the standby (`ringfence standby status` there): is its copy up to date?"
        answer = run.hands.judge("A4", STANDBY.name, words)
        run.put(STANDBY, answer.verdict or "OTHER", answer.comment or "as judged at the standby", by=answer.by)
        return
    most_h = run.plan.management.copy_at_most_h
    faults = [fault for one in followers if (fault := _late(one, run.now(), most_h))]
    columns = ("name", "mode", "behind_bytes", "last_at", "last_backup", "problem")
    rows = tuple(tuple(one.get(column) for column in columns) for one in followers)
    run.judge(STANDBY, faults, "in step", Evidence("Standbys as the active sees them", columns, rows))


def _late(follower: dict[str, Any], now: datetime, most_h: float) -> str | None:
    """Why a standby is not in step; None: it is. Streaming ones say it, of copies the age tells."""
    if follower["problem"]:
        return f"{follower['name']}: {follower['problem']}"
    if follower["mode"] != "backup":
        return None
    if not follower["last_at"]:
        return f"{follower['name']}: has never fetched a copy"
    age_h = (now - datetime.fromisoformat(follower["last_at"])).total_seconds() / 3600
    return f"{follower['name']}: its last copy is {age_h:.1f} h old, at most {most_h:g}" if age_h > most_h else None


def _all_green(run: Run) -> dict[str, Any] | None:
    status: dict[str, Any] = run.api.get("status")
    devices = device_status(status)
    is_green = status["database"]["ok"] and all(
        subject.name in devices and devices[subject.name]["ok"] for subject in subjects(run)
    )
    return status if is_green else None


def _out_of_step(part: dict[str, Any] | None) -> list[str]:
    if part is None:
        return ["is not registered at this mediation"]
    journal = part["report"].get("journal", {})
    faults = _reasons(part)
    behind = int(journal.get("durable", 0)) - int(journal.get("acknowledged", 0))
    if behind > 0:
        faults.append(f"{behind} events are not in the database")
    if journal.get("lost"):
        faults.append(f"{journal['lost']} events lost")
    return faults


def _reasons(part: dict[str, Any] | None) -> list[str]:
    if part is None:
        return ["is not there"]
    return [] if part["ok"] else [str(part["reason"])]


def _counter(part: dict[str, Any] | None, name: str) -> int:
    return _counter_of(part, "counters", name)


def _counter_of(part: dict[str, Any] | None, group: str, name: str) -> int:
    return int(part["report"].get(group, {}).get(name, 0)) if part else 0


def _parts(status: dict[str, Any]) -> Evidence:
    parts = [status["mediation"], status["database"], *status["devices"]]
    rows = tuple((part["name"], "green" if part["ok"] else "red", part["reason"] or "") for part in parts)
    return Evidence("Status as the API told it", ("part", "state", "reason"), rows)


CASES = (
    Case(
        "A1",
        "Running state",
        "Every process of the system runs and is seen by the mediation.",
        (
            "Ask the mediation for the status of all parts.",
            "Compare with the plan: each server and probe, its kind and its site.",
        ),
        "Mediation, database, each ENUM server and each probe are green, and stand where the plan says.",
        _running,
    ),
    Case(
        "A2",
        "Still running",
        "Processes do not die and are not started anew by themselves.",
        ("Wait as long as the plan says (10 minutes).", "Ask for the status again and compare."),
        "All parts are green; the mediation is the same process, no device began to count from zero.",
        _keeps_running,
    ),
    Case(
        "A3",
        "Logs",
        "Nothing goes wrong unseen.",
        ("Wait as long as the plan says (30 minutes).", "Look through the log of each part for critical errors."),
        "No critical error; no event lost.",
        _quiet_log,
    ),
    Case(
        "A4",
        "Availability",
        "Devices and standby are in step with the active mediation.",
        (
            "Compare for each device what it enforces with what it should, and what it recorded with what is stored.",
            "Where there is a standby pair, ask how old its copy is.",
        ),
        "Each device enforces what it should and all it recorded is stored; the standby's copy is up to date.",
        _in_step,
    ),
)
