"""Jobs: work that takes longer than a request, with progress, result and cancelling.

    start(kind, owner, work) ─► queued ─► running ─► done | failed | cancelled ─► forgotten after KEPT_S, or when many
                                             └─ work calls `progress.at(…)`; cancelling raises `Cancelled` there

A job lives in the mediation process that started it: what it does to the database is its own transaction, so a process
that dies leaves nothing half done, and the one who asked starts it again. Of each kind only so many run at once, the
others wait in line; beyond MAX_WAITING a job is refused. API, CLI and console ask the same `Jobs` of the process.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from ringfence.errors import ConflictError, NotFoundError, RingfenceError

RUNNING_AT_ONCE = 2
MAX_WAITING = 16
KEPT_S = 3600.0
MAX_KEPT = 100

State = Literal["queued", "running", "done", "failed", "cancelled"]
Work = Callable[["Progress"], dict[str, Any]]
log = structlog.get_logger()


class Cancelled(Exception):  # noqa: N818 - not an error: somebody wanted it
    """Raised inside the work when its job was cancelled; let it pass."""


class Progress:
    """What the work of a job tells while it goes on. `total` 0: not known yet."""

    def __init__(self) -> None:
        self.phase = ""
        self.done = 0
        self.total = 0
        self._cancelled = threading.Event()

    def at(self, done: int, total: int | None = None, phase: str | None = None) -> None:
        """So far is done. Raises `Cancelled` when the job was: call it often, and hold nothing that must be undone."""
        if self._cancelled.is_set():
            raise Cancelled
        self.done = done
        if total is not None:
            self.total = total
        if phase is not None:
            self.phase = phase

    def cancel(self) -> None:
        """The next `at` raises `Cancelled`."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self._cancelled.is_set()


@dataclass
class Job:
    """One job. Its fields change under the work's thread; `as_json` is what others read."""

    id: str
    kind: str
    owner: str
    started_at: datetime
    progress: Progress = field(default_factory=Progress)
    state: State = "queued"
    ended_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: RingfenceError | None = None
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def as_json(self, *, with_result: bool = True) -> dict[str, Any]:
        """State, progress (`share` 0 to 1, null while the total is not known), result or refusal."""
        progress = self.progress
        share = min(progress.done / progress.total, 1.0) if progress.total else None
        error = self.error
        return {
            "id": self.id,
            "kind": self.kind,
            "owner": self.owner,
            "state": self.state,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "phase": progress.phase,
            "done": progress.done,
            "total": progress.total,
            "share": 1.0 if self.state == "done" else share,
            "error": {"code": error.code, "message": error.message, "detail": error.detail} if error else None,
        } | ({"result": self.result} if with_result else {})


class Jobs:
    """All jobs of one process."""

    def __init__(self, at_once: int = RUNNING_AT_ONCE) -> None:
        self._at_once = at_once
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._is_open = True

    def start(self, kind: str, owner: str, work: Work, now: datetime | None = None) -> Job:
        """Begin `work` in a thread, at once or when it is its turn. ConflictError `conflict.busy`: too many wait."""
        job = Job(secrets.token_urlsafe(9), kind, owner, now or datetime.now(UTC))
        with self._lock:
            self._forget(job.started_at)
            if not self._is_open or sum(job.state == "queued" for job in self._jobs.values()) >= MAX_WAITING:
                raise ConflictError(f"{kind}: {MAX_WAITING} jobs are waiting already; try later", code="conflict.busy")
            pool = self._pools.get(kind)
            if pool is None:
                pool = self._pools[kind] = ThreadPoolExecutor(self._at_once, thread_name_prefix=f"job-{kind}")
            self._jobs[job.id] = job
            pool.submit(copy_context().run, _run, job, work)  # a job sees what its owner sees
        return job

    def get(self, job_id: str) -> Job:
        """One job. NotFoundError when it never was, or was forgotten."""
        with self._lock:
            self._forget(datetime.now(UTC))
            job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"job {job_id!r} does not exist; results are kept for {KEPT_S / 60:.0f} minutes")
        return job

    def list(self, kind: str | None = None) -> list[Job]:
        """The jobs that are known, newest first."""
        with self._lock:
            self._forget(datetime.now(UTC))
            found = [job for job in self._jobs.values() if kind in (None, job.kind)]
        return sorted(found, key=lambda job: job.started_at, reverse=True)

    def cancel(self, job_id: str) -> Job:
        """Ask a job to end; one that has ended stays as it is."""
        job = self.get(job_id)
        job.progress.cancel()
        return job

    def close(self) -> None:
        """Cancel all and take no more. Idempotent."""
        with self._lock:
            self._is_open = False
            jobs, pools = list(self._jobs.values()), list(self._pools.values())
        for job in jobs:
            job.progress.cancel()
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _forget(self, now: datetime) -> None:
        """Old results, and the oldest beyond MAX_KEPT; never a job that has not ended. Within the lock."""
        ended = sorted((job.ended_at, job.id) for job in self._jobs.values() if job.ended_at is not None)
        oldest = now - timedelta(seconds=KEPT_S)
        surplus = len(ended) - MAX_KEPT
        for place, (ended_at, job_id) in enumerate(ended):
            if ended_at < oldest or place < surplus:
                del self._jobs[job_id]


def _run(job: Job, work: Work) -> None:
    try:
        if job.progress.is_cancelled:
            raise Cancelled
        job.state = "running"
        job.result = work(job.progress)
        _end(job, "done")
    except Cancelled:
        _end(job, "cancelled")
    except RingfenceError as error:
        job.error = error
        _end(job, "failed")
    except Exception:
        log.exception("job.failed", job=job.id, kind=job.kind)
        job.error = RingfenceError("an unexpected error happened; the mediation's log has the details")
        _end(job, "failed")


def _end(job: Job, state: State) -> None:
    job.ended_at = datetime.now(UTC)
    job.state = state
    job.ended.set()
