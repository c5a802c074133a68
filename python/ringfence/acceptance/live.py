"""Runs inside a mediation, for API and console: one at a time, a job; what a person must do is asked and answered.

start ─► job: Run against this mediation's own API ─► questions wait on the Desk ─► answer (API, console)
            └─► the record is saved after each result: a run that is watched, and one that breaks off, is there
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ringfence import __version__
from ringfence.acceptance import store
from ringfence.acceptance.cases import cases_for
from ringfence.acceptance.cases.enum_answers import POLICY
from ringfence.acceptance.hands import Answer, AskedHands, NobodyThereError, Question
from ringfence.acceptance.plan import Plan
from ringfence.acceptance.record import Record
from ringfence.acceptance.run import Progress, Run
from ringfence.acceptance.sbc_side import emulated
from ringfence.acceptance.trial_policy import try_to_put_back
from ringfence.accounts import audit
from ringfence.accounts.credentials import create_token, revoke_token
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from ringfence.mediation import jobs
from ringfence.mediation.client import Client
from ringfence.mediation.local_files import mediation_file, place_trust
from ringfence.trust.verification import Trust
from ringfence.vocabulary import Role

KIND = "functional system test"
TOKEN_LASTS = timedelta(hours=12)
_WAIT_S = 0.5


@dataclass(frozen=True)
class RunRequest:
    """What is to run. `attended`: somebody answers questions; else what needs a person is OTHER."""

    plan: Plan
    actor: str
    only: tuple[str, ...] = ()
    wait_scale: float = 1.0
    attended: bool = True
    tester: str = ""
    witness: str = ""


class Desk:
    """Where a run's question waits for its answer."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._question: Question | None = None
        self._answer: Answer | None = None
        self._number = 0
        self.words = ""

    def open_question(self) -> dict[str, Any] | None:
        """What is asked now, with its number, which the answer names; None: nothing."""
        with self._lock:
            return asdict(self._question) | {"number": self._number} if self._question else None

    def ask(self, question: Question, still_wanted: Callable[[], None]) -> Answer:
        """Wait for the answer; `still_wanted` raises when the run was cancelled."""
        with self._lock:
            self._question, self._answer = question, None
            self._number += 1
            try:
                while (given := self._take()) is None:
                    self._lock.wait(_WAIT_S)
                    still_wanted()
                return given
            finally:
                self._question = None

    def _take(self) -> Answer | None:
        return self._answer

    def answer(self, number: int, answer: Answer) -> None:
        """Answer what is asked. ConflictError: that is another question by now. InvalidInputError: no verdict."""
        with self._lock:
            if self._question is None or number != self._number:
                raise ConflictError(f"question {number} is not asked (any more)")
            if self._question.wants == "verdict" and answer.verdict is None:
                raise InvalidInputError("verdict: is missing; this question wants PASS, FAIL or OTHER")
            if answer.verdict in ("FAIL", "OTHER") and not answer.comment.strip():
                raise InvalidInputError("comment: is needed with FAIL and OTHER")
            self._answer = answer
            self._lock.notify_all()


_desks: dict[str, Desk] = {}
_jobs: dict[str, jobs.Job] = {}


def start(running: jobs.Jobs, database: Database, data: Path, request: RunRequest, now: datetime) -> Record:
    """Begin a run in the mediation with this data folder; its record. ConflictError: another one goes on."""
    if not 0 <= request.wait_scale <= 1:
        raise InvalidInputError(f"wait_scale: {request.wait_scale!r} must be from 0 to 1 (real)")
    if any(job.state in ("queued", "running") for job in running.list(KIND)):
        raise ConflictError("a functional system test is running already", code="conflict.busy")
    cases, skipped = cases_for(request.plan, request.only)
    run = new_run_id(now)
    with database.connection() as connection:
        record = Record(
            run, request.plan, "live", "SBC emulator with each site's preset", __version__,
            now.isoformat(timespec="seconds"), request.actor, request.wait_scale,
            cases=tuple(case.id for case in cases), skipped=skipped,
            earlier=store.earlier_runs(connection, request.plan, "live"),
            tester=request.tester, witness=request.witness,
        )  # fmt: skip
        store.save_record(connection, record)
        audit.record(connection, request.actor, "fst.run", run, {"cases": list(record.cases)})
    desk = _desks[run] = Desk()

    def work(progress: jobs.Progress) -> dict[str, Any]:
        ended = _carry_out(database, data, request, record, desk, progress)
        return {"run": run, "verdict": ended.verdict()}

    _jobs[run] = running.start(KIND, request.actor, work, now)
    return record


def state_of(run: str) -> dict[str, Any]:
    """How far a run of this process is: `state`, `words`, `done`, `total`, `question`; of others `state` is `ended`."""
    job, desk = _jobs.get(run), _desks.get(run)
    if job is None or desk is None:
        return {"state": "ended", "words": "", "done": 0, "total": 0, "question": None}
    return {
        "state": "running" if job.state in ("queued", "running") else "ended",
        "words": desk.words,
        "done": job.progress.done,
        "total": job.progress.total,
        "question": desk.open_question(),
    }


def answer(run: str, number: int, given: Answer) -> None:
    """Answer what a run asks. NotFoundError: it does not go on in this process."""
    if run not in _desks:
        raise NotFoundError(f"run {run!r} does not go on in this mediation")
    _desks[run].answer(number, given)


def cancel(run: str) -> None:
    """Break a run off; its record stays as it is then."""
    if run not in _jobs:
        raise NotFoundError(f"run {run!r} does not go on in this mediation")
    _jobs[run].progress.cancel()


def new_run_id(now: datetime) -> str:
    """A name that people can say: the day and time, and something to tell two of a minute apart."""
    return f"{now:%Y%m%d-%H%M}-{secrets.token_hex(2)}"


def _carry_out(
    database: Database, data: Path, request: RunRequest, record: Record, desk: Desk, progress: jobs.Progress
) -> Record:
    plan = request.plan
    latest = record

    def tell(at: Progress, so_far: Record) -> None:
        nonlocal latest
        if so_far.results != latest.results:
            with database.connection() as connection:
                store.save_record(connection, so_far)
        latest = so_far
        desk.words = f"{at.case} {at.words}".strip()
        progress.at(at.done, at.total, desk.words)

    def ask(question: Question) -> Answer:
        if not request.attended:
            raise NobodyThereError(f"this needs a person, and nobody attends this run: {question.words}")
        return desk.ask(question, lambda: progress.at(progress.done))

    name, secret = _token(database, record.run, request.actor)
    url, trust = _own_place(data)
    api = Client(url, secret, trust=trust)
    scale = 1.0  # a real SBC's times are what they are; the emulator keeps them
    sbcs = {one.site: emulated(one, plan.apex, scale) for one in plan.locations if one.enum_servers or one.probes}
    run = Run(record, api, AskedHands(ask), sbcs, tell)
    cases, _ = cases_for(plan, request.only)
    try:
        run.execute(cases)
    finally:
        policy = run.memory.get(POLICY)
        fault = try_to_put_back(policy) if policy is not None else ""
        api.close()
        ended = run.record if not fault else replace(run.record, notes=(*run.record.notes, fault))
        with database.connection() as connection:
            revoke_token(connection, name, request.actor)
            store.save_record(connection, ended)
    return ended


def _token(database: Database, run: str, actor: str) -> tuple[str, str]:
    """A token for the time of the run: what it does is done, and audited, as its own."""
    name = f"fst-{run}"
    with database.connection() as connection:
        return name, create_token(connection, name, Role.EDITOR, actor, datetime.now(UTC) + TOKEN_LASTS)


def _own_place(data: Path) -> tuple[str, Trust]:
    try:
        place = json.loads(mediation_file(data).read_text(encoding="utf-8"))
        return str(place["url"]), place_trust(place)
    except (OSError, ValueError, KeyError):
        raise UnavailableError("this mediation does not know its own address yet: try again") from None
