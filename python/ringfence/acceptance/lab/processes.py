"""Ringfence's own processes in a lab: each a child with a data folder, started, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ringfence.errors import UnavailableError

START_S = 120.0
STOP_S = 30.0
_POLL_S = 0.05
_CRITICAL = ("error", "critical")


class Process:
    """`ringfence …` with a data folder. Its log is JSON lines beside it; `environment` counts at the next start."""

    def __init__(self, words: tuple[str, ...], data: Path, ready: str, settings: Mapping[str, str]) -> None:
        """`ready`: the file below `run/` that it writes once it serves. `settings`: RINGFENCE_… of its own."""
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._words = words
        self._ready = data / "run" / ready
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
        package = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH", ""))))
        self.environment = kept | {"PYTHONPATH": path, "RINGFENCE_LOG_FORMAT": "json"} | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *more: str) -> None:
        """Start it and return at once; `await_ready` waits. `more` words replace those that need not be the same."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ringfence", *self._words, *more, "--data", str(self.data)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def await_ready(self) -> dict[str, object]:
        """What it wrote when it began to serve. UnavailableError: it ended, or takes too long."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self._ready.exists():
                told: dict[str, object] = json.loads(self._ready.read_text(encoding="utf-8"))
                return told
            if not self.is_running:
                break
            time.sleep(_POLL_S)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise UnavailableError(f"lab: `ringfence {' '.join(self._words)}` did not start: {tail}")

    def stop(self) -> None:
        """End it as a service manager does; by force when it does not. Idempotent."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def errors(self) -> list[str]:
        """Lines of its log at level error or worse."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                if line.startswith("Traceback"):
                    found.append(line)
                continue
            if isinstance(entry, dict) and entry.get("level") in _CRITICAL:
                found.append(line)
        return found
