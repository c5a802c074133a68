"""The servers that are measured: how each is configured, started, and asked for its processor time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from bench.enum.data import ANSWER, APEX, Data

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0


def find(program: str) -> str | None:
    """Path of a program; daemons live outside an ordinary user's PATH."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


class Server(ABC):
    """One server process (with its children), pinned to processors."""

    name: str
    program: str

    def __init__(self, data: Data, folder: Path, workers: int, processors: str) -> None:
        self.data = data
        self.folder = folder
        self.workers = workers
        self.processors = processors
        self.port = _free_port()
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def is_available(cls) -> bool:
        """Whether the program is installed."""
        return find(cls.program) is not None

    @abstractmethod
    def command(self) -> list[str]:
        """Write the configuration and give the command line."""

    def __enter__(self) -> Server:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", self.processors, *self.command()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.talks else log,
                stderr=log,
                text=True,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))},
                start_new_session=True,
            )
        try:
            self.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    talks = False  # whether it takes commands on standard input and answers on standard output

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(20)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        process.wait()

    def ready(self) -> None:
        """Wait for the first right answer."""
        number = self.data.load_numbers()[0]
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                break
            if ANSWER.format(number).encode() in ask(self.port, _first_query(self.data)):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start: {(self.folder / 'log').read_text()[-1500:]}")

    def processes(self) -> list[int]:
        """The process and everything below it."""
        assert self._process is not None
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                parents.setdefault(parent, []).append(int(folder.name))
        found, todo = [], [self._process.pid]
        while todo:
            found.append(todo.pop())
            todo += parents.get(found[-1], [])
        return found

    def cpu_seconds(self) -> float:
        """Processor time so far, user and system, of all threads of all its processes."""
        total = 0
        for process in self.processes():
            for task in Path(f"/proc/{process}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    continue
        return total / 1e9

    def tell(self, command: str) -> dict[str, Any]:
        """Give a command to a server that talks, and read its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """One JSON object from a server that talks."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()[-1500:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def between_runs(self) -> None:
        """What a server needs between two runs; most need nothing."""
        return


class Ringfence(Server):
    """Our server: decides by 200 rules and a list of every number, and journals each query."""

    name = "ringfence"
    program = sys.executable
    talks = True

    @classmethod
    def is_available(cls) -> bool:
        return any((ROOT / "python" / "ringfence").glob("_native*.so"))

    def command(self) -> list[str]:
        configuration = {
            "listen": [f"127.0.0.1:{self.port}"],
            "apex": [APEX],
            "workers": self.workers,
            "source_option_codes": [4, 65001],
            "fail_mode": "allow",
            "journal": {
                "folder": str(self.folder / "journal"), "segment_bytes": 16 << 20, "max_bytes": 2 << 30,
                "keep_hours": 0, "sync_ms": 250, "stage": None, "stage_bytes": 64 << 20,
            },
        }  # fmt: skip
        file = self.folder / "enum.json"
        file.write_text(json.dumps(configuration))
        return [sys.executable, str(ROOT / "bench" / "enum" / "serve.py"), str(file)]

    def ready(self) -> None:
        self.hear()
        self.tell(f"install {self.data.policy(1)}")
        super().ready()

    def between_runs(self) -> None:
        """Free the journal as the mediation does; every answer must have its event."""
        state = self.tell("acknowledge")
        if state["durable"] < state["answers"]:
            raise RuntimeError(f"the journal holds {state['durable']} events for {state['answers']} answers")


class Floor(Server):
    """The bare responder with a million-entry table: no decision, no journal."""

    name = "floor"
    program = str(ROOT / "target" / "dist" / "enum-floor")

    def command(self) -> list[str]:
        return [
            self.program, "--listen", f"127.0.0.1:{self.port}", "--numbers", str(self.data.numbers),
            "--answer", ANSWER, "--workers", str(self.workers),
        ]  # fmt: skip


class Nsd(Server):
    """NSD with one NAPTR a number."""

    name = "nsd"
    program = "nsd"

    def command(self) -> list[str]:
        file = self.folder / "nsd.conf"
        file.write_text(
            f"""server:
  ip-address: 127.0.0.1@{self.port}
  server-count: {self.workers}
  do-ip6: no
  username: ""
  chroot: ""
  zonesdir: "{self.folder}"
  database: ""
  zonelistfile: "{self.folder}/zone.list"
  pidfile: "{self.folder}/pid"
  xfrdfile: "{self.folder}/xfrd.state"
  xfrdir: "{self.folder}"
  reuseport: yes
  minimal-responses: yes
  rrl-ratelimit: 0
  zonefiles-check: no
remote-control:
  control-enable: no
zone:
  name: {APEX}
  zonefile: {self.data.zone}
"""
        )
        return [str(find("nsd")), "-d", "-c", str(file)]


class Knot(Server):
    """Knot DNS with one NAPTR a number."""

    name = "knot"
    program = "knotd"

    def command(self) -> list[str]:
        file = self.folder / "knot.conf"
        file.write_text(
            f"""server:
  listen: 127.0.0.1@{self.port}
  rundir: "{self.folder}"
  udp-workers: {self.workers}
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: "{self.folder}"
template:
  - id: default
    storage: "{self.folder}"
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: {APEX}
    file: "{self.data.zone}"
"""
        )
        return [str(find("knotd")), "-c", str(file)]


class Dnsdist(Server):
    """dnsdist as a policy server: the number is looked up in a CDB file and the record sent from there."""

    name = "dnsdist"
    program = "dnsdist"

    @classmethod
    def is_available(cls) -> bool:
        return super().is_available() and find("cdb") is not None

    def command(self) -> list[str]:
        file = self.folder / "dnsdist.lua"
        listeners = f'addLocal("127.0.0.1:{self.port}", {{reusePort=true}})\n' * self.workers
        file.write_text(
            f"""setSecurityPollSuffix("")
setUDPMultipleMessagesVectorSize(64)
{listeners}setACL({{"127.0.0.0/8"}})
local store = newCDBKVStore("{self.data.cdb}", 3600)
addAction(AllRule(), KeyValueStoreLookupAction(store, KeyValueLookupKeyQName(true), "record"))
addAction(AllRule(), LuaAction(function(query)
  local record = query:getTag("record")
  if record and #record > 0 then return DNSAction.SpoofRaw, record end
  return DNSAction.Nxdomain, ""
end))
"""
        )
        return [str(find("dnsdist")), "--supervised", "--disable-syslog", "-C", str(file)]


def ask(port: int, query: bytes) -> bytes:
    """One exchange; empty without an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(0.2)
        try:
            channel.connect(("127.0.0.1", port))
            channel.send(query)
            return channel.recv(4096)
        except OSError:
            return b""


def _first_query(data: Data) -> bytes:
    with data.queries.open("rb") as file:
        return file.read(int.from_bytes(file.read(2), "big"))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        port: int = channel.getsockname()[1]
        return port
