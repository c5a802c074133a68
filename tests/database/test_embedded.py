"""The embedded server: where it may live, who it runs as, and what it survives."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ringfence.database.cluster import embedded_url, home_of, remove_cluster
from ringfence.database.connection import Database, open_database
from ringfence.database.embedded import EmbeddedServer
from ringfence.errors import ConflictError, UnavailableError
from ringfence.settings import DatabaseSettings, Settings

PACKAGE = Path(__file__).parents[2] / "python"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: changes the operating-system user")


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="ringfence-embedded-"))
    folder.chmod(0o755)
    yield folder / "data"
    remove_cluster(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(Settings(data=data))
    yield server
    server.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def kill(server: EmbeddedServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def test_listens_on_its_socket_only_and_asks_for_a_password(server: EmbeddedServer, data: Path) -> None:
    server.start()
    assert ask(server.url, "SHOW listen_addresses") == ""
    assert ask(server.url, "SHOW data_checksums") == "on"
    assert ask(server.url, "SHOW synchronous_commit") == "on"
    assert ask(server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url.replace("ringfence:", "ringfence:x", 1))
    secrets_file = home_of(data) / "secrets.json"
    assert stat.S_IMODE(secrets_file.stat().st_mode) == 0o600
    assert secrets_file.stat().st_uid == os.geteuid()
    assert server.url == embedded_url(data)


def test_never_runs_as_root(server: EmbeddedServer) -> None:
    server.start()
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_keeps_its_rows_and_passwords_over_a_restart(server: EmbeddedServer) -> None:
    server.start()
    url = server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    assert not server.is_running
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    server.start()
    assert ask(url, "SELECT number FROM kept") == 7


@dataclass
class Writer:
    """Commits numbers one by one, over restarts, and knows which were confirmed."""

    database: Database
    confirmed: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                with self.database.connection() as connection:
                    connection.execute("INSERT INTO written VALUES (%s)", [number])
            except UnavailableError:
                self.failed += 1
            else:
                self.confirmed += 1


def test_kill_under_writes_loses_no_committed_row_and_the_pool_comes_back(server: EmbeddedServer) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE SCHEMA ringfence")
        connection.execute("CREATE TABLE ringfence.written (number integer PRIMARY KEY)")
    database = Database(server.url, pool_size=4, checkout_timeout_s=1)
    try:
        with Writer(database) as writer:
            for _ in range(2):
                before = writer.confirmed
                eventually(lambda: writer.confirmed > before + 100, "rows are written")  # noqa: B023
                with pytest.raises(UnavailableError), database.connection() as connection:  # noqa: PT012 - at its end
                    connection.execute("INSERT INTO ringfence.written VALUES (-1)")
                    kill(server)
                    eventually(lambda: not server.is_running, "the postmaster is dead")
                began = time.monotonic()
                server.start()
                assert time.monotonic() - began < 15
            after = writer.confirmed
            eventually(lambda: writer.confirmed > after + 100, "the pool reconnects by itself", timeout_s=5)
    finally:
        database.close()
    assert ask(server.url, "SELECT count(*) FROM ringfence.written WHERE number < 0") == 0, "never confirmed"
    # A commit whose confirmation was lost may stand; a confirmed one must.
    stored = ask(server.url, "SELECT count(*) FROM ringfence.written")
    assert isinstance(stored, int)
    assert writer.confirmed <= stored <= writer.confirmed + writer.failed


def test_a_second_supervisor_is_refused_in_one_line(server: EmbeddedServer, data: Path) -> None:
    server.start()
    second = EmbeddedServer(Settings(data=data))
    with pytest.raises(ConflictError, match="another ringfence runs the embedded PostgreSQL") as caught:
        second.start()
    assert "\n" not in caught.value.message
    second.stop()
    assert server.is_running
    assert ask(server.url, "SELECT 1") == 1


OWNER = """
import sys, time
from pathlib import Path
from ringfence.database.embedded import EmbeddedServer
from ringfence.settings import Settings
server = EmbeddedServer(Settings(data=Path(sys.argv[1])))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
server.stop()
"""


def start_owner(data: Path) -> tuple[subprocess.Popen[str], int]:
    """A process of its own that runs the server of `data`."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data)],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    for line in owner.stdout:
        if line.strip().isdigit():
            return owner, int(line)
    raise AssertionError(f"the owner did not start: status {owner.wait()}")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_server_does_not_outlive_a_killed_owner(server: EmbeddedServer, data: Path) -> None:
    owner, postmaster = start_owner(data)
    with owner:
        owner.kill()
    eventually(lambda: not is_alive(postmaster), "the postmaster stops by itself")
    server.start()
    assert ask(server.url, "SELECT 1") == 1


def test_a_postmaster_that_outlived_its_owner_is_replaced(server: EmbeddedServer, data: Path) -> None:
    owner, postmaster = start_owner(data)
    with owner:
        os.kill(postmaster, signal.SIGSTOP)  # cannot follow its owner
        owner.kill()
    resume = threading.Timer(0.3, os.kill, (postmaster, signal.SIGCONT))
    resume.start()
    server.start()
    resume.join()
    assert server.pid != postmaster
    assert not is_alive(postmaster)
    assert ask(server.url, "SELECT 1") == 1


def test_lock_files_of_a_killed_server_that_nobody_has_reaped_are_no_obstacle(
    server: EmbeddedServer, data: Path
) -> None:
    server.start()
    file = home_of(data) / "cluster" / "postmaster.pid"
    lines = file.read_text(encoding="ascii").splitlines()
    kill(server)
    eventually(lambda: not server.is_running, "the postmaster is dead")
    server.stop()
    zombie = subprocess.Popen(["true"])
    try:
        eventually(lambda: not is_alive(zombie.pid), "it is a zombie")
        for lock_file in (file, home_of(data) / "socket" / ".s.PGSQL.5432.lock"):
            lock_file.write_text("\n".join([str(zombie.pid), *lines[1:]]) + "\n", encoding="ascii")
        began = time.monotonic()
        server.start()
        assert time.monotonic() - began < 10
        assert ask(server.url, "SELECT 1") == 1
    finally:
        zombie.wait()


def test_a_pid_file_that_names_another_process_is_no_obstacle(server: EmbeddedServer, data: Path) -> None:
    server.start()
    file = home_of(data) / "cluster" / "postmaster.pid"
    lines = file.read_text(encoding="ascii").splitlines()
    kill(server)
    eventually(lambda: not server.is_running, "the postmaster is dead")
    server.stop()
    # As after a reboot: the number now belongs to a program of the same user.
    bystander = subprocess.Popen(["sleep", "60"], user=file.stat().st_uid)
    try:
        file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n", encoding="ascii")
        server.start()
        assert ask(server.url, "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@as_root
def test_as_root_a_data_folder_that_nobody_may_enter_is_served_and_left_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = closed / "data"
    modes = {folder: folder.stat() for folder in (tmp_path, closed)}
    server = EmbeddedServer(Settings(data=data))
    try:
        server.start()
        cluster = Path(str(ask(server.superuser_url, "SHOW data_directory")))
        assert cluster.is_relative_to("/var/lib/ringfence/clusters")
        assert {folder: folder.stat().st_mode for folder in modes} == {f: s.st_mode for f, s in modes.items()}
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.stop()
        server.start()
        assert ask(server.url, "SELECT number FROM kept") == 7
        database = open_database(Settings(data=data))
        database.close()
    finally:
        server.stop()
        remove_cluster(data)
    assert not home_of(data).exists()
    assert not cluster.parent.exists()


@as_root
def test_as_root_programs_that_the_servers_user_cannot_reach_are_copied(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringfence.database import programs

    wheel = programs._from_wheel()
    assert wheel is not None
    package = wheel.bin.parent.parent
    hidden = tmp_path / "site-packages"  # below pytest's 0700 folder
    shutil.copytree(package, hidden / package.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), hidden / f"{package.name}.libs")
    monkeypatch.setattr(
        programs, "_from_wheel", lambda: programs._inspect(hidden / package.name / "pginstall/bin", "wheel")
    )
    state = data.parent / "state"
    monkeypatch.setattr(programs, "STATE_FOLDER", state)
    server = EmbeddedServer(Settings(data=data))
    try:
        server.start()
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(state / "postgresql" / wheel.version)
        assert ask(server.url, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_path_longer_than_a_socket_address_is_served(data: Path) -> None:
    deep = data.parent / ("d" * 60) / ("e" * 60) / "data"
    server = EmbeddedServer(Settings(data=deep))
    try:
        server.start()
        assert ask(server.superuser_url, "SHOW data_directory") == str(home_of(deep) / "cluster")
        socket_folder = Path(str(ask(server.superuser_url, "SHOW unix_socket_directories")).strip('"'))
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    finally:
        server.stop()
        remove_cluster(deep)


@pytest.mark.parametrize("name", ["with space", "it's, quoted", 'double"quote', "ümläut%s"])
def test_unusual_folder_names_are_served(data: Path, name: str) -> None:
    server = EmbeddedServer(Settings(data=data / name))
    try:
        server.start()
        assert ask(embedded_url(data / name), "SELECT 1") == 1
    finally:
        server.stop()


ORDINARY = """
import sys
from pathlib import Path
import psycopg
from ringfence.database.embedded import EmbeddedServer
from ringfence.settings import Settings
server = EmbeddedServer(Settings(data=Path(sys.argv[1])))
for _ in range(2):
    server.start()
    user = Path(f"/proc/{server.pid}").stat().st_uid
    server.stop()
print("RAN AS", user)
"""


@as_root
def test_works_as_an_ordinary_user() -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}
    folder = Path(tempfile.mkdtemp(prefix="ringfence-ordinary-"))
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    environment = {"PYTHONPATH": os.pathsep.join([str(PACKAGE), *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        result = subprocess.run(
            [python_for(as_nobody), "-c", ORDINARY, str(folder / "data")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **as_nobody,
        )
        assert result.returncode == 0, result.stderr
        assert f"RAN AS {nobody.pw_uid}" in result.stdout
        assert (folder / "data" / "postgresql" / "cluster").stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_for(user: dict[str, Any]) -> str:
    """An interpreter like ours that this user may run: ours may lie below /root."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        with suppress(OSError):
            if (
                subprocess.run([candidate, "-c", "import ctypes"], check=False, capture_output=True, **user).returncode
                == 0
            ):
                return candidate
    pytest.skip(f"no python{version} that an ordinary user may run")


def test_a_configured_folder_without_programs_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    from ringfence.errors import ConfigurationError

    server = EmbeddedServer(Settings(data=data, database=DatabaseSettings(bin=tmp_path)))
    with pytest.raises(ConfigurationError, match=r"^database\.bin: no PostgreSQL programs in"):
        server.start()


def test_a_configuration_that_postgresql_refuses_is_named_and_can_be_repaired(
    server: EmbeddedServer, data: Path
) -> None:
    server.start()
    server.stop()
    local = home_of(data) / "cluster" / "local.conf"
    local.write_text("shared_buffers = nonsense\n", encoding="ascii")
    local.chmod(0o644)
    with pytest.raises(UnavailableError, match=r"did not start: .*(configuration|shared_buffers)") as caught:
        server.start()
    assert "\n" not in caught.value.message
    local.write_text("work_mem = '5MB'\n", encoding="ascii")
    server.start()
    assert ask(server.url, "SHOW work_mem") == "5MB"
