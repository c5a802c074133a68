"""Programs of ours from a process that has their modules loaded and forks for each run.

What a test starts is a process of its own, with arguments, environment, folder, files and exit code of its own, as
`python -m ringfence` makes it; only what every one of them loads is loaded once. A mediation's modules cost three
seconds of a processor, and the suite starts hundreds of processes. (What `ringfence up` starts, it starts as in life.)

    WarmPrograms.start ── socket: module, arguments, environment, folder; three files ─► _serve ── fork ─► runpy
    WarmProcess.wait   ◄─ pid, then exit code ──────────────────────────────────────────        ◄─ pidfd
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.environment import environment

# Commands that bring the libraries of a server: no other command shall have them for nothing.
_SERVERS = ("up", "mediation", "database")
_MAX_MESSAGE = 1 << 20
_START_S = 60.0


class WarmProcess:
    """A process that `WarmPrograms.start` made; the words of `subprocess.Popen` that tests use."""

    def __init__(self, programs: WarmPrograms, pid: int, command: Sequence[str], errors: IO[bytes] | None) -> None:
        self.pid = pid
        self.args = list(command)
        self._programs = programs
        self._errors = errors

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen` has it: negative for a signal, None while it runs."""
        return self._programs.ended.get(self.pid)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code when it has ended; TimeoutExpired after `timeout` seconds."""
        with self._programs.news:
            if not self._programs.news.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._programs.ended[self.pid]

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self) -> str:
        """What it has written to its standard error, if that went nowhere else."""
        assert self._errors is not None
        return os.pread(self._errors.fileno(), _MAX_MESSAGE, 0).decode()

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmPrograms:
    """Starts programs out of one process, which itself starts with the first and ends with this one."""

    def __init__(self, kind: str) -> None:
        """`kind`: "command", or "server" with all that a mediation loads."""
        self.kind = kind
        self.news = threading.Condition()
        self.ended: dict[int, int] = {}
        self._started: list[int] = []
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        *,
        module: str = "ringfence",
        stdin: IO[Any] | None = None,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
        start_new_session: bool = False,
    ) -> WarmProcess:
        """As `subprocess.Popen` of `python -m MODULE ARGUMENTS`; without `stderr` it is kept for `said`."""
        request = {
            "module": module, "arguments": list(arguments), "environment": dict(variables),
            "folder": str(Path.cwd()), "session": start_new_session,
        }  # fmt: skip
        kept = None if stderr is not None else tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with self._lock, Path(os.devnull).open("r+") as nothing:
            files = [file.fileno() for file in (stdin or nothing, stdout or nothing, stderr or kept) if file]
            socket.send_fds(self._connected(), [json.dumps(request).encode()], files)
            with self.news:
                assert self.news.wait_for(lambda: self._started, _START_S), "the process behind it does not answer"
                return WarmProcess(self, self._started.pop(), (module, *arguments), kept)

    def close(self) -> None:
        """End the process, and with it what still runs of its children."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._server is not None:
            self._server.wait()
        self._server = self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm", str(theirs.fileno()), self.kind],
                    pass_fds=[theirs.fileno()],
                    env=environment(PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
                    cwd=Path(__file__).parents[1],
                )
            self._socket = ours
            threading.Thread(target=self._listen, args=(ours,), name="warm", daemon=True).start()
            atexit.register(self.close)
        return self._socket

    def _listen(self, talk: socket.socket) -> None:
        while said := talk.recv(_MAX_MESSAGE):
            pid, code = json.loads(said)
            with self.news:
                if code is None:
                    self._started.append(pid)
                else:
                    self.ended[pid] = code
                self.news.notify_all()
        talk.close()


def run(
    arguments: Sequence[str], stdin: str, variables: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` of `python -m ringfence`, with text captured. TimeoutExpired after `timeout_s`."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        given.write(stdin.encode())
        given.seek(0)
        process = COMMANDS.start(arguments, variables, stdin=given, stdout=out, stderr=errors)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(list(arguments), code, *texts)


COMMANDS = WarmPrograms("command")
SERVERS = WarmPrograms("server")


def _serve(descriptor: int, kind: str) -> None:
    from ringfence.cli.main import GROUPS

    for group in GROUPS:
        if group not in _SERVERS or kind == "server":
            import_module(f"ringfence.cli.{group}")
    if kind == "server":
        for server in ("ringfence.mediation.app", "ringfence.console.pages", "ringfence.edge.agent"):
            import_module(server)
        import_module("ringfence.api.application").routes_of_resources()
    assert threading.active_count() == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()  # or each child's first collection copies every page
    children: dict[int, int] = {}
    with socket.socket(fileno=descriptor) as talk, selectors.DefaultSelector() as waiting:
        waiting.register(talk, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not talk:
                    _reap(talk, waiting, children, key.fd)
                elif not _start(talk, waiting, children):
                    for pid in children.values():
                        os.kill(pid, signal.SIGKILL)
                    return


def _start(talk: socket.socket, waiting: selectors.BaseSelector, children: dict[int, int]) -> bool:
    """Fork for one request; whether there was one."""
    request, files, _, _ = socket.recv_fds(talk, _MAX_MESSAGE, 3)
    if not request:
        return False
    child = os.fork()
    if child == 0:
        _run(json.loads(request), files)
    for file in files:
        os.close(file)
    children[handle := os.pidfd_open(child)] = child
    waiting.register(handle, selectors.EVENT_READ)
    talk.send(json.dumps([child, None]).encode())
    return True


def _reap(talk: socket.socket, waiting: selectors.BaseSelector, children: dict[int, int], handle: int) -> None:
    waiting.unregister(handle)
    os.close(handle)
    pid, status = os.waitpid(children.pop(handle), 0)
    talk.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def _run(request: dict[str, Any], files: Sequence[int]) -> NoReturn:
    code = 1
    try:
        if request["session"]:
            os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv[1:] = request["arguments"]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
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
    _serve(int(sys.argv[1]), sys.argv[2])
