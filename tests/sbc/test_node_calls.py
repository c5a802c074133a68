"""The whole thread: `ringfence up`, a policy from the CLI, calls through a real SBC, their events (R1, R6, R13)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sbc.conftest import StartSbc

from ringfence.acceptance.lab.kamailio.running import deadline, missing_packages

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
POLICY = """
rules:
  - {name: premium, destinations: ["+19005550100"], action: terminate}
  - {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
  - {name: caller, sources: ["+19005550111"], action: terminate}
"""


class Node:
    """`ringfence up` on ports and a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._output = folder / "output"
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*self._command("up"), "--port", "0", "--listen", "127.0.0.1:0"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.enum = ("", 0)

    def wait_until_ready(self) -> None:
        """Until the ENUM address is printed."""
        for _ in deadline(START_TIMEOUT_S, step_s=0.1):
            text = self._output.read_text(errors="replace")
            if found := re.search(r"^ENUM: ([0-9.]+):([0-9]+)", text, re.MULTILINE):
                self.enum = (found[1], int(found[2]))
                return
            if self._process.poll() is not None:
                break
        raise AssertionError(f"ringfence up did not start: {self._output.read_text(errors='replace')[-3000:]}")

    def cli(self, *words: str) -> str:
        """Run a command on this node; its standard output."""
        done = subprocess.run(
            self._command(*words), env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ringfence", *words, "--data", str(self.data)]


@pytest.fixture
def node() -> Iterator[Node]:
    """A running node. Its folder can be entered by the database's own user, which pytest's cannot."""
    if missing := missing_packages():
        pytest.skip(f"needs the Debian packages {', '.join(missing)} (apt-get install {' '.join(missing)})")
    folder = Path(tempfile.mkdtemp(prefix="ringfence-sbc-"))
    folder.chmod(0o755)
    running = Node(folder)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_policy_applied_on_the_command_line_decides_calls_and_they_are_recorded(
    node: Node, start_sbc: StartSbc, tmp_path: Path
) -> None:
    sbc = start_sbc([node.enum], redirect_numbers=["+12105550199"])
    before = sbc.call("+13005550000", "+19005550100")
    assert (before.final_code, before.answered_by) == (200, "normal"), "without a policy every call is allowed"

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    node.cli("policy", "apply", str(policy))

    allowed = sbc.call("+13005550000", "+12105550123")
    terminated = sbc.call("+13005550000", "+19005550100")
    redirected = sbc.call("+13005550000", "+12105550100")
    by_source = sbc.call("+13005550000", "+12105550123", asserted="+19005550111")

    assert (allowed.final_code, allowed.answered_by) == (200, "normal")
    assert (terminated.final_code, terminated.answered_by) == (603, None)
    assert (redirected.final_code, redirected.answered_by) == (200, "redirect")
    assert (by_source.final_code, by_source.answered_by) == (603, None)
    assert recorded(node, 5) == [
        ("+13005550000", "+19005550100", "allow", None),
        ("+13005550000", "+12105550123", "allow", None),
        ("+13005550000", "+19005550100", "terminate", "premium"),
        ("+13005550000", "+12105550100", "redirect", "moved"),
        ("+19005550111", "+12105550123", "terminate", "caller"),
    ]


def recorded(node: Node, count: int) -> list[tuple[str, str, str, str | None]]:
    """Source, destination, action and rule of the node's events, oldest first, once there are `count`."""
    events: list[dict[str, str]] = []
    for _ in deadline(15.0, step_s=0.2):
        events = [json.loads(line) for line in node.cli("events", "--json").splitlines()]
        if len(events) >= count:
            break
    events.sort(key=lambda event: event["time"])
    return [(event["source"], event["destination"], event["action"], event.get("rule")) for event in events]
