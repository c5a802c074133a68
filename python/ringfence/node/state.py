"""What runs on this machine's data folder: written by `ringfence up`, read by `ringfence status`.

`<data>/run/up.json`, replaced whole at every change:

    {"pid": 17, "start_ticks": 4711, "since": "2026-11-22T18:00:00+00:00",
     "services": [{"name": "database", "state": "running", "pid": 18, "start_ticks": 4712, "restarts": 0, "since": …}]}

A reader believes no file: a process counts as running when its pid is alive *and* began at that tick, so neither a
killed supervisor's last words nor a reused pid can deceive.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServiceState:
    """One service as last reported, checked against the process table."""

    name: str
    state: str  # "starting", "running", "waiting" (to be restarted), "stopped"
    pid: int | None
    start_ticks: int | None
    restarts: int
    since: datetime

    @property
    def is_running(self) -> bool:
        """Whether its process is alive now."""
        return is_same_process(self.pid, self.start_ticks)


@dataclass(frozen=True)
class NodeState:
    """The supervisor and its services, in start order."""

    pid: int
    start_ticks: int | None
    since: datetime
    services: tuple[ServiceState, ...]

    @property
    def is_running(self) -> bool:
        """Whether the supervisor itself is alive now."""
        return is_same_process(self.pid, self.start_ticks)

    def as_json(self) -> dict[str, Any]:
        """For `ringfence status --json`."""
        return {
            "pid": self.pid,
            "running": self.is_running,
            "since": self.since.isoformat(),
            "services": [
                {
                    "name": service.name,
                    "state": self._state_of(service),
                    "running": service.is_running,
                    "pid": service.pid if service.is_running else None,
                    "restarts": service.restarts,
                    "since": service.since.isoformat(),
                }
                for service in self.services
            ],
        }

    def _state_of(self, service: ServiceState) -> str:
        """As reported, or "dead": its process is gone, or nobody is left who would start it."""
        if service.is_running or service.state == "stopped":
            return service.state
        return "dead" if service.state == "running" or not self.is_running else service.state


def state_file(data: Path) -> Path:
    """Where a supervisor reports."""
    return data / "run" / "up.json"


def read_state(data: Path) -> NodeState | None:
    """What `ringfence up` last reported for this data folder; None when it never ran there or stopped cleanly."""
    try:
        text = state_file(data).read_text(encoding="utf-8")
        tree = json.loads(text)
        services = tuple(
            ServiceState(**{**service, "since": datetime.fromisoformat(service["since"])})
            for service in tree["services"]
        )
        return NodeState(tree["pid"], tree["start_ticks"], datetime.fromisoformat(tree["since"]), services)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_state(data: Path, state: NodeState) -> None:
    """Replace the report."""
    file = state_file(data)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(asdict(state), stream, default=datetime.isoformat)
    Path(name).replace(file)


def remove_state(data: Path) -> None:
    """After a clean stop nothing is left to report."""
    state_file(data).unlink(missing_ok=True)


def start_ticks(pid: int) -> int | None:
    """When a live process began (proc(5) stat, field 22); None when there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_same_process(pid: int | None, ticks: int | None) -> bool:
    """Whether `pid` is alive and is the very process that began at `ticks`."""
    return pid is not None and ticks is not None and start_ticks(pid) == ticks
