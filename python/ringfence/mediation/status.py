"""Status: is all well, and where not, why."""

from __future__ import annotations

import os
from typing import Any

from ringfence import __version__
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.mediation.process import MediationProcess
from ringfence.policy.versions import installed_everywhere


def read_status(process: MediationProcess) -> dict[str, Any]:
    """Each part with `ok` and a `reason` where it is not. UnavailableError without the database."""
    with process.database.connection() as connection:
        row = connection.execute("SELECT current_setting('server_version'), pg_is_in_recovery()").fetchone()
        devices = list_devices(connection)
        installed = installed_everywhere(connection)
    device_parts = [_device(device) for device in devices]
    database = _part("database", None if row and not row[1] else "is a standby: read only")
    return {
        "ok": database["ok"] and all(part["ok"] for part in device_parts),
        "mediation": _part("mediation")
        | {"version": __version__, "pid": os.getpid(), "is_leader": process.leader.is_leader},
        "database": database | {"server_version": row[0] if row else ""},
        "policy": {"version": installed.version, "hash": installed.hash},
        "devices": device_parts,
    }


def _device(device: DeviceStatus) -> dict[str, Any]:
    reason = None
    if device.last_seen_at is None:
        reason = "has never reported: start it with its credential"
    elif not device.is_live:
        reason = f"not heard of since {device.last_seen_at:%Y-%m-%d %H:%M:%S} UTC"
    elif not device.is_current:
        reason = f"enforces version {device.policy_version or 0}, should enforce {device.wanted_version}"
    return _part(device.name, reason) | device.as_json()


def _part(name: str, reason: str | None = None) -> dict[str, Any]:
    return {"name": name, "ok": reason is None, "reason": reason}
