"""What a process tells systemd, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.mediation.first_sign_in import where_to_read
from ringfence.service.notify import Notifier, Watchdog


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(10)
        yield line


def test_says_ready_alive_and_stopping(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.ready("answers on 127.0.0.1:53")
    notifier.alive()
    notifier.stopping()
    said = [manager.recv(1024).decode() for _ in range(3)]
    assert said == ["READY=1\nSTATUS=answers on 127.0.0.1:53", "WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_socket_is_named_by_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0ringfence-test-{os.getpid()}")
        line.settimeout(10)
        Notifier(f"@ringfence-test-{os.getpid()}").alive()
        assert line.recv(64) == b"WATCHDOG=1"


def test_what_this_process_starts_cannot_speak_for_it() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "15000000",
        "WATCHDOG_PID": str(os.getpid()),
        "A": "b",
    }
    assert Notifier.take(environment).watchdog_s == 15
    assert environment == {"A": "b"}


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog_where_none_is_meant_for_it(environment: dict[str, str]) -> None:
    assert Notifier.take(environment).watchdog_s is None


def test_without_a_manager_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    Notifier(None).ready("")
    Notifier(str(tmp_path / "nobody")).ready("")


def test_the_watchdog_falls_silent_when_something_is_wrong(manager: socket.socket) -> None:
    asked = threading.Semaphore(0)
    is_well = threading.Event()
    is_well.set()

    def check() -> bool:
        asked.release()
        return is_well.is_set()

    watchdog = Watchdog(Notifier(manager.getsockname(), watchdog_s=0.03), check)
    watchdog.start()
    try:
        assert manager.recv(64) == b"WATCHDOG=1"
        is_well.clear()
        for _ in range(20):  # those under way, and then some that find it unwell
            assert asked.acquire(timeout=10)
        manager.setblocking(False)
        while True:
            try:
                manager.recv(64)
            except BlockingIOError:
                break
        manager.settimeout(0)
        for _ in range(5):
            assert asked.acquire(timeout=10)
        with pytest.raises(BlockingIOError):
            manager.recv(64)
    finally:
        watchdog.stop()


def test_a_password_goes_to_a_private_file_where_others_read_what_is_printed(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w", encoding="utf-8") as screen:
        assert where_to_read(tmp_path, "admin", "secret", screen) == "admin, one-time password secret"
        status = os.fstat(screen.fileno())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
            told = where_to_read(tmp_path, "admin", "secret", screen)
    file = tmp_path / "first-sign-in"
    assert told == f"admin, one-time password in {file}"
    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == ("admin secret\n", 0o600)
