"""What a process tells systemd about itself: ready, alive, stopping. Without systemd every call does nothing.

The protocol is sd_notify(3): `KEY=VALUE` lines in one datagram to the Unix socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The way to the manager that started this process."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """`watchdog_s`: after this long without `alive` the manager restarts the process."""
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def take(cls, environment: MutableMapping[str, str] = os.environ) -> Notifier:
        """From the environment, and out of it: what this process starts shall not speak for it."""
        address, microseconds, pid = (environment.pop(name, None) for name in _VARIABLES)
        is_ours = pid is None or pid == str(os.getpid())
        watched = is_ours and microseconds is not None and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, int(microseconds or 0) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """It serves; `status` is one line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """It still does what it is for."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """It was told to stop, and does."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # A manager that is away or slow is no reason to stop working.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
            line.sendto(message.encode(), self._address)


class Watchdog:
    """A thread that says `alive` as long as `is_well` says so, three times in the manager's patience."""

    def __init__(self, notifier: Notifier, is_well: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._is_well = is_well
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin; does nothing when the manager does not wait for it."""
        if self._notifier.watchdog_s is not None:
            threading.Thread(target=self._run, args=(self._notifier.watchdog_s / 3,), daemon=True).start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._stopping.set()

    def _run(self, interval_s: float) -> None:
        while not self._stopping.wait(interval_s):
            if self._is_well():
                self._notifier.alive()
