"""This machine's `ringfence up`: stopped, started, kept from starting at boot or made to.

Where systemd has a unit for this data folder (`ringfence service`), systemd is told; else the process is started and
stopped by us.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from ringfence.availability.source import open_api
from ringfence.errors import ConflictError, ForbiddenError, UnavailableError
from ringfence.mediation.local_files import mediation_file, place_trust
from ringfence.node.state import read_state
from ringfence.node.supervisor import lock_node
from ringfence.service.installation import PACKAGED_UNITS, installed_units
from ringfence.service.manager import Systemd
from ringfence.service.units import unit_named
from ringfence.settings import Settings

STOP_TIMEOUT_S = 120.0
START_TIMEOUT_S = 120.0
_ASK_TIMEOUT_S = 5.0
_POLL_S = 0.1


class Node:
    """What runs on one data folder. `config` is the configuration file that it is started with.

    `root` is the system whose units are asked for: another one has no processes, but knows what starts at its boot.
    """

    def __init__(self, settings: Settings, config: Path | None = None, root: Path = Path("/")) -> None:
        self._settings = settings
        self._config = config
        self._root = root
        self._systemd = Systemd(root)

    @property
    def units(self) -> list[str]:
        """The unit files with which systemd runs this data folder; none where it does not."""
        data = self._settings.data.resolve()
        found = [unit.file for unit in installed_units(self._root) if unit.data == data]
        up = unit_named("ringfence-up")
        is_packaged = up.data == data and (self._root / PACKAGED_UNITS / up.file).exists()
        return found or ([up.file] if is_packaged else [])

    def stop(self) -> str:
        """End what runs here; returns when it has let go of the data folder. What was done."""
        was_running = self._holder() is not None
        if running := self._running_units():
            was_running = True
            self._systemd.control("stop", running[::-1])
        pid = self._holder()
        if pid is not None:
            self._end(pid)
        return "stopped" if was_running else "was not running"

    def disable(self) -> str:
        """Keep it from starting at boot, where that is systemd's matter."""
        units = self.units
        if not units:
            return "not run by systemd: see that nothing else starts it"
        self._systemd.disable(units)
        return f"{', '.join(units)} disabled at boot"

    def enable(self) -> str:
        """Have it start at boot, where that is systemd's matter."""
        units = self.units
        if not units:
            return "not run by systemd: see that `ringfence up` is started at boot"
        if not all(state.is_enabled for state in self._systemd.states(units)):  # it may be already, and we no root
            self._systemd.enable(units)
        return f"{', '.join(units)} enabled at boot"

    def start(self) -> str:
        """Start `ringfence up` unless it runs, and wait until its mediation is well; its URL."""
        process = None
        if self._holder() is None:
            units = self.units if self._systemd.is_running else []
            if units:
                self._start_units(units)
            else:
                process = self._launch()
        return self._wait_until_well(process)

    def require_owner(self) -> None:
        """ForbiddenError for root on a folder of another user: what we write there would be closed to its services."""
        data = self._settings.data
        owner = data.stat().st_uid if data.exists() else os.geteuid()
        if os.geteuid() != owner:
            raise ForbiddenError(f"{data} belongs to user {_name_of(owner)}, whose services read it: run as that user")

    def missing(self) -> list[str]:
        """Services that `ringfence up` is to run here and that do not run yet."""
        state = read_state(self._settings.data)
        if state is None:
            return []
        running = {service.name for service in state.services if service.is_running and service.state == "running"}
        wanted = ["mediation"]
        if self._settings.database.url is None:
            wanted.insert(0, "database")
        if self._settings.enum.enabled:
            wanted.append("enum")
        if self._settings.probe.interfaces or self._settings.probe.hep_listen:
            wanted.append("probe")
        return [name for name in wanted if name not in running]

    def _running_units(self) -> list[str]:
        if not self._systemd.is_running:
            return []
        return [state.name for state in self._systemd.states(self.units) if state.active not in ("inactive", "failed")]

    def _start_units(self, units: list[str]) -> None:
        try:
            self._systemd.control("start", units)
        except ForbiddenError:
            raise ForbiddenError(
                f"only root may start it here: `systemctl enable --now {' '.join(units)}`, then call this again"
            ) from None

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ringfence", "up", "--data", str(self._settings.data.absolute())]
        if self._config is not None:
            command += ["--config", str(self._config.absolute())]
        self._said.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._said.open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def _said(self) -> Path:
        return self._settings.data / "log" / "failover-start.log"

    def _wait_until_well(self, process: subprocess.Popen[bytes] | None) -> str:
        give_up = time.monotonic() + START_TIMEOUT_S
        reason = "it has not said where it listens"
        while time.monotonic() < give_up:
            if process is not None and process.poll() is not None:
                said = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise UnavailableError(f"`ringfence up` ended: {said[-1] if said else process.returncode}")
            with suppress(OSError, ValueError, KeyError, TypeError):
                place = json.loads(mediation_file(self._settings.data).read_text(encoding="utf-8"))
                os.kill(int(place["pid"]), 0)  # not one of an earlier run
                try:
                    with open_api(str(place["url"]), _ASK_TIMEOUT_S, trust=place_trust(place)) as client:
                        answer = client.get("/healthz")
                    if answer.is_success:
                        return str(place["url"])
                    reason = str(answer.json().get("message", answer.status_code))
                except httpx.HTTPError as error:
                    reason = str(error)
            time.sleep(_POLL_S)
        raise UnavailableError(f"the mediation is not well after {START_TIMEOUT_S:.0f} s: {reason}")

    def _holder(self) -> int | None:
        """The process that runs this node; None: nobody does."""
        lock = self._settings.data / "run" / "up.lock"
        if not lock.exists():
            return None
        try:
            os.close(lock_node(self._settings.data))
        except ConflictError:
            with suppress(OSError, ValueError):
                return int(lock.read_text(encoding="ascii").strip())
            return 0
        except PermissionError:
            raise ForbiddenError(f"{lock} is its owner's: run as that user") from None
        return None

    def _end(self, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            return
        if handle < 0:
            raise ConflictError(f"{self._settings.data} is in use, and who uses it is not said: stop it")
        try:
            if self._holder() != pid:  # asked under the handle: the number cannot change hands any more
                return
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            if not ended.poll(STOP_TIMEOUT_S * 1000):
                raise UnavailableError(f"process {pid}, `ringfence up`, did not stop in {STOP_TIMEOUT_S:.0f} s")
        except ProcessLookupError:
            return
        except PermissionError:
            raise ForbiddenError(f"process {pid}, `ringfence up`, is another user's: run as that user") from None
        finally:
            os.close(handle)


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
