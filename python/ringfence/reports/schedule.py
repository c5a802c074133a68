"""When reports are due, and what is to be done about those that are. Pure: state and `now` come in, steps go out.

A period is a local day, week or month of the report's zone; it is due once, at the report's hour of its first day that
counts. Clocks change: an hour that does not exist that day is due when the clock has passed it, one that comes twice is
due the first time. Only the newest period is ever sent: what a mediation slept through is not sent in bulk.

A run is one period's sending:

    ─► claimed ─► sending ─► sent
          │          ├─────► failed ─► claimed … (MAX_ATTEMPTS times, RETRY_AFTER apart) ─► given_up
          │          └─────► unsure      nobody knows whether the server took it; never tried again by itself
          └─ whoever claimed it is gone: claimed by another after CLAIMED_FOR
Before `sending` nothing has left, so another may take over; from then on only who claimed it says how it went. A run
that has been `sending` for longer than a conversation lasts is `unsure`: a report twice is worse than a word about it.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ringfence.analytics.words import one_of
from ringfence.errors import InvalidInputError

Every = Literal["day", "week", "month"]
State = Literal["claimed", "sending", "sent", "failed", "unsure", "given_up"]

EVERY: tuple[Every, ...] = ("day", "week", "month")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_ATTEMPTS = 5
# After the first failure, the second, …; the last one stands for all further.
RETRY_AFTER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
# Asking and printing take seconds; a query ends by its own limit.
CLAIMED_FOR = timedelta(minutes=10)
# An SMTP conversation has a limit for each step (`mail.timeout_s`, at most ten minutes).
SENDING_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Schedule:
    """`day`: of the week from 1 for Monday, of the month (a shorter month's last day stands for it); daily: 1."""

    every: Every
    day: int
    hour: int
    zone: str

    @property
    def words(self) -> str:
        """As people say it: `each Mon at 07:00 America/Chicago`."""
        month = f"monthly on day {self.day}" if self.day < 31 else "monthly on the last day"
        day = {"day": "daily", "week": f"each {WEEKDAYS[(self.day - 1) % 7].capitalize()}", "month": month}
        return f"{day[self.every]} at {self.hour:02}:00 {self.zone}"

    def check(self) -> None:
        """InvalidInputError names what makes no sense."""
        one_of("every", self.every, EVERY)
        last = {"day": 1, "week": 7, "month": 31}[self.every]
        if not 1 <= self.day <= last:
            raise InvalidInputError(f"day: {self.day} must be from 1 to {last} for every {self.every}")
        if not 0 <= self.hour <= 23:
            raise InvalidInputError(f"hour: {self.hour} must be from 0 to 23")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInputError(f"zone: {self.zone!r} is not a time zone such as America/Chicago") from None

    def last_due(self, now: datetime) -> Period:
        """The newest period that was due at `now`."""
        day = now.astimezone(ZoneInfo(self.zone)).date()
        while True:
            if self._counts(day) and (due_at := self._instant(day)) <= now:
                return Period(self._name(day), due_at)
            day -= timedelta(days=1)

    def next_due(self, now: datetime) -> datetime:
        """When the period after that is due."""
        day = now.astimezone(ZoneInfo(self.zone)).date()
        while True:
            if self._counts(day) and (due_at := self._instant(day)) > now:
                return due_at
            day += timedelta(days=1)

    def _counts(self, day: date) -> bool:
        if self.every == "week":
            return day.isoweekday() == self.day
        if self.every == "month":
            return day.day == min(self.day, calendar.monthrange(day.year, day.month)[1])
        return True

    def _instant(self, day: date) -> datetime:
        # fold 0: the first of two equal hours; of a missing one the instant at which it would have come.
        return datetime.combine(day, time(self.hour), ZoneInfo(self.zone)).astimezone(UTC)

    def _name(self, day: date) -> str:
        if self.every == "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        return day.isoformat() if self.every == "day" else f"{day:%Y-%m}"


@dataclass(frozen=True)
class Period:
    """What is sent once: its name in the report's zone, and when it was due."""

    name: str
    due_at: datetime


@dataclass(frozen=True)
class Planned:
    """A report as far as its schedule goes; what was due before `set_at` is not sent."""

    report_id: int
    schedule: Schedule
    set_at: datetime


@dataclass(frozen=True)
class Run:
    """How the sending of a period stands. `asked_by` None: by schedule; what a person asked for is no period's."""

    report_id: int
    period: str
    due_at: datetime
    state: State
    attempts: int
    changed_at: datetime
    asked_by: str | None = None


@dataclass(frozen=True)
class Send:
    """Claim this period and send it; `attempts` were made before."""

    report_id: int
    period: Period
    attempts: int


@dataclass(frozen=True)
class GiveUp:
    """End this run; `state` says as what."""

    run: Run
    state: Literal["given_up", "unsure"]
    why: str


Step = Send | GiveUp


def decide(reports: Sequence[Planned], runs: Iterable[Run], now: datetime) -> list[Step]:
    """What is to be done at `now`. `runs`: those that have not ended for good, and of each report its newest period."""
    known = list(runs)
    newest = {report.report_id: report.schedule.last_due(now) for report in reports}
    by_period = {(run.report_id, run.period): run for run in known}
    steps: list[Step] = [step for run in known if (step := _end(run, newest.get(run.report_id), now)) is not None]
    for report in reports:
        period = newest[report.report_id]
        run = by_period.get((report.report_id, period.name))
        if run is None:
            if period.due_at > report.set_at:
                steps.append(Send(report.report_id, period, 0))
        elif run.attempts < MAX_ATTEMPTS and _may_be_claimed(run, now):
            steps.append(Send(report.report_id, Period(run.period, run.due_at), run.attempts))
    return steps


def retry_at(run: Run) -> datetime | None:
    """When a run that failed is tried again; None: not by itself."""
    if run.state != "failed" or run.attempts >= MAX_ATTEMPTS:
        return None
    return run.changed_at + RETRY_AFTER[min(max(run.attempts, 1), len(RETRY_AFTER)) - 1]


def _may_be_claimed(run: Run, now: datetime) -> bool:
    if run.state == "claimed":
        return now >= run.changed_at + CLAIMED_FOR
    due = retry_at(run)
    return due is not None and now >= due


def _end(run: Run, newest: Period | None, now: datetime) -> GiveUp | None:
    if run.state == "sending" and now >= run.changed_at + SENDING_FOR:
        why = "the mediation ended while the mail server had the report; whether it took it is not known"
        return GiveUp(run, "unsure", why)
    is_retried = run.attempts < MAX_ATTEMPTS and newest is not None and run.period == newest.name
    if run.state == "claimed" and not is_retried and now >= run.changed_at + CLAIMED_FOR:
        return GiveUp(run, "given_up", "the mediation ended before the report was sent")
    if run.state == "failed" and not is_retried:
        return GiveUp(run, "given_up", "the next report is due")
    return None
