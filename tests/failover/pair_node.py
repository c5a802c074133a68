"""A pair's node as an operator has it: `ringfence up` in a folder of its own, and the commands on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from tests.environment import environment
from tests.system.running_node import PACKAGE, eventually
from tests.warm import SERVERS, WarmProcess, run

from ringfence.availability.failover.node import Node
from ringfence.database.cluster import embedded_url, remove_cluster
from ringfence.node.state import read_state
from ringfence.node.supervisor import stop_leftovers
from ringfence.settings import Settings, load_settings

COMMAND = [sys.executable, "-m", "ringfence"]


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Ports that were free a moment ago, all different: who uses them knows them before they are listened on."""
    taken = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in taken]
    finally:
        for one in taken:
            one.close()


class PairNode:
    """Database and mediation of one site."""

    def __init__(
        self,
        name: str,
        port: int,
        partner: str,
        data: Path | None = None,
        extra: dict[str, str] | None = None,
        more: str = "[backup]\njobs = 1\n",
    ) -> None:
        """`partner`: URL of the other pair; `data`: a folder that is there, else one is made; `extra`: environment.

        `more`: further lines of its configuration.
        """
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.environment = environment(PYTHONPATH=str(PACKAGE), **(extra or {}))
        self.data = data or Path(tempfile.mkdtemp(prefix=f"ringfence-{name}-"))
        self.data.chmod(0o755)
        self.config = self.data / "ringfence.toml"
        self.config.write_text(
            f'data = "{self.data}"\n[api]\nport = {port}\n[enum]\nenabled = false\n{more}'
            f'[availability]\npartners = ["{partner}"]\n',
            encoding="utf-8",
        )
        self._process: WarmProcess | subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """As its commands read them."""
        return load_settings(self.config, {})

    @property
    def there(self) -> str:
        """How a command is called on this node from the other one."""
        return f"env RINGFENCE_CONFIG={self.config} PYTHONPATH={PACKAGE} {sys.executable} -m ringfence"

    def start(self, until: str = "Ctrl-C stops") -> None:
        """`ringfence up`, until it says so."""
        output = self.data / "output"
        with output.open("wb") as out:
            self._process = SERVERS.start(
                ["up", "--config", str(self.config)], self.environment, stdout=out, stderr=out, start_new_session=True
            )
        process = self._process
        eventually(
            lambda: until in output.read_text(encoding="utf-8") or process.poll() is not None, f"{self.name} runs", 120
        )
        assert process.poll() is None, output.read_text(encoding="utf-8")

    def stop(self) -> None:
        """As its operator stops it, whoever started it."""
        Node(self.settings).stop()
        self._reap()

    def kill(self) -> None:
        """As a power cut of the site does: everything at once."""
        state = read_state(self.data)
        assert state is not None
        pids = [state.pid, *(service.pid for service in state.services if service.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self._reap()

    def remove(self) -> None:
        """Leave nothing behind."""
        if (self.data / "run" / "up.lock").exists():
            self.stop()
        stop_leftovers(self.data)
        remove_cluster(self.data)
        shutil.rmtree(self.data, ignore_errors=True)

    def cli(self, *arguments: str, status: int | None = 0, timeout_s: float = 200) -> str:
        """A command on this node; its exit status is checked (None: any), and that it never shows a traceback."""
        done = run([*arguments, "--config", str(self.config)], "", self.environment, timeout_s)
        said = f"{done.stdout}{done.stderr}"
        assert status in (None, done.returncode), f"{arguments}: status {done.returncode}: {said}"
        assert "Traceback" not in said, said
        return said

    def json(self, *arguments: str, status: int | None = 0, timeout_s: float = 200) -> Any:
        """What a command prints with --json, after what it logs."""
        said = self.cli(*arguments, "--json", status=status, timeout_s=timeout_s)
        return json.loads(next(line for line in reversed(said.splitlines()) if line.startswith("{")))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Straight from its database."""
        with psycopg.connect(embedded_url(self.data), options="-c search_path=ringfence") as connection:
            return connection.execute(query.encode()).fetchall()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(60)
