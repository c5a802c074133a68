"""Keeps the services of one data folder running.

    Supervisor ── one Keeper (a thread) for each service: start → wait for its end → back off → start …

Services start one after the other and stop in the opposite order; between, each is kept on its own, so that a database
that takes a minute to recover delays nobody else's restart. A thread each also because the kernel's parent-death
signal follows the *thread* that started a process: a keeper lives exactly as long as its service may.

At start, whatever a killed supervisor left behind is stopped first. One supervisor per data folder: a lock file.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from ringfence.errors import ConfigurationError, ConflictError, RingfenceError
from ringfence.node.state import (
    NodeState,
    ServiceState,
    is_same_process,
    read_state,
    remove_state,
    start_ticks,
    write_state,
)

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0
# Running this long, a service is taken to be well: the next crash is restarted at once.
WELL_AFTER_S = 30.0
_LEFTOVER_TIMEOUT_S = 10.0
_WAIT_S = 0.2

log = structlog.get_logger(__name__)


class Service(Protocol):
    """Something that runs as a process."""

    @property
    def pid(self) -> int | None:
        """Its process while it runs."""

    def start(self) -> None:
        """Return when it serves; RingfenceError when it cannot."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it has ended."""

    def interrupt(self) -> None:
        """Make a `start` under way in another thread give up; there will be no other."""

    def stop(self) -> None:
        """End it. Idempotent."""


class Keeper:
    """Runs one service in a thread until it is told to stop."""

    def __init__(self, name: str, service: Service, changed: threading.Event) -> None:
        self.name = name
        self._service = service
        self._changed = changed
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._first_error: BaseException | None = None
        self._state = "starting"
        self._since = datetime.now(UTC)
        self._restarts = 0
        self._thread = threading.Thread(target=self._run, name=f"keeper-{name}", daemon=True)

    def begin(self) -> None:
        """Start the service; returns when it serves, raises why it does not."""
        self._thread.start()
        self._started.wait()
        if self._first_error is not None:
            raise self._first_error

    def stop(self) -> None:
        """Stop the service and its thread."""
        self._stopping.set()
        self._service.interrupt()
        if self._thread.ident is not None:
            self._thread.join()

    def report(self) -> ServiceState:
        """How it stands."""
        pid = self._service.pid
        return ServiceState(self.name, self._state, pid, start_ticks(pid) if pid else None, self._restarts, self._since)

    def _run(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                if self._start_once():
                    while not self._stopping.is_set() and not self._service.wait(_WAIT_S):
                        pass
                elif not self._started.is_set():
                    return  # the first start failed: it is for the caller to say so
                if self._stopping.is_set():
                    return
                backoff_s = FIRST_BACKOFF_S if time.monotonic() - began > WELL_AFTER_S else backoff_s
                self._restarts += 1
                self._become("waiting")
                log.warning("node.service_died", service=self.name, restarts=self._restarts, again_in_s=backoff_s)
                self._stopping.wait(backoff_s)
                backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
        finally:
            self._service.stop()
            self._become("stopped")
            self._started.set()

    def _start_once(self) -> bool:
        self._become("starting")
        try:
            self._service.start()
        except Exception as error:
            if not self._started.is_set():
                self._first_error = error
            elif isinstance(error, RingfenceError):
                log.warning("node.start_failed", service=self.name, reason=error.message)
            else:
                log.exception("node.start_failed", service=self.name)
            return False
        self._become("running")
        log.info("node.service_started", service=self.name, pid=self._service.pid)
        self._started.set()
        return True

    def _become(self, state: str) -> None:
        self._state, self._since = state, datetime.now(UTC)
        self._changed.set()


class Supervisor:
    """The keepers of one data folder, under its lock. Use as a context manager: leaving it stops everything."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._keepers: list[Keeper] = []
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._since = datetime.now(UTC)
        self._lock: int | None = None
        self._reporter = threading.Thread(target=self._report_changes, name="node-reporter", daemon=True)

    def __enter__(self) -> Supervisor:
        run = self._data / "run"
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            run.mkdir(mode=0o700, exist_ok=True)
            self._lock = lock_node(self._data)
        except OSError as error:
            raise ConfigurationError(f"data: {run} cannot be used: {error.strerror}") from None
        stop_leftovers(self._data)
        self._changed.set()
        self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        for keeper in reversed(self._keepers):
            keeper.stop()
        self._closing.set()
        self._changed.set()
        self._reporter.join()
        remove_state(self._data)
        if self._lock is not None:
            os.close(self._lock)

    def run(self, name: str, service: Service) -> None:
        """Start a service and keep it running. Returns when it serves; raises when its first start fails."""
        keeper = Keeper(name, service, self._changed)
        self._keepers.append(keeper)
        keeper.begin()

    def report(self) -> NodeState:
        """All services, in start order."""
        pid = os.getpid()
        return NodeState(pid, start_ticks(pid), self._since, tuple(keeper.report() for keeper in self._keepers))

    def _report_changes(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._changed.clear()
            if not self._closing.is_set():
                with suppress(OSError):  # a full disk must not end the supervision
                    write_state(self._data, self.report())


def lock_node(data: Path) -> int:
    """Take a data folder for this process, until the returned descriptor is closed. ConflictError says who has it.

    Whoever runs a node, restores it or makes a standby of it holds this lock.
    """
    descriptor = os.open(data / "run" / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise ConflictError(
            f"ringfence up runs already on {data}{f' (process {holder})' if holder else ''}: "
            "stop it, or name another folder with --data"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def stop_leftovers(data: Path) -> None:
    """Stop the processes that a killed supervisor left on this data folder; its last report names them."""
    state = read_state(data)
    for service in reversed(state.services if state else ()):
        if service.pid is None or not service.is_running:
            continue
        log.warning("node.leftover_found", service=service.name, pid=service.pid)
        _end(service.pid, service.start_ticks)
    remove_state(data)


def _end(pid: int, ticks: int | None) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not is_same_process(pid, ticks):  # checked under the handle: the number cannot change hands any more
            return
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        # SIGINT is a fast shutdown for PostgreSQL and a clean stop for ours.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if poll.poll(_LEFTOVER_TIMEOUT_S * 1000):
                return
    finally:
        os.close(handle)
