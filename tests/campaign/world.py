"""Two pairs and three ENUM servers as operators have them, each with a disk and a clock of its own, and who calls them.

    callers ─UDP─► ENUM servers ─► lines ─► active pair ◄─ line ─ warm standby
Made once, hurt and healed again and again; a failover changes the pairs' roles, and the next run begins with the other
one as standby.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from pathlib import Path

from tests.campaign.callers import Callers
from tests.campaign.line import Line, LoopThread
from tests.campaign.machine import Clock, build_clock
from tests.campaign.pair import Pair
from tests.campaign.schedule import SERVERS
from tests.campaign.server import EnumServer
from tests.failover.pair_node import free_ports

from ringfence.accounts.credentials import create_token
from ringfence.availability import cluster
from ringfence.database.cluster import embedded_url, remove_cluster
from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.vocabulary import Role

LOOK_S = 1.0


class World:
    """Use as a context manager: leaving it stops and removes all of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ringfence-campaign-"))
        self.folder.chmod(0o755)
        self.thread = LoopThread()
        library = build_clock(self.folder)
        self.pairs = self._pairs(library)
        self.active, self.standby = self.pairs
        self.servers = {name: self._server(name, library) for name in SERVERS}
        self.callers = Callers(self.thread, lambda: {name: server.port for name, server in self.servers.items()})
        # Which pair each epoch was taken by.
        self.holders: dict[int, str] = {1: self.active.name}
        # When a standby answered as an active pair does.
        self.wrong_answers: list[str] = []
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> World:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._watch.ident is not None:
            self._watch.join()
        for server in self.servers.values():
            server.remove()
        for pair in self.pairs:
            pair.lose()
            remove_cluster(pair.data)
            pair.disk.remove()
        self.thread.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def swap(self) -> None:
        """The standby is active now."""
        self.active, self.standby = self.standby, self.active

    def note_holder(self) -> None:
        """Which pair took the epoch that is in force; once it is well."""
        self.holders[self.epoch(self.active)] = self.active.name

    def epoch(self, pair: Pair) -> int:
        """That a pair's database holds."""
        database = Database(embedded_url(pair.data), pool_size=1)
        try:
            with database.connection(even_if_fenced=True) as connection:
                return cluster.ensure_cluster(connection).term.epoch
        finally:
            database.close()

    def follow(self) -> None:
        """The pair that is not active is the active one's standby, or becomes it."""
        if not self.standby.is_standby:
            self.standby.follow(self.active, self.between[self.standby.name].url, self._token)

    def heal(self) -> None:
        """Whatever is spoiled from outside is well again."""
        for line in self.lines():
            line.become("open")
        machines: list[Pair | EnumServer] = [*self.pairs, *self.servers.values()]
        for machine in machines:
            machine.disk.free()
            machine.clock.step(0)

    def lines(self) -> list[Line]:
        """All of them."""
        return [*self.between.values(), *(line for server in self.servers.values() for line in server.lines.values())]

    def _pairs(self, library: Path) -> tuple[Pair, Pair]:
        names, ports = ("first", "second"), free_ports(2)
        # From a pair to the other one.
        self.between = {name: Line(self.thread, port) for name, port in zip(names, reversed(ports), strict=True)}
        made = []
        for name, port in zip(names, ports, strict=True):
            folder = self.folder / name
            folder.mkdir()
            clock = Clock(library, self.folder / f"{name}.clock")
            made.append(Pair(name, folder, port, self.between[name].url, clock))
        return made[0], made[1]

    def _server(self, name: str, library: Path) -> EnumServer:
        (port,) = free_ports(1, socket.SOCK_DGRAM)
        lines = {pair.name: Line(self.thread, pair.port) for pair in self.pairs}
        return EnumServer(name, self.folder / name, port, lines, Clock(library, self.folder / f"{name}.clock"))

    def _begin(self) -> None:
        self.active.launch()
        self.active.keep_until("well")
        database = Database(embedded_url(self.active.data), pool_size=1)
        try:
            with database.connection() as connection:
                self._token = create_token(connection, "operator", Role.ADMINISTRATOR, "test")
                for name, server in self.servers.items():
                    server.know(register_device(connection, name, "enum", None, "test")[1])
        finally:
            database.close()
        for server in self.servers.values():
            server.start()
        self.follow()
        for server in self.servers.values():
            server.wait_until_it_answers(self.thread, self.callers.next_number())
        self._watch.start()

    def _look(self) -> None:
        """A standby must not serve, whatever happens."""
        while not self._stopping.wait(LOOK_S):
            standby = self.standby
            if standby.is_standby:
                status, text = standby.answer()
                if status == 200 and standby.is_standby and standby is self.standby:
                    self.wrong_answers.append(f"{standby.name} answered as an active pair does: {text}")
