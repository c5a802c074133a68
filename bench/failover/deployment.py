"""Two sites with a pair each, a database of millions of events, and three ENUM servers that know both pairs.

Everything is as an operator has it: `ringfence up`, `ringfence enum` and the commands, each a process of its own.
"""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from bench import calls
from bench.failover.sbc import FIRST, LAST
from tests.availability.ssh_server import SshServer, running_ssh_server
from tests.edge.edge_process import Edge
from tests.failover.pair_node import PairNode, free_ports

from ringfence.accounts.credentials import create_token
from ringfence.database.cluster import embedded_url
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.mediation.devices import register_device
from ringfence.settings import Settings
from ringfence.vocabulary import Dataset, Role

ENUM_SERVERS = 3
DAYS = 7
# Longest time of one command: what copies or loads the whole database takes minutes on a slow machine.
COMMAND_S = 3600.0
Told = Callable[[str], None]


@dataclass
class Deployment:
    """The two pairs, the way between them, and the ENUM servers."""

    first: PairNode
    second: PairNode
    ssh: SshServer
    stack: ExitStack
    token: str = ""
    edges: list[Edge] = field(default_factory=list)

    def add_edges(self, folder: Path) -> None:
        """Register the ENUM servers at the first pair, which is active, and start them; a token for its API."""
        database = Database(embedded_url(self.first.data), pool_size=2)
        try:
            with database.connection() as connection:
                self.token = create_token(connection, "operator", Role.ADMINISTRATOR, "bench")
                made = [register_device(connection, f"bench-{n}", "enum", None, "bench")[1] for n in _numbers()]
        finally:
            database.close()
        for number, credential in zip(_numbers(), made, strict=True):
            place = folder / f"bench-{number}"
            place.mkdir()
            file = private(place / "credential", credential)
            flags = ("--mediation", self.first.url, "--mediation", self.second.url, "--credential-file", str(file))
            edge = Edge(place, *flags, RINGFENCE_EDGE_HEARTBEAT_S="2", RINGFENCE_LOG_LEVEL="error")
            self.stack.callback(edge.stop)
            self.edges.append(edge)

    def addresses(self) -> list[tuple[str, int]]:
        """Where the SBCs ask."""
        split = [edge.addresses["listen"][0].rpartition(":") for edge in self.edges]
        return [(host, int(port)) for host, _, port in split]

    def stored(self, node: PairNode, first: int) -> Counter[tuple[int, int]]:
        """How often each question stands in a pair's database: (ENUM server, call) → rows; calls from `first`."""
        rows = node.rows(
            "SELECT right(d.name, 1)::integer - 1, e.destination FROM enum_event e JOIN device d USING (device_id)"
            f" WHERE e.destination BETWEEN {FIRST + first} AND {LAST}"
        )
        return Counter((int(server), int(destination) - FIRST) for server, destination in rows)

    @contextmanager
    def dark(self, node: PairNode) -> Iterator[None]:
        """A site without power: connections to it hang, no reset comes; neither from its API nor from its ssh."""
        node.kill()
        ports = [int(node.url.rpartition(":")[2])]
        if self.ssh.process.poll() is None:
            self.ssh.process.terminate()
            self.ssh.process.wait()
            ports.append(self.ssh.port)
        with ExitStack() as stack:
            for port in ports:
                stack.enter_context(_silent(port))
            yield


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Both pairs' folders, nothing running; all of it is stopped and removed at the end."""
    ports = free_ports(2)
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        first, second = PairNode("first", ports[0], urls[1], more=""), PairNode("second", ports[1], urls[0], more="")
        stack.callback(second.remove)
        stack.callback(first.remove)
        yield Deployment(first, second, stack.enter_context(running_ssh_server()), stack)


def fill(settings: Settings, events: int, told: Told, kept: Path | None) -> None:
    """A database of so many ENUM events over a week before today. `kept`: a data folder that holds it for next time."""
    if kept is None:
        _fill(settings, events, told)
        return
    if not kept.exists():
        kept.mkdir(parents=True)
        kept.chmod(0o755)
        _fill(Settings(data=kept), events, told)
    told(f"copying the database of {kept}")
    shutil.rmtree(settings.data / "postgresql", ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", kept / "postgresql", settings.data / "postgresql"], check=True)


def retire_devices(url: str) -> None:
    """The devices of the events are history: nobody waits for them, and new ones get numbers behind theirs."""
    with psycopg.connect(url, options="-c search_path=ringfence") as connection:
        connection.execute("UPDATE device SET revoked_at = now()")
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('device', 'device_id'), (SELECT max(device_id) FROM device))"
        )


def private(file: Path, text: str) -> Path:
    """A file that only its owner reads."""
    file.write_text(text, encoding="ascii")
    file.chmod(0o600)
    return file


def _fill(settings: Settings, events: int, told: Told) -> None:
    server = EmbeddedServer(settings)
    server.start()
    try:
        database = Database(server.url, pool_size=2)
        try:
            migrate(database)
            midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            calls.fill(database, {Dataset.ENUM: events}, DAYS, midnight, told)
        finally:
            database.close()
    finally:
        server.stop()


def _silent(port: int) -> socket.socket:
    """Takes connections from its queue and never answers; the port is free once who had it has ended."""
    give_up = time.monotonic() + 30
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _numbers() -> range:
    return range(1, ENUM_SERVERS + 1)
