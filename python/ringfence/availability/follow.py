"""What `ringfence up` does on a standby, under the node's lock, until it is stopped.

    backup      looks every `every_s` seconds whether the active has a newer backup, copies and imports it
    streaming   keeps the tunnel and the server in recovery running, each by a keeper of the node's supervisor
A run that fails is logged, kept in the state and tried again; the standby goes on with what it has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    stopping = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="standby") as worker:
        try:
            due, run = 0.0, None
            while True:
                if standby.mode == "backup" and time.monotonic() >= due and (run is None or run.done()):
                    run = worker.submit(look_once, settings, told, stopping)
                    due = time.monotonic() + standby.every_s
                time.sleep(1)
                tick()
        finally:
            stopping.set()


def look_once(settings: Settings, told: Callable[[str], None], stopping: threading.Event) -> None:
    """One look for a new backup; what fails is told, not raised."""

    def report(done: int, total: int, phase: str) -> None:
        if stopping.is_set():
            raise StoppedError("the standby was stopped")

    try:
        run = sync_once(settings, datetime.now(UTC), report, is_locked=True)
    except (RingfenceError, OSError) as error:
        log.warning("standby.sync_failed", reason=str(error))
        told(str(error))
    except Exception:
        log.exception("standby.sync_failed")
    else:
        if run.is_imported:
            told(f"imported backup {run.backup_id} in {run.seconds:g} s")
