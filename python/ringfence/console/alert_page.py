"""The page of one alert: what happened, the calls around it, what was contained, who did what about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.alert_chart import draw_series
from ringfence.console.alerts import REFRESH_S, SEVERITY_PILLS, STATE_PILLS
from ringfence.console.call_drawer import number as number_tag
from ringfence.console.drawing import Drawing
from ringfence.console.forms import Fields, FormDialog, area_field, attempt
from ringfence.console.frame import Region, View, every, load, page
from ringfence.console.markup import Tag, button, moment
from ringfence.detection.alerts import evidence, reading, store
from ringfence.detection.alerts.alert import Alert, TimelineEntry
from ringfence.detection.alerts.words import headline, number, span, what_happened
from ringfence.errors import NotFoundError
from ringfence.vocabulary import Role

_KINDS = {
    "opened": ("notifications_active", "opened"),
    "contained": ("block", "contained"),
    "held_back": ("shield", "not contained"),
    "acknowledged": ("visibility", "acknowledged"),
    "comment": ("chat_bubble_outline", "comment"),
    "closed": ("task_alt", "closed"),
    "sent": ("send", "told"),
    "unsure": ("help_outline", "perhaps told"),
    "given_up": ("error_outline", "not told"),
}
_SHOWN_NUMBERS = 10


@dataclass(frozen=True)
class Whole:
    """What the page shows."""

    alert: Alert
    timeline: list[TimelineEntry]
    evidence: dict[str, Any] | None


def read_whole(connection: psycopg.Connection, alert_id: int) -> Whole:
    """All of one. NotFoundError."""
    alert = reading.read_alert(connection, alert_id)
    found = evidence.read_evidence(connection, alert_id) if alert.has_evidence else None
    return Whole(alert, reading.timeline(connection, alert_id), found)


@page("/alert", "Alert", "notifications", group="/alerts", is_whole=True)
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view, view.query.get("id") or "")


class _Page:
    def __init__(self, view: View, name: str) -> None:
        self.view = view
        self.name = name
        self.shown: Whole | None = None
        self.head = Tag("div", classes="page-head")
        self.region = Region("stack")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            if not (self.name.isascii() and self.name.isdigit()) or len(self.name) > 18:
                raise NotFoundError(f"alert {self.name!r}: there is none of this number; open one from the Alerts page")
            whole = await self.view.session.ask(read_whole, int(self.name))
            if whole != self.shown:
                self.shown = whole
                self._lay_out(whole)

        await load(self.region, answer, self._refresh)

    def _lay_out(self, whole: Whole) -> None:
        alert = whole.alert
        self._lay_out_head(alert)
        with self.region.content():
            with Tag("div", classes="columns"):
                with Tag("div", classes="stack"):
                    _lay_out_story(alert)
                    if not alert.is_system:
                        _lay_out_calls(alert, whole.evidence)
                with Tag("div", classes="stack"):
                    if alert.contained or alert.held_back:
                        _lay_out_containment(alert)
                    self._lay_out_timeline(whole)
            if whole.evidence is not None and not alert.is_system:
                with Tag("div", classes="halves"):
                    _lay_out_numbers("Callers", "source", whole)
                    _lay_out_numbers("Called", "destination", whole)

    def _lay_out_head(self, alert: Alert) -> None:
        words, colour = SEVERITY_PILLS[alert.severity]
        state, state_colour = STATE_PILLS[alert.state]
        may = self.view.session.may(Role.ANALYST)
        self.head.clear()
        with self.head:
            Tag("a", "Alerts", href="/alerts", classes="crumb")
            Tag("h1", headline(alert))
            Tag("span", words, classes=f"pill {colour}")
            Tag("span", state, classes=f"pill {state_colour}")
            Tag("span", classes="space")
            if may and alert.state == "open":
                button("Acknowledge", self._acknowledge, icon="visibility", classes="primary")
            if may and alert.state != "closed":
                button("Close…", self._ask_close, icon="task_alt")
            if alert.has_evidence:
                with Tag("details", classes="menu below export"):
                    with Tag("summary", classes="button quiet", title="What is kept of the calls around it"):
                        ui.icon("download").props("aria-hidden=true")
                        Tag("span", "Evidence")
                    with Tag("div", classes="sheet"):
                        for form, title in (("json", "All, as JSON"), ("csv", "Calls, as CSV")):
                            button(title, partial(self._export, form), classes="quiet")

    def _export(self, form: str) -> None:
        ui.download.from_url(link(f"/api/v1/alerts/{self.name}/evidence", {"format": form}))

    async def _acknowledge(self) -> None:
        async def work() -> None:
            session = self.view.session
            await session.act(Role.ANALYST, store.acknowledge, int(self.name), session.identity.name, _now())
            await self._refresh()

        await attempt(self.view, work)

    def _ask_close(self) -> None:
        async def close(fields: Fields) -> None:
            session = self.view.session
            words = fields.get("comment", "").strip()
            await session.act(Role.ANALYST, store.close, int(self.name), session.identity.name, _now(), words)
            await self._refresh()

        dialog = FormDialog(self.view, "Close this alert", "Close it", close)
        with dialog.body:
            Tag("p", "It is dealt with. If the detection fires again, another alert opens. What was contained stays "
                "until it expires.")  # fmt: skip
            area_field("How it was dealt with", "", name="comment", placeholder="May be left empty")

    def _ask_comment(self) -> None:
        async def add(fields: Fields) -> None:
            session = self.view.session
            text = fields.get("text", "").strip()
            await session.act(Role.ANALYST, store.comment, int(self.name), session.identity.name, text, _now())
            await self._refresh()

        dialog = FormDialog(self.view, "Comment", "Add it", add)
        with dialog.body:
            area_field("Comment", "", name="text", rows=4)

    def _lay_out_timeline(self, whole: Whole) -> None:
        with Tag("section", classes="card"):
            with Tag("div", classes="card-head"):
                Tag("h2", "Timeline")
                if self.view.session.may(Role.ANALYST):
                    button("Comment", self._ask_comment, icon="add_comment", classes="quiet small")
            with Tag("ol", classes="changes timeline"):
                for entry in reversed(whole.timeline):
                    icon, words = _KINDS[entry.kind]
                    with Tag("li"):
                        ui.icon(icon).props("aria-hidden=true")
                        with Tag("div"):
                            with Tag("div", classes="line"):
                                Tag("b", words)
                                if entry.actor != store.SYSTEM:
                                    Tag("span", f"by {entry.actor}")
                                moment(iso(entry.at), classes="muted")
                            if entry.words:
                                Tag("div", entry.words, classes="timeline-words")


def _lay_out_story(alert: Alert) -> None:
    with Tag("section", classes="card stack"):
        Tag("h2", "What happened")
        for sentence in what_happened(alert):
            Tag("p", sentence)
        with Tag("dl", classes="facts"):
            for name, instant in _times(alert):
                Tag("dt", name)
                with Tag("dd"):
                    moment(iso(instant)).props["shown"] = "fine"
            for name, words in _figures(alert):
                Tag("dt", name)
                Tag("dd", words)


def _times(alert: Alert) -> list[tuple[str, datetime]]:
    of_calls = [("First call", alert.started_at), ("Threshold passed", alert.first_at), ("Last seen", alert.last_at)]
    of_system = [("Since", alert.opened_at)]
    closed = [("Closed", alert.closed_at)] if alert.closed_at is not None else []
    return (of_system if alert.is_system else of_calls) + closed


def _figures(alert: Alert) -> list[tuple[str, str]]:
    if alert.is_system:
        return []
    measured = f"{number(alert.value)}, at worst {number(alert.peak)}, in {span(alert.window_s)}"
    return [
        ("Measured", measured),
        ("Threshold", number(alert.threshold)),
        ("Detection", f"{alert.detection}, version {alert.definition_version}"),
    ]


def _lay_out_calls(alert: Alert, found: dict[str, Any] | None) -> None:
    with Tag("section", classes="card"):
        with Tag("div", classes="card-head"):
            Tag("h2", "Calls around it")
            Tag("a", "In the call log", href=calls_link(alert, found))
        if found is None:
            Tag("p", "Being collected from the call data.", classes="muted")
        elif "fault" in found:
            Tag("p", f"They could not be read: {found['fault']}.", classes="muted")
        elif not any(row[1] for row in found["series"]["rows"]):
            Tag("p", "No call of the call data matches what the detection counted.", classes="muted")
        else:
            Drawing(draw_series(alert, found)).classes("small")
            kept = {part: len(calls) for part, calls in found["calls"].items()}
            Tag("p", f"Kept with this alert: {kept['before']} calls from before, {kept['rising']} up to the threshold, "
                f"{kept['during']} since.", classes="muted")  # fmt: skip


def calls_link(alert: Alert, found: dict[str, Any] | None, **more: str) -> str:
    """The call log with the alert's calls, from before it until a little after."""
    known = found or {}
    start = datetime.fromisoformat(known["start"]) if "start" in known else alert.started_at
    end = datetime.fromisoformat(known["end"]) if "end" in known else _now()
    times = {"start": iso(start), "end": iso(end)}
    return link("/calls", {"dataset": alert.dataset, **evidence.asked_calls(alert), **times, **more})


def _lay_out_numbers(title: str, side: str, whole: Whole) -> None:
    found = whole.evidence or {}
    rows = found.get(f"{side}s", [])
    with Tag("section", classes="card"):
        with Tag("div", classes="card-head"):
            Tag("h2", title)
            if len(rows) > _SHOWN_NUMBERS:
                Tag("span", f"the first {_SHOWN_NUMBERS} of {len(rows)} kept", classes="muted")
        if not rows:
            Tag("p", "None.", classes="muted")
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for row in rows[:_SHOWN_NUMBERS]:
                text = str(row[side])
                with Tag("tr"):
                    with Tag("td"), Tag("a", href=calls_link(whole.alert, found, **{side: text})):
                        number_tag(text)
                    Tag("td", f"{row['calls']:,} calls", classes="right number")


def _lay_out_containment(alert: Alert) -> None:
    with Tag("section", classes="card"):
        Tag("h2", "Containment")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for one in alert.contained[:50]:
                with Tag("tr"):
                    with Tag("td"):
                        number_tag(one.pattern)
                        with Tag("div", classes="muted"):
                            Tag("span", "on list ")
                            Tag("a", one.list, href=link("/policy/lists", {"list": one.list}))
                    with Tag("td", classes="right"):
                        if one.expires_at is None:
                            Tag("span", "until removed", classes="pill redirect")
                        else:
                            Tag("span", "until " if one.expires_at > _now() else "ended ", classes="muted")
                            moment(iso(one.expires_at))
            for held in alert.held_back[:50]:
                with Tag("tr"):
                    with Tag("td"):
                        number_tag(held.pattern)
                        Tag("div", held.why, classes="muted")
                    with Tag("td", classes="right"):
                        Tag("span", "not contained", classes="pill none")


def _now() -> datetime:
    return datetime.now(UTC)
