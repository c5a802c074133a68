"""systemd as we speak to it: `systemctl`, on the running system or on the files below a root.

Enabling works without a running systemd (in a chroot, in an image); starting does not, and says so.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ringfence.errors import ForbiddenError, UnavailableError

_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,ExecMainStartTimestamp,Result,StatusText"
)
_SETTLED = ("active", "inactive")


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd tells it; without a running systemd only whether it is enabled is known."""

    name: str
    is_installed: bool
    is_enabled: bool
    active: str  # systemd's ActiveState, or "unknown"
    result: str
    pid: int | None
    restarts: int
    since: datetime | None
    status: str

    @property
    def reason(self) -> str | None:
        """Why it is not as it should be; None when it is."""
        if not self.is_installed:
            return f"is not installed; `ringfence service install` with its role, or the package, installs {self.name}"
        if self.active == "failed":
            return f"failed ({self.result}); `ringfence logs --errors` may say why"
        if self.active == "inactive" and self.is_enabled:
            return "is enabled and does not run; `ringfence service start`"
        if self.active not in (*_SETTLED, "unknown"):
            return f"is {self.active}"
        return None

    def as_json(self) -> dict[str, Any]:
        """For `ringfence service status --json`."""
        return {
            "unit": self.name,
            "ok": self.reason is None,
            "reason": self.reason,
            "installed": self.is_installed,
            "enabled": self.is_enabled,
            "state": self.active,
            "pid": self.pid,
            "restarts": self.restarts,
            "since": self.since.isoformat() if self.since else None,
            "status": self.status,
        }


class Systemd:
    """The systemd of a root; `/` is this system."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._program = shutil.which("systemctl", path="/usr/bin:/bin")

    @property
    def is_running(self) -> bool:
        """Whether it is this system's, and booted (sd_booted(3))."""
        return self._root == Path("/") and Path("/run/systemd/system").is_dir() and self._program is not None

    def reload(self) -> None:
        """Read unit files anew."""
        if self.is_running:
            self._call("daemon-reload")

    def enable(self, files: Sequence[str]) -> None:
        """Start them at boot."""
        self._call("enable", *files)

    def disable(self, files: Sequence[str]) -> None:
        """No longer start them at boot."""
        self._call("disable", *files)

    def control(self, verb: str, files: Sequence[str]) -> None:
        """start, stop or restart; returns when it is done. UnavailableError without a running systemd."""
        if not self.is_running:
            what = "systemd does not run here" if self._root == Path("/") else f"{self._root} is not the running system"
            raise UnavailableError(f"service: {what}; a role is started by hand with its command, `ringfence up` say")
        self._call(verb, *files)

    def states(self, files: Sequence[str]) -> list[UnitState]:
        """Each unit as it is, in this order."""
        if not files:
            return []
        if not self.is_running:
            return [self._offline(file) for file in files]
        shown = self._call("show", "--timestamp=unix", f"--property={_PROPERTIES}", *files)
        return [parse_state(block) for block in shown.strip().split("\n\n")]

    def _offline(self, file: str) -> UnitState:
        places = (self._root / "etc/systemd/system", self._root / "usr/lib/systemd/system")
        is_installed = any((place / file).exists() for place in places)
        is_enabled = is_installed and self._run("is-enabled", file).returncode == 0
        return UnitState(file, is_installed, is_enabled, "unknown", "", None, 0, None, "")

    def _call(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode == 0:
            return done.stdout
        said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
        if "denied" in said or "authentication required" in said:
            raise ForbiddenError(f"service: systemctl {arguments[0]}: {said}: run as root")
        raise UnavailableError(f"service: systemctl {arguments[0]}: {said}")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self._program is None:
            raise UnavailableError("service: systemctl is missing: this system has no systemd")
        where = () if self.is_running else (f"--root={self._root}",)
        command = [self._program, "--no-ask-password", "--quiet", *where, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def parse_state(block: str) -> UnitState:
    """One unit from the lines that `systemctl show --timestamp=unix` prints. Pure."""
    values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    start = values.get("ExecMainStartTimestamp", "")
    pid = int(values.get("MainPID") or 0)
    return UnitState(
        name=values.get("Id", ""),
        is_installed=values.get("LoadState") == "loaded",
        is_enabled=values.get("UnitFileState") == "enabled",
        active=values.get("ActiveState", "unknown"),
        result=values.get("Result", ""),
        pid=pid or None,
        restarts=int(values.get("NRestarts") or 0),
        since=datetime.fromtimestamp(int(start[1:]), UTC) if start.startswith("@") and pid else None,
        status=values.get("StatusText", ""),
    )
