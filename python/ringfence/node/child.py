"""A service that is a process of ours: `python -m ringfence mediation`, `python -m ringfence enum`.

It runs in a session of its own, so that Ctrl-C at the terminal reaches the supervisor alone, and it is told by the
kernel to stop should the supervisor be killed. What it prints beside its log goes to a file in `<data>/log`, or where
the supervisor's own goes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ringfence.database import launch
from ringfence.database.embedded import wait_for_end
from ringfence.errors import UnavailableError

STOP_TIMEOUT_S = 15.0
# Looked at when a process starts; one old file is kept.
OUTPUT_BYTES = 16 << 20
_TAIL_BYTES = 4096
_POLL_S = 0.02


class ChildProcess:
    """One process, started anew by each `start`.

    `command` and `environment` are asked at each start: a port that the first start picked is kept from then on.
    `ready_file` appears when the process serves; one from an earlier start is removed first.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        output: Path | None,
        environment: Callable[[], Mapping[str, str]] = dict,
        ready_file: Path | None = None,
        ready_timeout_s: float = 60.0,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = environment
        self._output = output
        self._ready_file = ready_file
        self._ready_timeout_s = ready_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._output_offset = 0
        self._interrupted = threading.Event()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process and return when it serves; UnavailableError with its own last words when it ends first."""
        if self.pid is not None:
            return
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        self._process = process = self._launch()
        began = time.monotonic()
        while self._ready_file is not None and not self._ready_file.exists():
            if process.poll() is not None:
                raise UnavailableError(f"{self.name}: {self._last_words() or f'exit status {process.returncode}'}")
            if self._interrupted.is_set():
                raise UnavailableError(f"{self.name}: interrupted")
            if time.monotonic() > began + self._ready_timeout_s:
                self.stop()
                raise UnavailableError(f"{self.name}: not ready within {self._ready_timeout_s:g} s; see its log")
            time.sleep(_POLL_S)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it has ended."""
        return self._process is None or wait_for_end(self._process, timeout_s)

    def interrupt(self) -> None:
        """Make a `start` under way in another thread give up."""
        self._interrupted.set()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to its whole session when it does not listen. Idempotent."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._stop_timeout_s)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind, or itself
        process.wait()

    def _launch(self) -> subprocess.Popen[bytes]:
        if self._output is None:
            return self._launch_into(None)
        self._output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._output.stat().st_size > OUTPUT_BYTES:
                self._output.replace(self._output.with_name(f"{self._output.name}.1"))
        with self._output.open("ab") as output:
            self._output_offset = output.tell()
            return self._launch_into(output)

    def _launch_into(self, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
        options = [str(number) for number in (os.getpid(), os.geteuid(), os.getegid(), int(signal.SIGTERM))]
        return subprocess.Popen(  # noqa: S603 — our own command
            [sys.executable, "-I", "-S", launch.__file__, *options, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **self._environment()},
            start_new_session=True,
        )

    def _last_words(self) -> str:
        if self._output is None:
            return ""
        with self._output.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(self._output_offset, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("ringfence: ") if lines else ""
