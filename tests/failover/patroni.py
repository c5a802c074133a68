"""etcd and PostgreSQL under Patroni on ports of loopback, set up as docs/operations/external-database.md says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from psycopg import conninfo
from tests.failover.pair_node import free_ports
from tests.mediation_server import wait_until

from ringfence.database.programs import find_programs, server_environment, server_user
from ringfence.settings import DatabaseSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations" / "external-database.md"
PROGRAMS = ("etcd", "patroni", "patronictl")
HOST = "127.0.0.1"
# A test does not wait half a minute for a primary that is lost.
QUICK = {"ttl": 10, "loop_wait": 1, "retry_timeout": 3}


def missing_programs() -> list[str]:
    """Which of Debian's programs are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def documented_configuration() -> dict[str, Any]:
    """The document's `/etc/patroni/config.yml`."""
    found = re.search(r"```yaml\n(scope:.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    configuration: dict[str, Any] = yaml.safe_load(found[1])
    return configuration


class Member:
    """One machine: PostgreSQL, and Patroni over it."""

    def __init__(self, name: str, folder: Path, etcd_port: int) -> None:
        self.name = name
        self.port, self.rest_port = free_ports(2)
        self.data = folder / name
        self.configuration = folder / f"{name}.yml"
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._write(folder, etcd_port)

    def _write(self, folder: Path, etcd_port: int) -> None:
        """The documented configuration, with this machine's addresses and folders; loopback goes without TLS."""
        said = documented_configuration()
        postgresql = said["postgresql"]
        said["name"] = self.name
        said["etcd3"]["hosts"] = f"{HOST}:{etcd_port}"
        said["restapi"] = dict.fromkeys(said["restapi"], f"{HOST}:{self.rest_port}")
        said["bootstrap"]["dcs"].update(QUICK)
        postgresql |= dict.fromkeys(("listen", "connect_address"), f"{HOST}:{self.port}")
        postgresql |= {"data_dir": str(self.data), "bin_dir": str(server_programs())}
        postgresql["pgpass"] = str(folder / f"{self.name}.pgpass")
        parameters = postgresql["parameters"]
        for name in [name for name in parameters if name.startswith("ssl")]:
            del parameters[name]
        parameters |= {"unix_socket_directories": str(folder), "shared_buffers": "16MB"}
        postgresql["pg_hba"] = [
            rule.replace("hostssl", "host").replace("10.0.0.0/24", f"{HOST}/32").replace("peer", "trust")
            for rule in postgresql["pg_hba"]
        ]
        self.configuration.write_text(yaml.safe_dump(said), encoding="utf-8")

    def start(self) -> None:
        """Patroni, which starts PostgreSQL."""
        self.process = run_as_server(["patroni", str(self.configuration)], self.log)

    def state(self) -> Mapping[str, Any]:
        """What Patroni says of it; empty while it says nothing."""
        with suppress(httpx.TransportError, ValueError):
            answer: Mapping[str, Any] = httpx.get(f"http://{HOST}:{self.rest_port}/patroni", trust_env=False).json()
            return answer
        return {}

    @property
    def is_leader(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://{HOST}:{self.rest_port}/leader", trust_env=False).is_success
        return False

    @property
    def is_synchronous(self) -> bool:
        """Whether it has all that was ever committed."""
        with suppress(httpx.TransportError):
            return httpx.get(f"http://{HOST}:{self.rest_port}/sync", trust_env=False).is_success
        return False

    def kill(self) -> None:
        """As the machine's power cut: nothing of it says a last word."""
        pids = []
        with suppress(FileNotFoundError, IndexError):
            postmaster = int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
            pids = [postmaster, *map(int, children)]
        if self.process is not None:
            pids.append(self.process.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        if self.process is not None:
            self.process.wait()
            self.process = None


class PatroniCluster:
    """Two members and the etcd that they agree through."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ringfence-patroni-"))
        user = server_user()
        user.own(self.folder)
        etcd_port, peer_port = free_ports(2)
        self._etcd_url = f"http://{HOST}:{etcd_port}"
        self._etcd_flags = [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls=http://{HOST}:{peer_port}",
            f"--initial-advertise-peer-urls=http://{HOST}:{peer_port}",
            f"--initial-cluster=default=http://{HOST}:{peer_port}",
            "--unsafe-no-fsync",
        ]
        self._etcd: subprocess.Popen[bytes] | None = None
        self.members = [Member(name, self.folder, etcd_port) for name in ("db1", "db2")]

    def start(self) -> None:
        """Until one leads and the other is its synchronous standby, with Ringfence's role and database."""
        self._etcd = run_as_server(["etcd", *self._etcd_flags], self.folder / "etcd.log")
        wait_until(lambda: _is_healthy(self._etcd_url), 30)
        first, second = self.members
        first.start()
        wait_until(lambda: first.is_leader, 60)
        second.start()
        with psycopg.connect(self._administrator(first), autocommit=True) as connection:
            connection.execute("CREATE ROLE ringfence LOGIN CREATEDB PASSWORD 'secret'")
            connection.execute("CREATE DATABASE ringfence OWNER ringfence TEMPLATE template0 ENCODING 'UTF8'")
        wait_until(lambda: second.is_synchronous, 60)

    @property
    def url(self) -> str:
        """What a mediation is given."""
        places = ",".join(f"{HOST}:{member.port}" for member in self.members)
        return f"postgresql://ringfence:secret@{places}/ringfence?target_session_attrs=read-write"

    def primary(self) -> Member:
        """Who leads now."""
        leader: Member = wait_until(lambda: next((one for one in self.members if one.is_leader), None), 30)
        return leader

    def other(self, member: Member) -> Member:
        return next(one for one in self.members if one is not member)

    def switch_over(self, old: Member) -> None:
        """As the document says; returns when Patroni is done."""
        command = ["patronictl", "-c", str(old.configuration), "switchover", "--leader", old.name]
        command += ["--candidate", self.other(old).name, "--force"]
        done = subprocess.run(
            command, env=server_environment() | {"LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False
        )
        assert "Successfully switched over" in done.stdout, done.stdout + done.stderr

    def remove(self) -> None:
        for member in self.members:
            member.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _administrator(self, member: Member) -> str:
        login = documented_configuration()["postgresql"]["authentication"]["superuser"]
        return conninfo.make_conninfo(
            host=HOST, port=member.port, dbname="postgres", user=login["username"], password=login["password"]
        )


def server_programs() -> Path:
    """Debian's PostgreSQL, as the document has it; else the wheel's."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return debian[0].parent if debian else find_programs(DatabaseSettings(), server_user()).bin


def run_as_server(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A program as the account that PostgreSQL runs as: it refuses root."""
    user = server_user()
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            env=server_environment() | {"LC_ALL": "C.UTF-8"},
            cwd="/",
            stdout=out,
            stderr=out,
            user=user.uid if user.is_other else None,
            group=user.gid if user.is_other else None,
            extra_groups=[] if user.is_other else None,
        )


def _is_healthy(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False).is_success
    return False
