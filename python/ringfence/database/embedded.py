"""Supervisor of the embedded PostgreSQL server: makes the cluster, starts it, waits until it accepts, stops it.

One `EmbeddedServer` holds one data folder's server (a lock file sees to that). It is passive: whoever owns it asks
`is_running` and calls `start` again after a crash.

What may be found at a start, and what is done:

    nothing                             initdb, start
    a cluster that was stopped          start
    a cluster after kill -9             start; PostgreSQL refuses while processes of the old server use the shared
                                        memory ("pre-existing shared memory block"): retried
    a live postmaster of a dead owner   stopped first (it normally stops by itself, see `launch`)
    lock files that name a zombie, or   removed: PostgreSQL would refuse as long as that process is there
    somebody else's process
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import structlog
from psycopg import sql
from psycopg.pq import Ping

from ringfence.database import launch
from ringfence.database.cluster import (
    APPLICATION,
    SUPERUSER,
    Place,
    home_of,
    make_cluster,
    make_home,
    read_secrets,
    settle,
    write_configuration,
)
from ringfence.database.programs import Programs, find_programs, server_environment, server_user
from ringfence.errors import ConflictError, UnavailableError
from ringfence.settings import Settings

# Crash recovery replays at most max_wal_size; minutes on a slow disk. While it does, the server answers "starting up".
START_TIMEOUT_S = 300.0
SILENT_TIMEOUT_S = 30.0
# How long a start is retried while processes of a killed server linger.
LINGER_TIMEOUT_S = 20.0
# Fast shutdown ends with a checkpoint of everything in memory.
STOP_TIMEOUT_S = 60.0
_POLL_S = 0.02
_TAIL_BYTES = 4096
_LINGERING = ("lock file", "pre-existing shared memory")

log = structlog.get_logger(__name__)


class EmbeddedServer:
    """The PostgreSQL server of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = home_of(settings.data)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._place: Place | None = None
        self._interrupted = threading.Event()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def is_running(self) -> bool:
        """Whether the postmaster runs; False after a crash until `start` is called again."""
        return self.pid is not None

    @property
    def url(self) -> str:
        """URL of the application's role and database."""
        return self._require_place().url(APPLICATION, read_secrets(self._home).application, APPLICATION)

    @property
    def superuser_url(self) -> str:
        """URL of the superuser, for maintenance: never handed to the application."""
        return self._require_place().url(SUPERUSER, read_secrets(self._home).superuser, SUPERUSER)

    def start(self) -> None:
        """Return when the server accepts connections. Raises ConfigurationError, ConflictError, UnavailableError."""
        if self.is_running:
            return
        user = server_user()
        programs = find_programs(self._settings.database, user)
        make_home(self._settings.data)
        self._take_lock()
        try:
            self._place = settle(self._settings.data, user)
            make_cluster(self._place, programs, user)
            _stop_leftover(self._place)
            write_configuration(self._place, user)
            began = time.monotonic()
            self._launch_until_it_stays(programs, user.uid, user.gid)
            self._ensure_application()
        except BaseException:
            self.stop()
            raise
        log.info(
            "database.started",
            pid=self.pid,
            version=programs.version,
            programs=programs.origin,
            user=user.name,
            seconds=round(time.monotonic() - began, 2),
        )

    def wait(self, timeout_s: float) -> bool:
        """Wait for the postmaster's end; whether it has ended."""
        return self._process is None or wait_for_end(self._process, timeout_s)

    def interrupt(self) -> None:
        """Make a `start` under way in another thread give up; none can follow."""
        self._interrupted.set()

    def stop(self) -> None:
        """Stop the server (fast: open transactions are rolled back) and release the data folder. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            for number, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(patience_s)
                    break
                log.warning("database.stop_slow", signal=number.name, pid=process.pid)
            log.info("database.stopped", status=process.returncode)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _require_place(self) -> Place:
        if self._place is None:
            raise UnavailableError("database: the embedded server has not been started")
        return self._place

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        descriptor = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConflictError(
                f"database: another ringfence runs the embedded PostgreSQL in {self._home.parent}"
            ) from None
        self._lock = descriptor

    def _launch_until_it_stays(self, programs: Programs, uid: int, gid: int) -> None:
        place = self._require_place()
        give_up = time.monotonic() + LINGER_TIMEOUT_S
        while True:
            self._process = self._launch(place, programs, uid, gid)
            if self._wait_until_accepting(self._process):
                return
            said = self._first_words()
            if not any(words in said for words in _LINGERING) or time.monotonic() > give_up:
                raise UnavailableError(f"database: PostgreSQL did not start: {_last_line(said)}")
            log.debug("database.start_retried", said=_last_line(said))
            time.sleep(0.1)

    def _launch(self, place: Place, programs: Programs, uid: int, gid: int) -> subprocess.Popen[bytes]:
        # SIGINT, "fast shutdown", should we be killed. A session of its own: Ctrl-C at the terminal is for us, and we
        # stop the database after those that use it.
        options = [str(number) for number in (os.getpid(), uid, gid, int(signal.SIGINT))]
        server = [str(programs.bin / "postgres"), "-D", str(place.cluster)]
        with (place.home / "start.log").open("wb") as output:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", launch.__file__, *options, *server],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
            )

    def _first_words(self) -> str:
        """What this start said: on its error output, and then in the server's own log."""
        first = self._home / "start.log"
        said = first.read_text(encoding="utf-8", errors="replace")
        began = first.stat().st_ctime
        logs = (self._require_place().cluster / "log").glob("*.log")
        newest = max(logs, key=lambda file: file.stat().st_mtime, default=None)
        if newest is not None and newest.stat().st_mtime >= began:
            with newest.open("rb") as file:
                file.seek(max(0, newest.stat().st_size - _TAIL_BYTES))
                said += file.read().decode("utf-8", "replace")
        return said

    def _wait_until_accepting(self, process: subprocess.Popen[bytes]) -> bool:
        """True when it accepts, False when it has exited; UnavailableError after a timeout."""
        url = self.superuser_url.encode()
        began = time.monotonic()
        while process.poll() is None:
            answer = psycopg.pq.PGconn.ping(url)
            if answer == Ping.OK:
                return True
            if self._interrupted.is_set():
                raise UnavailableError("database: interrupted")
            patience_s = START_TIMEOUT_S if answer == Ping.REJECT else SILENT_TIMEOUT_S
            if time.monotonic() > began + patience_s:
                raise UnavailableError(f"database: PostgreSQL did not accept connections for {patience_s:.0f} s")
            time.sleep(_POLL_S)
        return False

    def _ensure_application(self) -> None:
        """The application's role (not a superuser) and its database, made after the first start."""
        try:
            with psycopg.connect(self.superuser_url, autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION]).fetchone():
                    password = read_secrets(self._home).application.encode()
                    # Only the verifier goes over the wire: no log can hold the password.
                    verifier = connection.pgconn.encrypt_password(password, APPLICATION.encode(), b"scram-sha-256")
                    connection.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(APPLICATION), sql.Literal(verifier.decode())
                        )
                    )
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [APPLICATION]).fetchone():
                    name = sql.Identifier(APPLICATION)
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        except psycopg.Error as error:
            raise UnavailableError(f"database: {_last_line(str(error))}") from error


def wait_for_end(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Sleep until a child ends, `timeout_s` at most; whether it has. (Popen.wait with a timeout polls.)"""
    if process.poll() is not None:
        return True
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return process.poll() is not None
    try:
        _ended(handle, timeout_s)
    finally:
        os.close(handle)
    return process.poll() is not None


def _stop_leftover(place: Place) -> None:
    """Stop a postmaster that outlived its owner, then drop lock files that name no live postmaster of this cluster.

    PostgreSQL takes any live process of its user for a postmaster, and a dead one too until its parent has reaped it
    (never, in a container without an init). That nothing of the old server still uses the cluster it finds out by
    itself, from the shared memory.
    """
    file = place.cluster / "postmaster.pid"
    with suppress(FileNotFoundError, ProcessLookupError, ValueError, OverflowError):
        pid = int(file.read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
        handle = os.pidfd_open(pid)
        try:
            if _is_postmaster_of(pid, place.cluster):
                log.warning("database.leftover_found", pid=pid)
                _end_postmaster(pid, handle)
        finally:
            os.close(handle)
    for stale in (file, place.socket_lock):
        stale.unlink(missing_ok=True)


def _end_postmaster(pid: int, handle: int) -> None:
    for number, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        if _ended(handle, patience_s):
            return
    raise UnavailableError(f"database: the PostgreSQL process {pid} of an earlier start cannot be stopped")


def _is_postmaster_of(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is a PostgreSQL server in `cluster` (it changes into its data directory)."""
    process = Path("/proc") / str(pid)
    try:
        return (process / "cwd").samefile(cluster) and (process / "exe").readlink().name.startswith("postgres")
    except OSError:
        return False  # gone, or of a user whose processes we may not look into: then it is not ours


def _ended(handle: int, patience_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(patience_s * 1000))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "FATAL" in line or "ERROR" in line] or text.splitlines()
    return lines[-1] if lines else "it said nothing"
