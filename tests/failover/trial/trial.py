"""The deployment of a trial and what is typed on its machines: each step is printed, each promise looked at."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.failover.trial import document
from tests.failover.trial.machines import Bridge, Machine

NODE = "/var/lib/ringfence/node"
# Its command line, for pgrep: written so that it is not found in what looks for it.
UP = "[m] ringfence up"


class Failed(Exception):  # noqa: N818 - the verdict, not an accident
    """What the page promised did not happen."""


@dataclass
class Trial:
    """Two nodes, three edges, and what is typed on them."""

    bridge: Bridge
    first: Machine
    second: Machine
    edges: list[Machine]
    callers: list[subprocess.Popen[str]] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def do(self, machine: Machine, name: str, *instead: tuple[str, str], status: int = 0, more: str = "") -> str:
        """A command of the page on a machine; `instead`: what stands there for the reader to fill in."""
        text = document.command(name)
        for placeholder, value in instead:
            if placeholder not in text:
                raise Failed(f"the page's `{text}` has no {placeholder}")
            text = text.replace(placeholder, value)
        self.typed.append(text)
        is_roots = "sudo" in text
        text = text.replace("sudo ", "") + more
        self.say(f"{machine.name}{'#' if is_roots else '$'} {text.splitlines()[0]}")
        done = machine.run(text, "root" if is_roots else "ringfence")
        for line in done.stdout.splitlines():
            print(f"            {line}", flush=True)
        if done.returncode != status or "Traceback" in done.stdout:
            raise Failed(f"{machine.name}: `{text}` ended with {done.returncode}, not {status}")
        return done.stdout

    def run_node(self, machine: Machine, name: str, until: str) -> None:
        """The page's `ringfence up`, until it says so."""
        self.say(f"{machine.name}$ {document.command(name)}")
        before = machine.log.stat().st_size if machine.log.exists() else 0
        running = machine.start(document.command(name))

        def said() -> str:
            with machine.log.open(encoding="utf-8") as log:
                log.seek(before)
                return log.read()

        self.wait_for(f"{machine.name} says {until!r}", lambda: until in said() or running.poll() is not None, 120)
        if running.poll() is not None:
            raise Failed(f"{machine.name}: ringfence up ended: {said()}")

    def stop_node(self, machine: Machine) -> None:
        """Ctrl-C, where it runs."""
        self.say(f"{machine.name}: Ctrl-C")
        machine.signal(UP, signal.SIGINT)
        self.wait_for(f"{machine.name} has stopped", lambda: not machine.processes(UP), 60)

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float = 90) -> Any:
        """The first true value; Failed after the time."""
        give_up = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > give_up:
                raise Failed(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(0.25)
        self.say(f"({what})")
        return value

    def expect(self, text: str, said: str) -> None:
        """That a command said so."""
        if text not in said:
            raise Failed(f"expected {text!r} of what was said")

    def books(self, machine: Machine) -> dict[str, dict[str, int]]:
        """What a node's database holds, device by device."""
        done = machine.run(f"{sys.executable} -m tests.failover.trial.books {NODE}")
        try:
            held: dict[str, dict[str, int]] = json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Failed(f"{machine.name}: no books: {done.stdout}") from None
        return held
