"""What `ringfence up` does on a standby, under the node's lock, until it is stopped.

    backup      looks every `every_s` seconds whether the active has a newer backup, copies and imports it
    streaming   keeps the tunnel and the server in recovery running, each by a keeper of the node's supervisor
A run that fails is logged, kept in the state and tried again; the standby goes on with what it has. When it is stopped,
an import under way ends at its next step; a run that only waits for the active's answer is left: a site that went dark
would hold up the failover that it is stopped for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from ringfence.availability.standby import Standby
from ringfence.availability.streaming import tunnel
from ringfence.availability.sync import sync_once
from ringfence.database.embedded import EmbeddedServer
from ringfence.errors import RingfenceError
from ringfence.node.supervisor import Supervisor
from ringfence.settings import Settings

log = structlog.get_logger()

# What of a run only asks and copies: it leaves nothing that the next one does not go on with.
ASKING = frozenset({"", "copying", "asking the active"})
_STOP_S = 1.0


class StoppedError(RingfenceError):
    """The standby is being stopped: a run under way ends, the next one goes on where it was."""

    code = "stopped"


def follow(
    settings: Settings,
    standby: Standby,
    supervisor: Supervisor,
    told: Callable[[str], None] = lambda words: None,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Never returns: ends by what stops the process, as an exception.

    `told` gets a line when something was done; `tick` is called every second, also during a long import.
    """
    if standby.mode == "streaming":
        # The tunnel is not waited for: with the active away the server starts all the same, with what it has.
        supervisor.run("tunnel", tunnel(settings, standby, is_awaited=False))
        supervisor.run("database", EmbeddedServer(settings))
    told(f"follows {standby.active} ({standby.mode})")
    due, look = 0.0, None
    try:
        while True:
            if standby.mode == "backup" and time.monotonic() >= due and (look is None or look.is_over):
                look = Look(settings, told)
                due = time.monotonic() + standby.every_s
            time.sleep(1)
            tick()
    finally:
        if look is not None:
            look.stop()


class Look:
    """One look for a new backup, in a thread of its own; what fails is told, not raised."""

    def __init__(self, settings: Settings, told: Callable[[str], None]) -> None:
        self._settings = settings
        self._told = told
        self._phase = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it came to its end."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Returns when nothing of this node is changed any more."""
        self._stopping.set()
        self._thread.join(_STOP_S)
        while not self.is_over and self._phase not in ASKING:
            self._thread.join(_STOP_S)

    def _report(self, done: int, total: int, phase: str) -> None:
        if self._stopping.is_set():
            raise StoppedError("the standby was stopped")
        self._phase = phase

    def _run(self) -> None:
        try:
            run = sync_once(self._settings, datetime.now(UTC), self._report, is_locked=True)
        except (RingfenceError, OSError) as error:
            log.warning("standby.sync_failed", reason=str(error))
            self._told(str(error))
        except Exception:
            log.exception("standby.sync_failed")
        else:
            if run.is_imported:
                self._told(f"imported backup {run.backup_id} in {run.seconds:g} s")
