"""Status: is all well, and where not, why.

Each part is green; yellow, with `notes` on what a person should know; or red, with the `reason`. `ok` says not red.
"Settled" is more than green (R21): every process up for ten minutes, no error logged by any within thirty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ringfence import __version__
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.mediation.process import MediationProcess
from ringfence.node.facts import WELL_AFTER_S, errors_in_words, fault_of, in_words, notes_on
from ringfence.policy.versions import installed_everywhere
from ringfence.storage.report import storage_part

CLOCK_OFF_US = 10_000_000  # schedules and ends of entries act visibly elsewhen
CLOCK_NOTED_US = 1_000_000
JOURNAL_LAG = 20_000  # events: more than one upload


def read_status(process: MediationProcess, now: datetime | None = None) -> dict[str, Any]:
    """Every part of the deployment. UnavailableError without the database."""
    now = now or datetime.now(UTC)
    membership = process.membership
    if membership.term is None:
        membership.load()
    with process.database.connection() as connection:
        row = connection.execute("SELECT current_setting('server_version'), pg_is_in_recovery()").fetchone()
        devices = list_devices(connection, now)
        installed = installed_everywhere(connection)
        storage = storage_part(connection, process.storage.keeping, now)
    facts = process.facts.read()
    storage = storage | _part("storage", storage["reason"], storage["notes"])
    tls = process.tls
    notes = [*notes_on(facts, _us(now)), *(tls.notes(now) if tls is not None else [])]
    if (note := process.audit_watch.note()) is not None:
        notes.append(note)
    mediation = _part("mediation", membership.reason or fault_of(facts), notes)
    database = _part("database", None if row and not row[1] else "is a standby: read only")
    policy = _part("policy", None, [] if installed.version else ["no policy is installed: every call is allowed"])
    device_parts = [device_part(device, now) for device in devices]
    parts = [mediation, database, storage, policy, *device_parts]
    reasons = unsettled([(mediation, facts), *((part, _facts(part)) for part in device_parts)], _us(now))
    return {
        "ok": all(part["ok"] for part in parts),
        "state": worst(part["state"] for part in parts),
        "settled": {"ok": not reasons, "reasons": reasons},
        "mediation": mediation
        | {"version": __version__, "pid": os.getpid(), "is_leader": process.leader.is_leader, "process": facts}
        | {"tls": tls.as_json() if tls is not None else None}
        | membership.as_json(),
        "database": database | {"server_version": row[0] if row else ""},
        "storage": storage,
        "policy": policy | {"version": installed.version, "hash": installed.hash},
        "devices": device_parts,
    }


def device_part(device: DeviceStatus, now: datetime) -> dict[str, Any]:
    """One device, judged by what it last said. Pure."""
    facts = device.report.get("process") or {}
    reason = _device_reason(device) or fault_of(facts)
    notes = [*_device_notes(device), *notes_on(facts, _us(now))] if device.is_live else []
    return _part(device.name, reason, notes) | device.as_json(now)


def unsettled(parts: Iterable[tuple[dict[str, Any], dict[str, int]]], now_us: int) -> list[str]:
    """Why the processes of these parts are not settled: red, up too short, errors logged. Pure."""
    reasons = []
    for part, facts in parts:
        up_s = (now_us - facts.get("started_us", now_us)) / 1e6
        if not part["ok"]:
            reasons.append(f"{part['name']}: {part['reason']}")
        elif up_s < WELL_AFTER_S:
            reasons.append(f"{part['name']}: up for {in_words(up_s)}, should be for {in_words(WELL_AFTER_S)}")
        if errors := facts.get("errors_30m", 0):
            reasons.append(f"{part['name']}: {errors_in_words(errors)}")
    return reasons


def worst(states: Iterable[str]) -> str:
    """The state of a whole whose parts have these."""
    found = set(states)
    return next((state for state in ("red", "yellow") if state in found), "green")


def _device_reason(device: DeviceStatus) -> str | None:
    if device.last_seen_at is None:
        return "has never reported: start it with its credential"
    if not device.is_live:
        return f"not heard of since {device.last_seen_at:%Y-%m-%d %H:%M:%S} UTC"
    if not device.is_current:
        return f"enforces version {device.policy_version or 0}, should enforce {device.wanted_version}"
    offset_us = device.clock_offset_us or 0
    if abs(offset_us) > CLOCK_OFF_US:
        return f"its clock is {_clock(offset_us)}: schedules and ends of entries act at the wrong time"
    return None


def _device_notes(device: DeviceStatus) -> list[str]:
    notes = []
    offset_us = device.clock_offset_us or 0
    if CLOCK_NOTED_US < abs(offset_us) <= CLOCK_OFF_US:
        notes.append(f"its clock is {_clock(offset_us)}")
    journal = device.report.get("journal") or {}
    waiting = _count(journal, "durable") - _count(journal, "acknowledged")
    if waiting > JOURNAL_LAG:
        notes.append(f"{waiting:,} events wait in its journal")
    if lost := _count(journal, "lost"):
        notes.append(f"{lost:,} events lost since it started")
    return notes


def _count(journal: dict[str, Any], name: str) -> int:
    """A sum over the streams, whichever way the device reports it."""
    value = journal.get(name) or 0
    return sum(int(part) for part in value.values()) if isinstance(value, dict) else int(value)


def _clock(offset_us: int) -> str:
    return f"{abs(offset_us) / 1e6:.1f} s {'ahead' if offset_us > 0 else 'behind'}"


def _facts(part: dict[str, Any]) -> dict[str, int]:
    facts: dict[str, int] = part["report"].get("process") or {}
    return facts


def _part(name: str, reason: str | None = None, notes: list[str] | None = None) -> dict[str, Any]:
    state = "red" if reason is not None else "yellow" if notes else "green"
    return {"name": name, "ok": reason is None, "state": state, "reason": reason, "notes": notes or []}


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
