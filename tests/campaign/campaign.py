"""One run after the other: a seed's faults on a world while calls run, then healing, then the books."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.campaign.audit import audit
from tests.campaign.books import BrokenPromiseError
from tests.campaign.line import Line, State
from tests.campaign.schedule import ACTIVE, SITE, STANDBY, Fault, draw, in_words
from tests.campaign.world import World

# Calls go on for a moment after the last fault has ended.
CALM_S = 1.0
DEVICES_S = 20
FAILOVER_TRIES = 3


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    seed: int
    faults: tuple[Fault, ...]
    calls: int
    retried: int  # answered by another server than the first
    events: int  # at the active pair, since the world began
    agreed_s: float  # after the last call, until the books agreed
    seconds: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.calls} calls, {self.retried} of them retried, in {self.seconds:.0f} s; "
            f"books agree after {self.agreed_s:.1f} s; {in_words(self.faults)}"
        )


class Run:
    """The faults of one seed."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self.seed = seed
        self.faults = draw(seed)
        self._errors: list[BaseException] = []
        self._is_lost = False
        self._failed_over: bool | None = None  # None: nobody asked for it

    def play(self) -> Outcome:
        """Returns when every promise held; BrokenPromiseError which did not."""
        world, began = self._world, time.monotonic()
        world.follow()
        before = len(world.callers.calls)
        world.callers.begin()
        try:
            self._hurt()
            self._heal()
            time.sleep(CALM_S)
        finally:
            world.callers.end()
        calls = world.callers.calls[before:]
        ended = time.monotonic()
        events = audit(world, calls)
        return Outcome(
            self.seed,
            self.faults,
            len(calls),
            sum(1 for call in calls if len(call.attempts) > 1 and call.answered_by),
            events,
            time.monotonic() - ended,
            time.monotonic() - began,
        )

    def _hurt(self) -> None:
        """Each fault in a thread of its own, at its time; returns when all have ended."""
        began = time.monotonic()

        def at(fault: Fault) -> None:
            time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            try:
                self._work(fault)()
            except BaseException as error:
                self._errors.append(error)

        threads = [threading.Thread(target=at, args=(fault,), name=str(fault)) for fault in self.faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _heal(self) -> None:
        """All faults have ended: everything comes back by itself, or by being started again; a failover is finished."""
        world = self._world
        world.heal()
        for _ in range(FAILOVER_TRIES):
            if self._failed_over is not False:
                break
            self._fail_over()
        if self._failed_over is False:
            raise BrokenPromiseError(f"the failover does not end: {world.standby.said[-1]}")
        world.active.keep_until("well")
        world.note_holder()
        if self._failed_over:
            world.standby.keep_until("fenced")

    def _work(self, fault: Fault) -> Callable[[], None]:
        works = {
            "kill": self._kill,
            "pause": self._pause,
            "cut": self._cut,
            "fill": self._fill,
            "step": self._step,
            "failover": self._lose_and_fail_over,
        }
        return lambda: works[fault.kind](fault)

    def _kill(self, fault: Fault) -> None:
        world = self._world
        if fault.target in SITE:
            pair = world.active
            with pair.hurt:
                pair.signal(fault.target, signal.SIGKILL)
            time.sleep(fault.seconds)
            if not self._is_lost:
                pair.launch()
            return
        server = world.servers[fault.target]
        with server.hurt:
            server.die()
            time.sleep(fault.seconds)
            server.start()
            server.wait_until_it_answers(world.thread, world.callers.next_number())

    def _pause(self, fault: Fault) -> None:
        world = self._world
        if fault.target in SITE:
            pair = world.active
            with pair.hurt:
                pair.signal(fault.target, signal.SIGSTOP)
                time.sleep(fault.seconds)
                pair.signal(fault.target, signal.SIGCONT)
            return
        server = world.servers[fault.target]
        with server.hurt:
            server.pause()
            time.sleep(fault.seconds)
            server.go_on()

    def _cut(self, fault: Fault) -> None:
        lines = self._lines(fault.target)
        for line in lines:
            line.become(cast(State, fault.how))
        time.sleep(fault.seconds)
        for line in lines:
            line.become("open")

    def _lines(self, target: str) -> list[Line]:
        """From an ENUM server to both pairs; from everybody to the active one; between the pairs."""
        world = self._world
        if target == STANDBY:
            return list(world.between.values())
        if target == ACTIVE:
            edges = [server.lines[world.active.name] for server in world.servers.values()]
            return [*edges, world.between[world.standby.name]]
        return list(world.servers[target].lines.values())

    def _fill(self, fault: Fault) -> None:
        world = self._world
        machine = world.active if fault.target == ACTIVE else world.servers[fault.target]
        machine.disk.fill(machine.pids())
        time.sleep(fault.seconds)
        machine.disk.free()

    def _step(self, fault: Fault) -> None:
        world = self._world
        machine = world.active if fault.target == ACTIVE else world.servers[fault.target]
        machine.clock.step(int(fault.how.removesuffix(" s")))
        time.sleep(fault.seconds)
        machine.clock.step(0)

    def _lose_and_fail_over(self, fault: Fault) -> None:
        if fault.how == "site lost":
            self._is_lost = True
            self._world.active.lose()
        self._fail_over()

    def _fail_over(self) -> None:
        world = self._world
        world.standby.is_standby = False
        self._failed_over = world.standby.command("failover", "--devices", str(DEVICES_S)) == 0
        if self._failed_over:
            world.swap()


def keep_evidence(world: World, run: Run, error: BaseException, folder: Path) -> str:
    """What there is to understand a failure with, in a folder of its own; the verdict."""
    place = folder / f"seed-{run.seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    verdict = f"seed {run.seed}: {type(error).__name__}: {error}\nfaults: {in_words(run.faults)}\n"
    (place / "verdict.txt").write_text(verdict, encoding="utf-8")
    for server in world.servers.values():
        with suppress(OSError):
            shutil.copy(server.folder / "log", place / f"{server.name}.log")
            shutil.copytree(server.data / "enum" / "journal", place / f"{server.name}-journal")
    for pair in world.pairs:
        (place / f"{pair.name}-commands.txt").write_text("\n\n".join(pair.said), encoding="utf-8")
        with suppress(OSError):
            shutil.copytree(pair.data / "log", place / f"{pair.name}-log")
            shutil.copy(pair.output, place / f"{pair.name}.output")
    calls = "\n".join(map(str, world.callers.calls))
    (place / "calls.txt").write_text(calls, encoding="utf-8")
    return f"{verdict}evidence: {place}"
