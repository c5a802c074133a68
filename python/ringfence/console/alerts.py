"""The Alerts page: what detections found, the newest first; new ones appear by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.frame import Query, Region, View, every, heading, load, page
from ringfence.console.markup import Choice, Tag, button, moment, text_field
from ringfence.console.numbers import national
from ringfence.detection.alerts import reading
from ringfence.detection.alerts.alert import SEVERITIES, Alert
from ringfence.detection.alerts.reading import AlertFilter
from ringfence.detection.alerts.words import headline, number, span, whom
from ringfence.detection.firing import Severity
from ringfence.errors import InvalidInputError

REFRESH_S = 2.0
PAGE_SIZE = 100
STATE_CHOICES = {"unclosed": "Not closed", "open": "Open", "acknowledged": "Acknowledged", "closed": "Closed",
                 "all": "All"}  # fmt: skip
SEVERITY_CHOICES = {"": "Any", "warning": "Warning and above", "critical": "Critical"}
# Words, colour of a pill.
SEVERITY_PILLS = {
    Severity.INFO: ("Info", "none"),
    Severity.WARNING: ("Warning", "amber"),
    Severity.CRITICAL: ("Critical", "red"),
}
STATE_PILLS = {"open": ("Open", "red"), "acknowledged": ("Acknowledged", "amber"), "closed": ("Closed", "green")}


@dataclass(frozen=True)
class Question:
    """The page's state: which alerts."""

    state: str = "unclosed"
    severity: str = ""
    detection: str = ""
    text: str = ""

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        asked = cls(*(query.get(name, default) for name, default in vars(cls()).items()))
        for name, value, choices in (
            ("state", asked.state, STATE_CHOICES),
            ("severity", asked.severity, {**SEVERITY_CHOICES, "info": ""}),
        ):
            if value not in choices:
                words = ", ".join(word for word in choices if word)
                raise InvalidInputError(f"{name}: {value!r} is not one of {words}")
        return asked

    @property
    def address(self) -> str:
        """The page in this state."""
        return link("/alerts", vars(self) | {"state": self.state if self.state != "unclosed" else None})

    def filter(self, before: int | None = None) -> AlertFilter:
        """What to ask the domain for."""
        state = self.state if self.state != "all" else None
        severity = Severity(self.severity) if self.severity else None
        return AlertFilter(state, severity, self.detection or None, self.text or None, None, before, PAGE_SIZE)


@page("/alerts", "Alerts", "notifications", group="/alerts", is_whole=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Alerts")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/alerts"), "Start afresh")
        return
    _Page(view, question)


class _Page:
    def __init__(self, view: View, question: Question) -> None:
        self.view = view
        self.question = question
        self.change: int | None = None
        self.rows: Tag | None = None
        with Tag("div", classes="toolbar", role="search", aria_label="Filters"):
            text_field("Holds", question.text, lambda value: self._ask(text=value), name="text",
                       placeholder="a number, a site", classes="wide")  # fmt: skip
            text_field("Detection", question.detection, lambda value: self._ask(detection=value), name="detection",
                       placeholder="any")  # fmt: skip
            Choice("State", STATE_CHOICES, question.state, lambda value: self._ask(state=value), name="state")
            Choice("Severity", SEVERITY_CHOICES, question.severity, lambda value: self._ask(severity=value),
                   name="severity")  # fmt: skip
        self.region = Region("card")
        self.foot = Tag("div", classes="page-head")
        every(REFRESH_S, self._refresh)

    async def _ask(self, **changes: Any) -> None:
        self.question = replace(self.question, **changes)
        self.view.show_address(self.question.address)
        self.region.stale()
        self.change = None
        await self._refresh()

    async def _refresh(self) -> None:
        asked = self.question

        async def answer() -> None:
            found = await self.view.session.ask(_newest, asked.filter(), self.change)
            if found is not None and asked is self.question:
                self.change, alerts = found
                self._show(alerts)

        await load(self.region, answer, self._refresh)

    def _show(self, alerts: list[Alert]) -> None:
        self.foot.clear()
        if not alerts:
            if self.question == Question():
                self.region.empty("No alert is open", "Detections that fire appear here, at once.", "notifications")
            else:
                self.region.empty("No alert", "None passes the filters.", "notifications")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards alerts"):
            with Tag("thead"), Tag("tr"):
                for words in ("Last seen", "Severity", "What", "Measured", "Lasted", "State"):
                    Tag("th", words, classes="right" if words in ("Measured", "Lasted") else "", scope="col")
            self.rows = Tag("tbody")
        self._add(alerts)

    def _add(self, alerts: list[Alert]) -> None:
        if self.rows is not None:
            with self.rows:
                for alert in alerts:
                    _lay_out(alert)
        self.foot.clear()
        if len(alerts) == PAGE_SIZE:
            with self.foot:
                button("Older alerts", lambda: self._more(alerts[-1].alert_id), icon="expand_more", classes="quiet")

    async def _more(self, before: int) -> None:
        async def answer() -> None:
            self._add(await self.view.session.ask(reading.find_alerts, self.question.filter(before)))

        await load(self.region, answer)


def _newest(connection: psycopg.Connection, wanted: AlertFilter, known: int | None) -> tuple[int, list[Alert]] | None:
    """The newest change and alerts; None: nothing changed since."""
    change = reading.newest_change(connection)
    return (change, reading.find_alerts(connection, wanted)) if change != known else None


def _lay_out(alert: Alert) -> None:
    words, colour = SEVERITY_PILLS[alert.severity]
    state, state_colour = STATE_PILLS[alert.state]
    with Tag("tr", data_testid=f"alert-{alert.alert_id}"):
        with Tag("td", classes="number"):
            moment(iso(alert.seen_at))
        with Tag("td", data_label="Severity"):
            Tag("span", words, classes=f"pill {colour}")
        with Tag("td", data_label="What"), Tag("div"):
            Tag("a", headline(alert) if alert.is_system else whom(alert), href=alert_link(alert),
                title=national(next(iter(alert.key.values()), "")))  # fmt: skip
            Tag("div", "Sending of alerts" if alert.is_system else alert.detection, classes="muted")
        Tag("td", "–" if alert.is_system else f"{number(alert.value)} in {span(alert.window_s)}",
            classes="right number", data_label="Measured",
            title=None if alert.is_system else f"Threshold {number(alert.threshold)}")  # fmt: skip
        lasted = round((alert.last_at - alert.started_at).total_seconds())
        Tag(
            "td",
            "–" if alert.is_system else span(lasted if lasted < 120 else lasted // 60 * 60),
            classes="right number",
            data_label="Lasted",
            title="From the first call of the window to the last firing",
        )
        with Tag("td", data_label="State"), Tag("div", classes="line"):
            Tag("span", state, classes=f"pill {state_colour}")
            if alert.contained:
                Tag("span", f"{len(alert.contained):,} contained", classes="pill plain redirect")


def alert_link(alert: Alert) -> str:
    """The alert's page."""
    return link("/alert", {"id": str(alert.alert_id)})


def lay_out_card(unclosed: Mapping[Severity, int], newest: list[Alert]) -> None:
    """What the Overview says of alerts that are not closed."""
    total = sum(unclosed.values())
    with Tag("section", classes="card", aria_label="Open alerts"):
        with Tag("div", classes="card-head"):
            Tag("h2", "Open alerts")
            Tag("a", "All" if total <= len(newest) else f"All {total:,}", href="/alerts")
        if not total:
            Tag("p", "None.", classes="muted")
            return
        with Tag("div", classes="line"):
            for severity in reversed(SEVERITIES):
                words, colour = SEVERITY_PILLS[severity]
                if unclosed[severity]:
                    Tag("span", f"{unclosed[severity]:,} {words.lower()}", classes=f"pill {colour}")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for alert in newest:
                with Tag("tr"):
                    with Tag("td", classes="number"):
                        moment(iso(alert.seen_at))
                    with Tag("td"):
                        Tag("a", whom(alert), href=alert_link(alert))
                        Tag("div", alert.detection, classes="muted")


def read_card(connection: psycopg.Connection, most: int) -> tuple[dict[Severity, int], list[Alert]]:
    """What `lay_out_card` shows."""
    return reading.unclosed_by_severity(connection), reading.find_alerts(
        connection, AlertFilter(state="unclosed", limit=most)
    )
