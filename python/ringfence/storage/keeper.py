"""Rounds of retention in a mediation process: started by the leader, in a thread of their own, one at a time.

A round may take minutes (a day is copied to the archive); the leader's other work goes on beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg
import structlog

from ringfence.database.connection import Database
from ringfence.errors import ConflictError, RingfenceError
from ringfence.settings import Settings
from ringfence.storage.archive.place import archive_place
from ringfence.storage.archive.relink import relink_parts
from ringfence.storage.disk import DiskReader, disk_reader
from ringfence.storage.expiry import Keeping, run_round

KIND = "retention"

log = structlog.get_logger()


class Stepwise(Protocol):
    """What hears how far the work is, and may stop it by raising (`mediation.jobs.Progress`)."""

    def at(self, done: int, total: int | None = None, phase: str | None = None) -> None:
        """So far is done."""


def keeping_of(settings: Settings, read_disk: DiskReader | None = None) -> Keeping:
    """What rounds of these settings go by."""
    return Keeping(settings.storage, read_disk or disk_reader(settings), archive_place(settings.storage.archive))


class StorageKeeper:
    """Keeps the database of these settings within its limits."""

    def __init__(self, settings: Settings, read_disk: DiskReader | None = None) -> None:
        self.keeping = keeping_of(settings, read_disk)
        self.rounds = 0
        self.failed_rounds = 0
        self._busy = threading.Lock()
        self._is_linked = False

    @property
    def every_s(self) -> float:
        """How often a round is due."""
        return self.keeping.settings.check_s

    def start_round(self, database: Database) -> None:
        """Begin a round, unless the last one still goes on."""
        if self._busy.acquire(blocking=False):
            threading.Thread(target=self._run, args=(database,), name="storage", daemon=True).start()

    def run_now(self, database: Database) -> Callable[[Stepwise], dict[str, Any]]:
        """A round as the work of a job. ConflictError inside when another process is at it."""

        def work(progress: Stepwise) -> dict[str, Any]:
            done = run_round(
                database,
                self.keeping,
                datetime.now(UTC),
                lambda what, rows: progress.at(rows, phase=f"archiving {what}"),
            )
            if done is None:
                raise ConflictError("storage: a round of retention goes on already, see `ringfence database storage`")
            return done.as_json()

        return work

    def _run(self, database: Database) -> None:
        try:
            if not self._is_linked:  # the database may be one that was restored
                relink_parts(database)
                self._is_linked = True
            if run_round(database, self.keeping, datetime.now(UTC)) is not None:
                self.rounds += 1
        except (psycopg.Error, RingfenceError) as error:
            self.failed_rounds += 1
            log.warning("storage.round_failed", error=str(error).strip().split("\n")[0])
        except Exception:
            self.failed_rounds += 1
            log.exception("storage.round_failed")
        finally:
            self._busy.release()
