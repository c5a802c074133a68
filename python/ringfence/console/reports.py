"""Reports in the menu of saved views: which of them go to whom by e-mail, how that went, setting and sending one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import psycopg
from nicegui import run

from ringfence.analytics.saved import SavedView
from ringfence.console.address import iso
from ringfence.console.forms import Fields, FormDialog, area_field, attempt, confirm, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.errors import InvalidInputError
from ringfence.reports import store
from ringfence.reports.schedule import EVERY, Every
from ringfence.reports.sending import KIND, Reports
from ringfence.reports.store import RecordedRun, Report
from ringfence.vocabulary import Role

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# `every/day` of a schedule.
_RHYTHMS = {
    "day/1": "Every day",
    **{f"week/{number}": f"Each {name}" for number, name in enumerate(_WEEKDAYS, start=1)},
    "month/1": "Monthly, on the 1st",
    "month/15": "Monthly, on the 15th",
    "month/31": "Monthly, on the last day",
}
_HOURS = {str(hour): f"{hour:02}:00" for hour in range(24)}
# State → words, colour.
_STATES = {
    "claimed": ("being sent", "plain"),
    "sending": ("being sent", "plain"),
    "sent": ("sent", "green"),
    "failed": ("failed, is tried again", "amber"),
    "unsure": ("unsure whether it arrived", "amber"),
    "given_up": ("not sent", "red"),
}
_LONGEST_WAIT_S = 120.0

Listed = list[tuple[Report, RecordedRun | None]]


class ReportList:
    """The section. `on_change` reads and shows it anew."""

    def __init__(self, view: View, on_change: Callable[[], Awaitable[None]]) -> None:
        self.view = view
        self._on_change = on_change
        self._listed: Listed = []
        self.is_offered = view.session.may(Role.ANALYST)

    async def read(self) -> None:
        """Read what there is. Raises what the session raises."""
        if self.is_offered:
            self._listed = await self.view.session.act(Role.ANALYST, _list)

    def lay_out(self) -> None:
        """The reports, one below the other."""
        if not self._listed:
            return
        Tag("h3", "Sent by e-mail")
        for report, last in self._listed:
            with Tag("div", classes="report"):
                self._lay_out(report, last)

    def lay_out_offer(self, saved: SavedView) -> None:
        """What makes a report of a saved view."""
        if self.is_offered:
            button("", partial(self._ask, saved), icon="forward_to_inbox", classes="quiet icon-only small",
                   aria_label=f"Send {saved.name} by e-mail", title="Send by e-mail…")  # fmt: skip

    def _lay_out(self, report: Report, last: RecordedRun | None) -> None:
        session = self.view.session
        with Tag("div", classes="line"):
            Tag("b", report.name, title=f"View {report.view_name} of {report.view_owner}")
            Tag("span", classes="space")
            if report.owner == session.identity.name or session.may(Role.ADMINISTRATOR):
                button("", partial(self._send, report), icon="send", classes="quiet icon-only small",
                       aria_label=f"Send {report.name} now", title="Send now")  # fmt: skip
                button("", partial(self._remove, report), icon="delete_outline", classes="quiet icon-only small",
                       aria_label=f"Remove report {report.name}")  # fmt: skip
            else:
                Tag("span", f"of {report.owner}", classes="muted")
        count = len(report.recipients)
        when = report.schedule.words
        Tag("div", f"{when[0].upper()}{when[1:]}, to {report.recipients[0] if count == 1 else f'{count} addresses'}",
            classes="muted", title=", ".join(report.recipients))  # fmt: skip
        if last is not None:
            words, colour = _STATES[last.state]
            with Tag("div", classes="line"):
                Tag("span", words, classes=f"pill {colour}")
                moment(iso(last.changed_at), classes="muted")
            if last.note:
                Tag("div", last.note, classes="muted note")

    def _ask(self, saved: SavedView) -> None:
        dialog = FormDialog(self.view, "Send by e-mail", "Send it from now on", partial(self._set, saved))
        with dialog.body:
            Tag("p", f"View {saved.name} goes as mail with table and chart, and as PDF. Its time ends at the hour.")
            if self.view.session.settings.mail.host is None:
                Tag("p", "No mail server is set up yet (mail.host in the configuration): sending fails until it is.",
                    classes="muted")  # fmt: skip
            entry_field("Name", saved.name, name="name", required=True, autofocus=True)
            with Tag("div", classes="toolbar flat"):
                Choice("How often", _RHYTHMS, "week/1", ignore, name="rhythm")
                Choice("At", _HOURS, "7", ignore, name="hour")
                entry_field("Time zone", self.view.zone, name="zone", required=True)
            area_field("To", "", name="recipients", placeholder="ada@example.com", hint="One address a line", rows=3)

    async def _set(self, saved: SavedView, fields: Fields) -> None:
        session = self.view.session
        every, day = _rhythm(fields.get("rhythm", ""))
        person = session.identity.name
        report = Report(
            0, fields.get("name", "").strip(), person, saved.owner, saved.name, every, day,
            _hour(fields.get("hour", "")), fields.get("zone", "").strip(),
            fields.get("recipients", "").replace(",", " ").split(), datetime.now(UTC),
        )  # fmt: skip

        def put(connection: psycopg.Connection) -> Report:
            store.check_owner(connection, report.name, person, session.identity.role)
            return store.set_report(connection, report, person)

        kept = await session.act(Role.ANALYST, put)
        await self._on_change()
        self.view.say(f"{kept.name} is sent {kept.schedule.words}.")

    async def _send(self, report: Report) -> None:
        session = self.view.session
        person = session.identity.name

        async def send() -> None:
            await session.act(Role.ANALYST, store.check_owner, report.name, person, session.identity.role)
            work = Reports(session.settings.mail).sending(session.database, report.name, person)
            job = session.jobs.start(KIND, person, work)
            self.view.say(f"{report.name} is being sent.")
            await run.io_bound(job.ended.wait, _LONGEST_WAIT_S)
            if job.error is not None:
                raise job.error
            await self._on_change()
            if job.result is not None:
                words, _ = _STATES[job.result["state"]]
                is_fault = job.result["state"] != "sent"
                self.view.say(f"{report.name}: {job.result['note'] if is_fault else words}", is_fault=is_fault)

        await attempt(self.view, send)

    def _remove(self, report: Report) -> None:
        session = self.view.session
        person = session.identity.name

        def gone(connection: psycopg.Connection) -> None:
            store.check_owner(connection, report.name, person, session.identity.role)
            store.remove_report(connection, report.name, person)

        async def remove() -> None:
            await session.act(Role.ANALYST, gone)
            await self._on_change()

        confirm(
            self.view, f"Remove report {report.name}?", "It is sent no more; the saved view stays.", "Remove", remove
        )


def _list(connection: psycopg.Connection) -> Listed:
    return [
        (report, next(iter(store.newest_runs(connection, report, 1)), None))
        for report in store.list_reports(connection)
    ]


def _rhythm(text: str) -> tuple[Every, int]:
    word, _, day = text.partition("/")
    every: Every | None = next((one for one in EVERY if one == word), None)
    if every is None or text not in _RHYTHMS:
        raise InvalidInputError(f"how often: {text!r} is not one of {', '.join(_RHYTHMS)}")
    return every, int(day)


def _hour(text: str) -> int:
    if text not in _HOURS:
        raise InvalidInputError(f"at: {text!r} is not an hour")
    return int(text)
