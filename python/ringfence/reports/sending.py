"""Reports sent: the leader looks what is due, a thread of its own makes and sends it, so that nothing waits for mail.

    decide ─► claim ─► ask the view as of when it was due ─► letter ─► SMTP up to DATA ─► begin_sending ─► DATA ─► sent
Whatever goes wrong before DATA is a failure, which is kept and tried again; see `schedule` for what happens to a run
whose mediation is gone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import psycopg
import structlog

from ringfence.analytics.asking import shifted
from ringfence.analytics.saved import find_view, question_of
from ringfence.analytics.views import run_query
from ringfence.database.connection import Database
from ringfence.errors import RingfenceError, UnavailableError
from ringfence.reports import store
from ringfence.reports.document import Occasion, build_document
from ringfence.reports.letter import write_letter
from ringfence.reports.schedule import MAX_ATTEMPTS, GiveUp, Period, Send, State, Step, decide
from ringfence.reports.smtp import UnsureError, hand_over
from ringfence.reports.store import Claim, RecordedRun, Report
from ringfence.settings import MailSettings

log = structlog.get_logger()
Clock = Callable[[], datetime]
KIND = "report"  # of jobs


class Reports:
    """Sends what is due, one report after the other, in a thread of its own."""

    def __init__(self, mail: MailSettings) -> None:
        self._mail = mail
        self._busy = threading.Lock()

    def start_due(self, database: Database) -> None:
        """Begin with what is due, unless the last round still goes on."""
        if not _steps(database, datetime.now(UTC))[1] or not self._busy.acquire(blocking=False):
            return
        threading.Thread(target=self._run, args=(database,), name="reports", daemon=True).start()

    def send_now(self, database: Database, name: str, person: str) -> RecordedRun:
        """Send a report by hand, as of now; the run as it ended. NotFoundError."""
        now = _now()
        period = Period(f"by hand {now.isoformat(timespec='microseconds')}", now)
        with database.connection() as connection:
            report = store.read_report(connection, name)
        send_one(database, self._mail, report, Send(report.report_id, period, 0), _now, asked_by=person)
        with database.connection() as connection:
            runs = store.newest_runs(connection, report)
        return next(run for run in runs if run.period == period.name)

    def sending(self, database: Database, name: str, person: str) -> Callable[[object], dict[str, Any]]:
        """`send_now` as the work of a job, whose result is the run's JSON."""
        return lambda _: self.send_now(database, name, person).as_json()

    def _run(self, database: Database) -> None:
        try:
            send_due(database, self._mail)
        except (psycopg.Error, UnavailableError) as error:
            log.warning("report.stopped", error=str(error).strip().split("\n")[0])
        finally:
            self._busy.release()


def _now() -> datetime:
    return datetime.now(UTC)


def send_due(database: Database, mail: MailSettings, clock: Clock = _now) -> None:
    """One round: what is due at the clock's time is sent, what nobody goes on with is given up."""
    reports, steps = _steps(database, clock())
    for step in steps:
        if isinstance(step, GiveUp):
            with database.connection() as connection:
                store.give_up(connection, step.run, step.state, step.why, clock())
            log.warning("report.given_up", report=step.run.report_id, period=step.run.period, state=step.state)
        else:
            send_one(database, mail, reports[step.report_id], step, clock)


def _steps(database: Database, now: datetime) -> tuple[dict[int, Report], list[Step]]:
    with database.connection() as connection:
        reports, runs = store.read_plan(connection)
    planned = [report.planned for report in reports if report.is_planned]
    return {report.report_id: report for report in reports}, decide(planned, runs, now)


def send_one(
    database: Database, mail: MailSettings, report: Report, send: Send, clock: Clock, asked_by: str | None = None
) -> None:
    """One attempt at one period, unless another mediation has it. What goes wrong is kept with the run."""
    with database.connection() as connection:
        held = store.claim(connection, report, send, clock(), asked_by)
    if held is None:
        return
    is_last = held.attempts >= MAX_ATTEMPTS or asked_by is not None
    try:
        letter = _write(database, mail, held, clock())
        refused = hand_over(mail, letter, report.recipients, lambda: _begin(database, held, clock), is_last=is_last)
    except UnsureError as error:
        _end(database, held, clock(), "unsure", error.message)
    except RingfenceError as error:
        _end(database, held, clock(), "given_up" if is_last else "failed", error.message)
    except Exception:
        log.exception("report.broke", report=report.name, period=held.period.name)
        why = "an unexpected error happened; the mediation's log has the details"
        _end(database, held, clock(), "given_up" if is_last else "failed", why)
    else:
        _end(database, held, clock(), "sent", f"refused: {'; '.join(refused)}" if refused else None)


def _write(database: Database, mail: MailSettings, held: Claim, now: datetime) -> EmailMessage:
    report = held.report
    with database.connection() as connection:
        view = find_view(connection, report.view_owner, report.view_name, report.owner)
    # As of when it was due: a report that is late, or tried again, says the same.
    query, against = question_of(view.words, held.period.due_at, report.zone)
    with database.connection() as connection:
        result = run_query(connection, query)
        compared = run_query(connection, shifted(query, against)) if against is not None else None
    document = build_document(Occasion(report.name, held.period.name, now), result, compared, against)
    return write_letter(document, mail.sender, report.recipients, _message_id(mail, held), now)


def _message_id(mail: MailSettings, held: Claim) -> str:
    """The same for every attempt at a period, so that a reader's mail program shows a second copy as the same."""
    named = "\0".join((held.report.name, held.report.set_at.isoformat(), held.period.name))
    return f"<{hashlib.sha256(named.encode()).hexdigest()[:32]}@{mail.sender.rpartition('@')[2]}>"


def _begin(database: Database, held: Claim, clock: Clock) -> None:
    with database.connection() as connection:
        store.begin_sending(connection, held, clock())


def _end(database: Database, held: Claim, now: datetime, state: State, note: str | None) -> None:
    with database.connection() as connection:
        is_ours = store.end_run(connection, held, state, now, note)
    fields = {"report": held.report.name, "period": held.period.name, "attempts": held.attempts}
    if state == "sent":
        log.info("report.sent", **fields, note=note)
    elif is_ours:
        log.warning("report.failed", **fields, state=state, error=note)
