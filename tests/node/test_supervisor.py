"""The supervisor with small real processes: start order, restarts, back-off, stop order, what a kill leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import ConflictError, UnavailableError
from ringfence.node.child import ChildProcess
from ringfence.node.state import NodeState, read_state, start_ticks, state_file
from ringfence.node.supervisor import Supervisor

PACKAGE = Path(__file__).parents[2] / "python"

# Serves (its ready file says so) until SIGTERM, and notes both in a journal. When a supervisor of several threads is
# killed, the kernel may say so more than once, as its threads end one after the other: a stop is noted once.
SERVER = """
import os, signal, sys, time
from pathlib import Path
name, folder = sys.argv[1], Path(sys.argv[2])
def note(what):
    with (folder / "notes").open("a") as file:
        file.write(f"{what} {name}\\n")
def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("start")
(folder / name).write_text(str(os.getpid()))
while True:
    time.sleep(0.1)
"""
DEAF = SERVER.replace("signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 15) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def child(name: str, data: Path, script: str = SERVER, **options: Any) -> ChildProcess:
    return ChildProcess(
        name,
        [sys.executable, "-c", script, name, str(data)],
        output=data / "log" / f"{name}.out",
        ready_file=data / name,
        **options,
    )


def notes(data: Path) -> list[str]:
    return (data / "notes").read_text(encoding="utf-8").splitlines()


def state_of(data: Path) -> NodeState:
    state = read_state(data)
    assert state is not None
    return state


def is_alive(pid: int) -> bool:
    return start_ticks(pid) is not None


def test_starts_in_order_and_stops_in_the_opposite_order(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.run(name, child(name, tmp_path))
        assert notes(tmp_path) == ["start first", "start second", "start third"]
    assert notes(tmp_path)[3:] == ["stop third", "stop second", "stop first"]
    assert read_state(tmp_path) is None


def test_restarts_what_dies_and_reports_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("first", child("first", tmp_path))
        supervisor.run("second", child("second", tmp_path))
        eventually(lambda: all(s.state == "running" for s in state_of(tmp_path).services), "both are reported running")
        first, second = state_of(tmp_path).services
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: state_of(tmp_path).services[0].restarts == 1, "the restart is reported")
        eventually(lambda: state_of(tmp_path).services[0].state == "running", "it runs again")
        again, untouched = state_of(tmp_path).services
        assert again.is_running
        assert again.pid != first.pid
        assert untouched == second


def test_a_service_that_keeps_dying_is_restarted_less_and_less_often(tmp_path: Path) -> None:
    dies = "import sys; from pathlib import Path; Path(sys.argv[2], sys.argv[1]).touch()"
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("dies", child("dies", tmp_path, dies))
        began = time.monotonic()
        eventually(lambda: supervisor.report().services[0].restarts >= 4, "four restarts")
        assert time.monotonic() - began > 0.1 + 0.2 + 0.4


def test_a_first_start_that_fails_is_fatal_and_says_the_services_own_last_words(tmp_path: Path) -> None:
    complains = "print('first line'); exit('ringfence: the disk is upside down')"
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("good", child("good", tmp_path))
        with pytest.raises(UnavailableError, match=r"^bad: the disk is upside down$"):
            supervisor.run("bad", child("bad", tmp_path, complains))
    assert notes(tmp_path) == ["start good", "stop good"]


def test_a_service_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    script = "import time; time.sleep(60)"
    with Supervisor(tmp_path) as supervisor, pytest.raises(UnavailableError, match="slow: not ready within"):
        supervisor.run("slow", child("slow", tmp_path, script, ready_timeout_s=0.3))


def test_a_service_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("deaf", child("deaf", tmp_path, DEAF, stop_timeout_s=0.3))
        pid = int((tmp_path / "deaf").read_text())
    assert not is_alive(pid)


def test_a_second_supervisor_is_refused_in_one_line_and_the_first_goes_on(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("first", child("first", tmp_path))
        with pytest.raises(ConflictError, match=rf"runs already on .* \(process {os.getpid()}\)") as caught:
            Supervisor(tmp_path).__enter__()
        assert "\n" not in caught.value.message
        assert supervisor.report().services[0].is_running


OWNER = """
import sys, signal
from pathlib import Path
from ringfence.node.child import ChildProcess
from ringfence.node.supervisor import Supervisor
data = Path(sys.argv[1])
with Supervisor(data) as supervisor:
    for name, script in (("first", sys.argv[2]), ("second", sys.argv[3])):
        supervisor.run(name, ChildProcess(name, [sys.executable, "-c", script, name, str(data)],
                                          output=data / "log" / name, ready_file=data / name))
    print("READY", flush=True)
    sys.stdin.read()
"""


def start_owner(data: Path, first: str = SERVER, second: str = SERVER) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data), first, second],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert any("READY" in line for line in owner.stdout)  # the keepers' log may share its line
    eventually(lambda: [one.state for one in state_of(data).services] == ["running", "running"], "both reported")
    return owner


def test_children_stop_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with start_owner(tmp_path) as owner:
        state = state_of(tmp_path)
        assert state.is_running
        owner.kill()
    eventually(lambda: not any(service.is_running for service in state.services), "the children stop by themselves")
    assert sorted(notes(tmp_path)[2:]) == ["stop first", "stop second"]
    left = state_of(tmp_path)
    assert not left.is_running
    assert [service["state"] for service in left.as_json()["services"]] == ["dead", "dead"]


def test_the_next_start_ends_a_child_that_would_not_stop(tmp_path: Path) -> None:
    with start_owner(tmp_path, first=DEAF) as owner:
        deaf = state_of(tmp_path).services[0]
        owner.kill()
    assert deaf.pid is not None
    assert is_alive(deaf.pid)
    with Supervisor(tmp_path) as supervisor:
        assert not is_alive(deaf.pid)
        supervisor.run("first", child("first", tmp_path))
        assert supervisor.report().services[0].is_running


def test_a_report_whose_pid_belongs_to_another_process_deceives_nobody(tmp_path: Path) -> None:
    with start_owner(tmp_path) as owner:
        owner.kill()
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        text = state_file(tmp_path).read_text(encoding="utf-8")
        first = state_of(tmp_path).services[0]
        state_file(tmp_path).write_text(
            text.replace(f'"pid": {first.pid}', f'"pid": {bystander.pid}'), encoding="utf-8"
        )
        assert not state_of(tmp_path).services[0].is_running
        with Supervisor(tmp_path):
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "services": [{}]}'])
def test_an_unreadable_report_is_no_report(tmp_path: Path, text: str) -> None:
    state_file(tmp_path).parent.mkdir()
    state_file(tmp_path).write_text(text, encoding="utf-8")
    assert read_state(tmp_path) is None
    with Supervisor(tmp_path):
        pass
