"""A pair of the campaign: `ringfence up` on a disk and a clock of its own, kept running as systemd does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.campaign.machine import Clock, Disk, processes_in
from tests.failover.pair_node import COMMAND, PairNode
from tests.system.running_node import eventually

from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.standby import Standby, become, read_state
from ringfence.database.cluster import home_of

DISK_OCTETS = 400 << 20
SETTLE_S = 240.0
POLL_S = 0.3
COMMAND_S = 400.0


class Pair(PairNode):
    """Database and mediation of one site, which can be hurt."""

    def __init__(self, name: str, folder: Path, port: int, partner_url: str, clock: Clock) -> None:
        self.disk = Disk(folder, DISK_OCTETS)
        self.clock = clock
        self.port = port
        super().__init__(name, port, partner_url, folder, clock.environment)
        self.output = folder.with_suffix(".output")
        # Held while a process of it is killed or paused: one of the two at a time.
        self.hurt = threading.Lock()
        self.said: list[str] = []
        # It follows the other one, and must not serve.
        self.is_standby = False

    def launch(self) -> None:
        """Begin to start `ringfence up`, unless it runs."""
        if self._pids("node"):
            return
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*COMMAND, "up", "--config", str(self.config)],
                env=self.environment,
                cwd=self.data,  # by which all that it starts is found
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def signal(self, what: str, number: int) -> int:
        """To `mediation`, `database` or `node`; how many processes there were."""
        pids = self._pids(what)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def lose(self) -> None:
        """The site goes down: everything at once."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in processes_in(self.data):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._reap()

    def pids(self) -> list[int]:
        """All its processes."""
        return list(processes_in(self.data))

    def answer(self) -> tuple[int, str]:
        """What /healthz says: status and message; 0 when there is no answer."""
        line = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            line.request("GET", "/healthz")
            answer = line.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException) as error:
            return 0, str(error)
        finally:
            line.close()

    def keep_until(self, is_reached: str) -> None:
        """Started again wherever it has ended, until its answer is `well` or `fenced`."""
        give_up = time.monotonic() + SETTLE_S
        while True:
            status, text = self.answer()
            if (status == 200, "fenced" in text) == (is_reached == "well", is_reached == "fenced"):
                return
            assert time.monotonic() < give_up, f"{self.name} is not {is_reached} in {SETTLE_S:.0f} s: {status} {text}"
            self.launch()
            time.sleep(POLL_S)

    def command(self, *words: str) -> int:
        """An operator's command on this node, and what it said is kept; its exit status."""
        done = subprocess.run(
            [*COMMAND, *words, "--config", str(self.config)],
            env=self.environment,
            cwd=self.data,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        self.said.append(f"$ ringfence {' '.join(words)}\n{done.stdout}{done.stderr}status {done.returncode}")
        return done.returncode

    def follow(self, active: Pair, url: str, token: str) -> None:
        """Become the standby of the active one, with a backup of now; returns when it is imported."""
        self.stop()
        kept = create_backup(active.settings, BackupOptions(("database",), jobs=1), datetime.now(UTC))
        become(self.settings, Standby("backup", url, every_s=5, token=token))
        self.launch()
        eventually(lambda: read_state(self.settings).imported == kept.backup_id, f"{self.name} follows", SETTLE_S)
        self.is_standby = True

    def _pids(self, what: str) -> list[int]:
        found = processes_in(self.data)
        if what == "node":
            return [pid for pid, words in found.items() if "ringfence up " in words]
        if what == "database":
            return [pid for pid in found if _works_in(pid, home_of(self.data))]
        return [pid for pid, words in found.items() if "ringfence mediation" in words]


def _works_in(pid: int, folder: Path) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    return False
