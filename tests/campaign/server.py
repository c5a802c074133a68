"""An ENUM server of the campaign: a process with address, disk and clock of its own, kept running as systemd does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaign.callers import ask
from tests.campaign.line import Line, LoopThread
from tests.campaign.machine import Clock, Disk, processes_in
from tests.environment import environment
from tests.system.running_node import PACKAGE

DISK_OCTETS = 16 << 20
ALIVE_S = 180.0
# Small segments, so that a run fills and closes some.
SEGMENT_OCTETS = 64 << 10


@dataclass
class Life:
    """A time in which it had to answer; times of the monotonic clock."""

    began_s: float
    ended_s: float | None = None


@dataclass
class EnumServer:
    """`lines` go to the pairs, in order."""

    name: str
    folder: Path
    port: int
    lines: dict[str, Line]
    clock: Clock
    lives: list[Life] = field(default_factory=list)
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        self.disk = Disk(self.data, DISK_OCTETS)
        self._stage = self.folder / "stage"
        self._log = self.folder / "log"
        # Held while it is killed or paused: one of the two at a time.
        self.hurt = threading.Lock()

    def know(self, credential: str) -> None:
        """Its credential, before the first start."""
        file = self.folder / "credential"
        file.write_text(credential, encoding="ascii")
        file.chmod(0o600)

    def start(self) -> None:
        """Begin to start."""
        flags = [word for line in self.lines.values() for word in ("--mediation", line.url)]
        flags += ["--credential-file", str(self.folder / "credential"), "--listen", f"127.0.0.1:{self.port}"]
        ours = environment(
            PYTHONPATH=str(PACKAGE),
            RINGFENCE_LOG_FORMAT="json",
            RINGFENCE_EDGE_HEARTBEAT_S="1",
            RINGFENCE_EDGE_UPLOAD_MS="500",
            RINGFENCE_ENUM_JOURNAL_STAGE=str(self._stage),
            RINGFENCE_ENUM_JOURNAL_SEGMENT_BYTES=str(SEGMENT_OCTETS),
            **self.clock.environment,
        )
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ringfence", "enum", "--data", str(self.data), *flags],
                env=ours,
                stdout=log,
                stderr=log,
            )

    def wait_until_it_answers(self, thread: LoopThread, number: int) -> None:
        """Started again where it ends, as systemd does; from the first answer on it lives."""
        give_up = time.monotonic() + ALIVE_S
        while not thread.run(ask(self.port, number, 0.5)):
            assert time.monotonic() < give_up, f"{self.name} does not answer within {ALIVE_S:.0f} s of its start"
            if self._process is not None and self._process.poll() is not None:
                time.sleep(1)
                self.start()
            time.sleep(0.2)
        self.lives.append(Life(time.monotonic()))

    def die(self) -> None:
        """Kill -9."""
        self._end_life()
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def pause(self) -> None:
        """It does nothing any more, and nobody is told."""
        self._end_life()
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.lives.append(Life(time.monotonic()))

    def pids(self) -> list[int]:
        """Its processes."""
        return list(processes_in(self.data))

    def remove(self) -> None:
        """Leave nothing behind but its log."""
        self.die()
        self.disk.remove()

    def lived(self, began_s: float, ended_s: float) -> bool:
        """Whether it had to answer throughout."""
        return any(one.began_s <= began_s and (one.ended_s is None or one.ended_s >= ended_s) for one in self.lives)

    def said(self) -> list[dict[str, Any]]:
        """Its log since the first start."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _end_life(self) -> None:
        if self.lives and self.lives[-1].ended_s is None:
            self.lives[-1].ended_s = time.monotonic()
