"""Reports and their runs in the database. A run's row is a claim: who writes it, and nobody else, sends that period.

A claim is known by its attempts: each claim counts them up, and every later step of it asks for its own count, so that
a mediation that was slow, or is no leader any more, finds that its claim is gone before anything leaves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from ringfence.accounts.audit import record
from ringfence.accounts.roles import allows
from ringfence.analytics.saved import find_view
from ringfence.database.sight import require_all_sites, require_full_numbers
from ringfence.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from ringfence.reports.schedule import Every, Period, Planned, Run, Schedule, Send, State, retry_at
from ringfence.settings import MAIL_ADDRESS
from ringfence.vocabulary import Role

MAX_REPORTS = 500
MAX_RECIPIENTS = 50
SHOWN_RUNS = 20
KEPT = timedelta(days=400)
_NAME = re.compile(r"[^/]{1,64}")
_NOTE = 500

_READ = "SELECT report_id, name, owner, view_owner, view_name, every, day, hour, zone, recipients, set_at FROM report"
_RUNS = "SELECT report_id, period, due_at, asked_by, state, attempts, changed_at, note FROM report_run"
_PUT = """
INSERT INTO report (name, owner, view_owner, view_name, every, day, hour, zone, recipients, set_at)
VALUES (%(name)s, %(owner)s, %(view_owner)s, %(view_name)s, %(every)s, %(day)s, %(hour)s, %(zone)s, %(recipients)s,
        %(set_at)s)
ON CONFLICT (name) DO UPDATE SET view_owner = excluded.view_owner, view_name = excluded.view_name,
    every = excluded.every, day = excluded.day, hour = excluded.hour, zone = excluded.zone,
    recipients = excluded.recipients, set_at = excluded.set_at
"""
_CLAIM_FIRST = """
INSERT INTO report_run (report_id, period, due_at, asked_by, state, attempts, changed_at)
SELECT report_id, %(period)s, %(due_at)s, %(asked_by)s, 'claimed', 1, %(now)s FROM report
WHERE report_id = %(report_id)s
ON CONFLICT DO NOTHING
"""
_CLAIM_AGAIN = """
UPDATE report_run SET state = 'claimed', attempts = attempts + 1, changed_at = %(now)s
WHERE report_id = %(report_id)s AND period = %(period)s AND attempts = %(attempts)s AND state IN ('failed', 'claimed')
"""
_MOVE = """
UPDATE report_run SET state = %(state)s, changed_at = %(now)s, note = %(note)s
WHERE report_id = %(report_id)s AND period = %(period)s AND attempts = %(attempts)s AND state = ANY(%(before)s)
"""


@dataclass(frozen=True)
class Report:
    """A saved view that goes to people by e-mail. The view is the one of that name when it is sent."""

    report_id: int
    name: str
    owner: str
    view_owner: str
    view_name: str
    every: Every
    day: int
    hour: int
    zone: str
    recipients: list[str]
    set_at: datetime

    @property
    def schedule(self) -> Schedule:
        """When it is due."""
        return Schedule(self.every, self.day, self.hour, self.zone)

    @property
    def is_planned(self) -> bool:
        """Whether it can be due here: a database may come from a machine that knew other zones."""
        try:
            self.schedule.check()
        except InvalidInputError:
            return False
        return True

    @property
    def planned(self) -> Planned:
        """What deciding needs of it."""
        return Planned(self.report_id, self.schedule, self.set_at)

    def as_json(self, runs: Sequence[RecordedRun], now: datetime) -> dict[str, Any]:
        """Every field, when it is due next (null: its zone is not known here), and how its newest runs went."""
        return {
            "name": self.name,
            "owner": self.owner,
            "view": {"owner": self.view_owner, "name": self.view_name},
            "every": self.every,
            "day": self.day,
            "hour": self.hour,
            "zone": self.zone,
            "recipients": self.recipients,
            "set_at": self.set_at.isoformat(),
            "next_due": self.schedule.next_due(now).isoformat() if self.is_planned else None,
            "runs": [run.as_json() for run in runs],
        }


@dataclass(frozen=True)
class RecordedRun(Run):
    """A run with what went wrong."""

    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; `retry_at` null: it is not tried again by itself."""
        again = retry_at(self)
        return {
            "period": self.period,
            "due_at": self.due_at.isoformat(),
            "asked_by": self.asked_by,
            "state": self.state,
            "attempts": self.attempts,
            "changed_at": self.changed_at.isoformat(),
            "note": self.note,
            "retry_at": again.isoformat() if again is not None else None,
        }


@dataclass(frozen=True)
class Claim:
    """The right to send a period: this attempt of it, and no other."""

    report: Report
    period: Period
    attempts: int
    asked_by: str | None


def list_reports(connection: psycopg.Connection) -> list[Report]:
    """All, by name."""
    with connection.cursor(row_factory=class_row(Report)) as cursor:
        return cursor.execute(f"{_READ} ORDER BY lower(name), name").fetchall()


def read_report(connection: psycopg.Connection, name: str) -> Report:
    """One. NotFoundError."""
    with connection.cursor(row_factory=class_row(Report)) as cursor:
        report = cursor.execute(f"{_READ} WHERE name = %s", [name]).fetchone()
    if report is None:
        raise NotFoundError(f"report {name!r}: there is none of this name")
    return report


def newest_runs(connection: psycopg.Connection, report: Report, limit: int = SHOWN_RUNS) -> list[RecordedRun]:
    """How a report's sending went, the newest first."""
    with connection.cursor(row_factory=class_row(RecordedRun)) as cursor:
        query = f"{_RUNS} WHERE report_id = %s ORDER BY due_at DESC, period DESC LIMIT %s"
        return cursor.execute(query, [report.report_id, limit]).fetchall()


def set_report(connection: psycopg.Connection, report: Report, actor: str) -> Report:
    """Add a report, or replace the one of its name, whose owner stays. InvalidInputError names what cannot be."""
    # The leader sends it, with all sites and whole numbers.
    require_full_numbers("a report")
    require_all_sites("a report")
    _check(report)
    (count,) = connection.execute("SELECT count(*) FROM report WHERE name <> %s", [report.name]).fetchone() or (0,)
    if count >= MAX_REPORTS:
        raise ConflictError(f"name: there are {MAX_REPORTS} reports already; remove one first")
    connection.execute(_PUT, {name: value for name, value in vars(report).items() if name != "report_id"})
    kept = read_report(connection, report.name)
    find_view(connection, kept.view_owner, kept.view_name, kept.owner)
    detail = {"view": f"{kept.view_owner}/{kept.view_name}", "every": kept.every, "day": kept.day, "hour": kept.hour,
              "zone": kept.zone, "recipients": kept.recipients}  # fmt: skip
    record(connection, actor, "report.set", kept.name, detail)
    return kept


def check_owner(connection: psycopg.Connection, name: str, person: str, role: Role) -> None:
    """ForbiddenError when there is a report of this name that the person may not change or send."""
    row = connection.execute("SELECT owner FROM report WHERE name = %s", [name]).fetchone()
    if row is not None and row[0] != person and not allows(role, Role.ADMINISTRATOR):
        raise ForbiddenError(f"report {name!r} is {row[0]}'s; only its owner or an administrator may do this")


def remove_report(connection: psycopg.Connection, name: str, actor: str) -> None:
    """Send it no more; how it went is forgotten. NotFoundError."""
    report = read_report(connection, name)
    connection.execute("DELETE FROM report WHERE report_id = %s", [report.report_id])
    record(connection, actor, "report.remove", name, {"recipients": report.recipients})


def read_plan(connection: psycopg.Connection) -> tuple[list[Report], list[RecordedRun]]:
    """What `schedule.decide` needs: all reports, their runs that have not ended, and each one's newest."""
    with connection.cursor(row_factory=class_row(RecordedRun)) as cursor:
        runs = cursor.execute(
            f"""
            {_RUNS} WHERE state IN ('claimed', 'sending', 'failed')
            UNION
            ({_RUNS.replace("SELECT ", "SELECT DISTINCT ON (report_id) ")} WHERE asked_by IS NULL
             ORDER BY report_id, due_at DESC)
            """
        ).fetchall()
    return list_reports(connection), runs


def claim(
    connection: psycopg.Connection, report: Report, send: Send, now: datetime, asked_by: str | None = None
) -> Claim | None:
    """Take the right to send a period; None: somebody else has it. Old runs are forgotten on the way."""
    values = {
        "report_id": report.report_id,
        "period": send.period.name,
        "due_at": send.period.due_at,
        "asked_by": asked_by,
        "attempts": send.attempts,
        "now": now,
    }
    if connection.execute(_CLAIM_AGAIN if send.attempts else _CLAIM_FIRST, values).rowcount == 0:
        return None
    connection.execute(
        "DELETE FROM report_run WHERE report_id = %s AND due_at < %s AND period <> %s",
        [report.report_id, now - KEPT, send.period.name],
    )
    if asked_by is not None:
        record(connection, asked_by, "report.send", report.name, {"recipients": report.recipients})
    return Claim(report, send.period, send.attempts + 1, asked_by)


def begin_sending(connection: psycopg.Connection, held: Claim, now: datetime) -> None:
    """The mail server gets it now. ConflictError: the claim is another's meanwhile."""
    if not _move(connection, held, "sending", now, None, ("claimed",)):
        raise ConflictError(f"report {held.report.name!r}: {held.period.name} was taken over by another mediation")


def end_run(connection: psycopg.Connection, held: Claim, state: State, now: datetime, note: str | None) -> bool:
    """Keep how it went; False: the claim is another's meanwhile. Who sent it knows better than who gave it up."""
    return _move(connection, held, state, now, note, ("claimed", "sending", "unsure"))


def give_up(connection: psycopg.Connection, run: Run, state: State, why: str, now: datetime) -> None:
    """End a run that nobody goes on with."""
    values = {"report_id": run.report_id, "period": run.period, "attempts": run.attempts}
    # What went wrong last says more than that it ends.
    connection.execute(
        _MOVE.replace("%(note)s", "coalesce(note, %(note)s)"),
        values | {"state": state, "now": now, "note": why[:_NOTE], "before": [run.state]},
    )


def _move(
    connection: psycopg.Connection, held: Claim, state: State, now: datetime, note: str | None, before: Sequence[State]
) -> bool:
    values = {
        "report_id": held.report.report_id,
        "period": held.period.name,
        "attempts": held.attempts,
        "state": state,
        "now": now,
        "note": note[:_NOTE] if note else None,
        "before": list(before),
    }
    return connection.execute(_MOVE, values).rowcount == 1


def _check(report: Report) -> None:
    # It becomes a mail's subject, which is one line of what can be shown.
    if not _NAME.fullmatch(report.name) or report.name != report.name.strip() or not report.name.isprintable():
        raise InvalidInputError(
            f"name: {report.name!r} must be 1 to 64 printable characters without '/', and no space at either end"
        )
    report.schedule.check()
    if not 1 <= len(report.recipients) <= MAX_RECIPIENTS:
        raise InvalidInputError(f"recipients: {len(report.recipients)} given, must be 1 to {MAX_RECIPIENTS}")
    if len({address.casefold() for address in report.recipients}) < len(report.recipients):
        raise InvalidInputError("recipients: an address is given twice")
    for address in report.recipients:
        if not MAIL_ADDRESS.fullmatch(address):
            raise InvalidInputError(f"recipients: {address!r} is not one mail address such as ada@example.com")
