"""The command from a process that has its modules loaded and forks for each run.

A test's command is a process of its own, with arguments, environment, input, output and exit code of its own, as
`python -m ringfence` makes it; only what every one of them loads is loaded once. Starting Python anew costs more
than most commands, and the suite runs hundreds.

    WarmCommand.run ── socket: arguments, environment, folder; three files ─► _serve ── fork ─► runpy: `ringfence`
                    ◄─ exit code ────────────────────────────────────────────        ◄─ wait
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from tests.environment import environment

# Commands that bring the libraries of a server: each run of them loads what it needs, as do servers.
_SERVERS = {"up", "mediation", "database"}
_MAX_REQUEST = 1 << 20


class WarmCommand:
    """Runs `ringfence`, one run at a time. The process behind it starts with the first run and ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def run(
        self, arguments: Sequence[str], stdin: str, variables: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of `python -m ringfence`, with text captured. TimeoutExpired after `timeout_s`."""
        with self._lock, tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, \
                tempfile.TemporaryFile() as errors:  # fmt: skip
            given.write(stdin.encode())
            given.seek(0)
            request = {"arguments": list(arguments), "environment": dict(variables), "folder": str(Path.cwd())}
            talk = self._connected()
            talk.settimeout(timeout_s)
            socket.send_fds(talk, [json.dumps(request).encode()], [given.fileno(), out.fileno(), errors.fileno()])
            try:
                answer = talk.recv(64)
            except TimeoutError:
                self.close()
                raise subprocess.TimeoutExpired(list(arguments), timeout_s) from None
            assert answer, "the process that runs the commands has ended"
            texts = []
            for file in (out, errors):
                file.seek(0)
                texts.append(file.read().decode().replace("\r\n", "\n"))
            return subprocess.CompletedProcess(list(arguments), int(answer), *texts)

    def close(self) -> None:
        """End the process, and with it a command that still runs."""
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._server = self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, "-m", "tests.cli.warm", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=environment(PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
                    cwd=Path(__file__).parents[2],
                )
            self._socket = ours
            atexit.register(self.close)
        return self._socket


def _serve(descriptor: int) -> None:
    from ringfence.cli.main import GROUPS

    for group in GROUPS:
        if group not in _SERVERS:
            import_module(f"ringfence.cli.{group}")
    with socket.socket(fileno=descriptor) as talk:
        while True:
            request, files, _, _ = socket.recv_fds(talk, _MAX_REQUEST, 3)
            if not request:
                return
            child = os.fork()
            if child == 0:
                talk.close()
                _run(json.loads(request), files)
            for file in files:
                os.close(file)
            _, status = os.waitpid(child, 0)
            talk.send(str(os.waitstatus_to_exitcode(status)).encode())


def _run(request: dict[str, object], files: Sequence[int]) -> NoReturn:
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        variables, arguments = request["environment"], request["arguments"]
        assert isinstance(variables, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(str(request["folder"]))
        sys.argv[1:] = arguments
        runpy.run_module("ringfence", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # what Python itself prints where nobody catches it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
