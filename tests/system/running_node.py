"""A whole Ringfence on this machine, as an operator has it: `ringfence up` in a folder of its own, ports picked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.query
import psycopg
from tests.cli.conftest import run_ringfence
from tests.environment import environment
from tests.warm import SERVERS, WarmProcess

from ringfence.database.cluster import embedded_url, remove_cluster
from ringfence.node.state import read_state

PACKAGE = Path(__file__).parents[2] / "python"
START_TIMEOUT_S = 90.0
SOURCE_OPTION = 4


def eventually(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Poll until `condition` holds; AssertionError names what did not come."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


class RunningNode:
    """`ringfence up` and the operator's commands against it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.output = folder / "output"
        self._process: WarmProcess | None = None

    def start(self) -> None:
        """Start and wait for the line that says how to stop."""
        with self.output.open("wb") as output:
            self._process = SERVERS.start(
                ["up", "--data", str(self.data), "--port", "0", "--listen", "127.0.0.1:0"],
                environment(PYTHONPATH=str(PACKAGE)),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = self._process
        eventually(
            lambda: "Ctrl-C stops" in self.said() or process.poll() is not None, "ringfence up runs", START_TIMEOUT_S
        )
        assert process.poll() is None, f"ringfence up ended: {self.said()}"

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(90)

    def kill(self) -> None:
        """Kill -9 of the supervisor itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def said(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8")

    def cli(self, *arguments: str, status: int = 0) -> str:
        """Standard output of a command on this node; its exit status is checked."""
        result = run_ringfence(*arguments, "--data", str(self.data))
        assert result.returncode == status, f"{arguments}: status {result.returncode}: {result.stdout}{result.stderr}"
        return result.stdout

    def events(self) -> list[dict[str, Any]]:
        """`ringfence events --json`."""
        return [json.loads(line) for line in self.cli("events", "--json").splitlines()]

    def enum_address(self) -> tuple[str, int]:
        """Where its ENUM server answers."""
        listen = json.loads((self.data / "run" / "enum.json").read_text(encoding="utf-8"))["listen"]
        host, _, port = listen[0].rpartition(":")
        return host, int(port)

    def decide(self, destination: str, source: str = "+12105550123") -> str:
        """The regexp of the NAPTR that an SBC gets for a call; empty for no answer record."""
        option = dns.edns.GenericOption(dns.edns.OptionType.make(SOURCE_OPTION), f"sip:{source}@sbc.example".encode())
        name = ".".join(reversed(destination.removeprefix("+"))) + ".e164.internal"
        query = dns.message.make_query(name, "NAPTR", use_edns=0, options=[option])
        host, port = self.enum_address()
        answer = dns.query.udp(query, host, port=port, timeout=2)
        return str(answer.answer[0][0].regexp.decode()) if answer.answer else ""

    def pid(self, service: str) -> int:
        """Process id of a running service; 0 while it does not run."""
        state = read_state(self.data)
        found = [s for s in (state.services if state else ()) if s.name == service and s.state == "running"]
        return found[0].pid or 0 if found and found[0].is_running else 0

    def kill_service(self, service: str) -> None:
        """Kill -9 of one service, and wait until the supervisor has it running again."""
        before = self.pid(service)
        assert before, f"{service} does not run"
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.pid(service) not in (0, before), f"{service} runs again", 60)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Straight from the database."""
        with psycopg.connect(embedded_url(self.data), options="-c search_path=ringfence") as connection:
            return connection.execute(query.encode()).fetchall()


@contextmanager
def running_node() -> Iterator[RunningNode]:
    """A node in a temporary folder that the database's own user may enter; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ringfence-node-"))
    folder.chmod(0o755)
    node = RunningNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
        remove_cluster(node.data)
        shutil.rmtree(folder, ignore_errors=True)
