"""The Audit page: who changed what, when, from where, before and after; searched, paged, exported."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from ringfence.accounts.audit import AuditEntry, AuditFilter, find_entries
from ringfence.console.address import TimeRange, iso, link
from ringfence.console.frame import Query, Region, View, heading, load, page
from ringfence.console.markup import Tag, button, moment, text_field
from ringfence.console.time_field import TimeField
from ringfence.errors import InvalidInputError, RingfenceError
from ringfence.policy.diff import field_words
from ringfence.vocabulary import Role

PAGE_SIZE = 100
EXPORT = "/api/v1/audit/export"


@dataclass(frozen=True)
class Question:
    """The page's state: which entries."""

    actor: str
    action: str
    text: str
    time: TimeRange

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        actor, action, text = (query.get(name, "") for name in ("actor", "action", "text"))
        return cls(actor, action, text, TimeRange.from_query(query, "30d"))

    @property
    def _fields(self) -> dict[str, str]:
        return {"actor": self.actor, "action": self.action, "text": self.text}

    @property
    def address(self) -> str:
        """The page in this state."""
        return link("/audit", self._fields | self.time.as_query())

    def export(self, kind: str) -> str:
        """The file with these entries."""
        start, end = self.time.bounds(datetime.now(UTC))
        until = {} if self.time.is_live else {"until": iso(end)}
        return link(EXPORT, {"format": kind, "since": iso(start)} | until | self._fields)

    def filter(self, before: int | None) -> AuditFilter:
        """What to ask the domain for."""
        start, end = self.time.bounds(datetime.now(UTC))
        return AuditFilter(
            self.actor or None, self.action or None, None, self.text or None, start,
            None if self.time.is_live else end, before, PAGE_SIZE,
        )  # fmt: skip


@page("/audit", "Audit", "receipt_long", Role.ADMINISTRATOR, group="/accounts")
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Audit")
        proof = Tag("span", classes="muted", role="status")
        exports = Tag("div", classes="row-end")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/audit"), "Start afresh")
        return
    _Page(view, question, exports)
    ui.timer(0, lambda: _show_proof(view, proof), once=True)


async def _show_proof(view: View, proof: Tag) -> None:
    """Whether the trail's chain is whole; a trail too long to follow while a page waits says so."""
    try:
        found = await view.session.act(Role.ADMINISTRATOR, view.session.process.audit_watch.verify)
    except RingfenceError as error:
        proof.clear()
        with proof:
            Tag("span", "not verified", classes="pill", title=error.message)
        return
    proof.clear()
    with proof:
        if found.is_whole:
            Tag("span", f"{found.entries:,} entries, chain whole", classes="pill green",
                title="Each entry is as it was written, none was taken out or put in")  # fmt: skip
        else:
            Tag("span", "The trail was altered", classes="pill red", title=found.fault or "")
            Tag("span", f" {found.fault}")


class _Page:
    def __init__(self, view: View, question: Question, exports: Tag) -> None:
        self.view = view
        self.question = question
        self.exports = exports
        self.rows: Tag | None = None
        with Tag("div", classes="toolbar", role="search", aria_label="Filters"):
            text_field("Holds", question.text, lambda value: self._ask(text=value), name="text",
                       placeholder="a rule, a number", classes="wide")  # fmt: skip
            text_field("Who", question.actor, lambda value: self._ask(actor=value), name="actor", placeholder="anyone")
            text_field("What", question.action, lambda value: self._ask(action=value), name="action",
                       placeholder="policy, list, sign_in …")  # fmt: skip
            self.time = TimeField(question.time, lambda time: self._ask(time=time))
        self.region = Region("card")
        self.foot = Tag("div", classes="page-head")
        ui.timer(0, self._fetch, once=True)

    async def _ask(self, **changes: Any) -> None:
        self.question = replace(self.question, **changes)
        self.view.show_address(self.question.address)
        if "time" in changes:
            self.time.show(self.question.time)
        self.region.stale()
        await self._fetch()

    async def _fetch(self) -> None:
        asked = self.question
        self.exports.clear()
        with self.exports:
            for kind, words in (("csv", "CSV"), ("ndjson", "JSON lines")):
                with Tag("a", classes="button", href=asked.export(kind), download=f"audit.{kind}"):
                    ui.icon("download").props("aria-hidden=true")
                    Tag("span", words)

        async def answer() -> None:
            found = await self._find(asked, None)
            if asked is self.question:
                self._show(found)

        await load(self.region, answer, self._fetch)

    async def _find(self, asked: Question, before: int | None) -> list[AuditEntry]:
        return await self.view.session.act(Role.ADMINISTRATOR, find_entries, asked.filter(before))

    def _show(self, found: list[AuditEntry]) -> None:
        if not found:
            self.foot.clear()
            self.region.empty("Nothing was changed", "No entry of this time passes the filters.", "receipt_long")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards audit"):
            with Tag("thead"), Tag("tr"):
                for words in ("When", "Who", "What", "Details"):
                    Tag("th", words, scope="col")
            self.rows = Tag("tbody")
        self._add(found)

    def _add(self, found: list[AuditEntry]) -> None:
        if self.rows is not None:
            with self.rows:
                for entry in found:
                    _lay_out(entry)
        self.foot.clear()
        if len(found) == PAGE_SIZE:
            with self.foot:
                button("Older entries", lambda: self._more(found[-1].audit_id), icon="expand_more", classes="quiet")

    async def _more(self, before: int) -> None:
        async def answer() -> None:
            self._add(await self._find(self.question, before))

        await load(self.region, answer)


def _lay_out(entry: AuditEntry) -> None:
    with Tag("tr"):
        with Tag("td", classes="number"):
            moment(iso(entry.at))
        with Tag("td", data_label="Who"), Tag("div"):
            Tag("b", entry.actor)
            Tag("div", entry.address or "", classes="muted number")
        with Tag("td", data_label="What"), Tag("div"):
            Tag("span", entry.action, classes="mono")
            Tag("div", entry.subject, classes="muted")
        with Tag("td", data_label="Details"), Tag("div", classes="audit-details"):
            for line in detail_words(entry.detail):
                Tag("div", line)
            if entry.detail:
                with Tag("details"):
                    Tag("summary", "all")
                    Tag("pre", json.dumps(entry.detail, indent=1, ensure_ascii=False), classes="mono")


def detail_words(detail: dict[str, Any]) -> list[str]:
    """What a line of the trail says in short: the words that it has, or the fields that differ. Pure."""
    if isinstance(detail.get("words"), str):
        return [detail["words"]]
    if isinstance(detail.get("changes"), list):
        return [str(line) for line in detail["changes"][:3]]
    before, after = detail.get("before"), detail.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        return field_words(before, after)[:4]
    return [f"{key}: {value}" for key, value in detail.items() if isinstance(value, str | int | float) and value != ""][
        :4
    ]
