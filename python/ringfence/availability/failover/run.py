"""A failover from its beginning, or from where it was interrupted, to its end: each step kept before and after it.

One at a time on a node (`run/failover.lock`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from ringfence.availability import standby
from ringfence.availability.archive import Report
from ringfence.availability.backup import no_report
from ringfence.availability.failover import outcome, procedure
from ringfence.availability.failover.node import Node
from ringfence.availability.failover.record import Record, Step, keep_record, read_record
from ringfence.availability.failover.steps import Options, Steps
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.standby import Standby
from ringfence.availability.term import Term
from ringfence.errors import ConflictError, NotFoundError, RingfenceError
from ringfence.settings import Settings

log = structlog.get_logger()


class Failover:
    """One node's; `kind` is failover or failback. `told` hears of every step's beginning and end."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        status: Callable[[], dict[str, Any]],
        kind: str = "failover",
        told: Callable[[Step], None] = lambda step: None,
        report: Report = no_report,
    ) -> None:
        self._settings = settings
        self._options = options
        self._status = status
        self._kind = kind
        self._told = told
        self._report = report

    def plan(self) -> Record:
        """What would be done, and whether it could be: `--dry-run`. Nothing is changed, nothing kept."""
        record, is_new = self._record()
        if not is_new:
            return record
        steps = Steps(self._settings, self._options, record, self._status, lambda record: None, self._report)
        words = steps.check()
        return steps.record.with_step(replace(record.steps[0], state="done", words=words))

    def run(self) -> Record:
        """Do it, or go on with one that was interrupted. RingfenceError: why the step under way failed."""
        with _alone(self._settings):
            record, _ = self._record()
            steps = Steps(self._settings, self._options, record, self._status, self._keep, self._report)
            for step in record.steps:
                if step.state != "done":
                    self._do(steps, step)
            done = procedure.ended(steps.record, datetime.now(UTC))
            self._keep(done)
        log.info("failover.done", kind=self._kind, **outcome.in_short(done.facts))
        return done

    def _record(self) -> tuple[Record, bool]:
        """The one to go on with, or a new one. NotFoundError when this node is no standby."""
        before = read_record(self._settings)
        Node(self._settings).require_owner()
        following, now = standby.read_standby(self._settings), datetime.now(UTC)
        going_on = procedure.to_go_on_with(before, self._kind, self._options.backup, following, now)
        if going_on is not None:
            return going_on, False
        if following is None:
            raise NotFoundError(
                f"{self._kind}: this node is no standby: run it on the standby (`ringfence standby init HOST`)"
            )
        return procedure.begin(self._kind, following, self._options.backup, now, before), True

    def _do(self, steps: Steps, step: Step) -> None:
        began = time.monotonic()
        self._become(steps, replace(step, state="running", words=""))
        try:
            words = steps.work(step.name)()
        except RingfenceError as error:
            self._become(steps, replace(step, state="failed", words=error.message, seconds=_since(began)))
            log.error("failover.failed", kind=self._kind, step=step.name, reason=error.message)
            raise
        self._become(steps, replace(step, state="done", words=words, seconds=_since(began)))

    def _become(self, steps: Steps, step: Step) -> None:
        steps.record = steps.record.with_step(step)
        self._keep(steps.record)
        self._told(step)

    def _keep(self, record: Record) -> None:
        keep_record(self._settings, record)


def give_up(settings: Settings, following: Standby) -> None:
    """`ringfence up` follows again: what had not taken over the database yet is over, but for the term that it told.

    ConflictError when it had. One that is under way in another process goes on.
    """
    record = read_record(settings)
    if record is None or not procedure.is_of(record, following):
        return
    if procedure.has_taken_over(record):
        raise ConflictError(
            f"up: a {record.kind} has taken over the database here: `ringfence {record.kind}` goes on with it"
        )
    with suppress(ConflictError), _alone(settings):
        if (told := Term.parse(record.facts.get("term"))) is not None:
            NodeTerm(settings.data).meet(told)
        keep_record(settings, procedure.ended(record, datetime.now(UTC)))
        log.warning("failover.given_up", kind=record.kind)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    run = settings.data / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(run / "failover.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("failover: another one is under way on this node") from None
        yield
    finally:
        os.close(descriptor)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
