"""Proof of enforcement: which calls did what was decided, which did not, and which no ENUM server was asked about.

Four figures that filter, the same over time, and the calls behind them; a call opens with its decisions and its legs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.analytics.enforcement.question import EnforcementQuery, Verdict, parse_verdict
from ringfence.analytics.enforcement.report import EnforcementReport, ProvenCall, prove
from ringfence.console import chart
from ringfence.console.address import TimeRange, iso, link
from ringfence.console.call_drawer import CallDrawer
from ringfence.console.drawing import Drawing
from ringfence.console.frame import Query, Region, View, heading, load, page
from ringfence.console.grid import Grid
from ringfence.console.markup import Choice, Tag, button, text_field
from ringfence.console.numbers import number_cells
from ringfence.console.time_field import TimeField
from ringfence.console.words import ACTION_WORDS, RESULT_WORDS, VERDICT_HINTS, VERDICT_WORDS
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices

PAGE_SIZE = 200
# The order in which people want to know.
ORDER = (Verdict.IGNORED, Verdict.UNASKED, Verdict.UNPROVEN, Verdict.FOLLOWED)


@dataclass(frozen=True)
class Question:
    """The page's state."""

    verdict: Verdict | None
    device: str | None
    number: str | None
    time: TimeRange

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        return cls(
            parse_verdict(query["verdict"]) if query.get("verdict") else None,
            query.get("device") or None,
            query.get("number") or None,
            TimeRange.from_query(query, "1h"),
        )

    @property
    def address(self) -> str:
        """The page in this state."""
        verdict = self.verdict.word if self.verdict is not None else None
        fields = {"verdict": verdict, "device": self.device, "number": self.number}
        return link("/enforcement", fields | self.time.as_query())

    def query(self, now: datetime) -> EnforcementQuery:
        """What to ask the domain."""
        start, end = self.time.bounds(now)
        return EnforcementQuery(start, end, self.verdict, self.device, self.number, limit=PAGE_SIZE)


@page("/enforcement", "Enforcement", "verified", group="/calls", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Proof of enforcement")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/enforcement"), "Start afresh")
        return
    _Page(view, question)


class _Page:
    def __init__(self, view: View, question: Question) -> None:
        self.view = view
        self.question = question
        self.calls: dict[str, ProvenCall] = {}
        self.oldest: ProvenCall | None = None
        self.until = datetime.now(UTC)
        self.table: Grid | None = None
        with Tag("div", classes="toolbar", role="search", aria_label="What to show"):
            self._lay_out_fields()
        self.region = Region("stack")
        self.foot = Tag("div", classes="page-head")
        self.drawer = CallDrawer(view)
        ui.on("proof_picked", self._pick)
        ui.timer(0, self._start, once=True)

    def _lay_out_fields(self) -> None:
        asked = self.question
        text_field("Number", asked.number or "", lambda value: self._ask(number=value or None),
                   name="number", placeholder="+1210…", classes="wide")  # fmt: skip
        self.device = Choice("Seen by", {"": "All probes"}, asked.device or "",
                             lambda value: self._ask(device=value or None), name="device")  # fmt: skip
        self.time = TimeField(asked.time, lambda time: self._ask(time=time))
        button("Refresh", lambda: self._ask(), icon="refresh", classes="quiet")

    async def _start(self) -> None:
        async def names() -> None:
            devices = await self.view.session.ask(list_devices)
            probes = {device.name: device.name for device in devices if device.kind == "probe"}
            self.device.offer({"": "All probes"} | probes, self.question.device or "")

        if await load(self.region, names, self._start):
            await self._fetch()

    async def _ask(self, **changes: Any) -> None:
        self.question = replace(self.question, **changes)
        self.view.show_address(self.question.address)
        if "time" in changes:
            self.time.show(self.question.time)
        self.region.stale()
        await self._fetch()

    async def _fetch(self) -> None:
        asked = self.question
        self.until = datetime.now(UTC)

        async def answer() -> None:
            report = await self.view.session.ask(prove, asked.query(self.until))
            if asked is self.question:
                self._show(report)

        await load(self.region, answer, self._fetch)

    async def _more(self) -> None:
        asked, oldest = self.question, self.oldest
        if oldest is None:
            return

        async def answer() -> None:
            query = replace(asked.query(self.until), before=oldest.place)
            report = await self.view.session.ask(prove, query)
            if asked is self.question and self.table is not None:
                self._keep(report)
                self.table.run_grid_method("applyTransaction", {"add": [_row(call) for call in report.calls]})

        await load(self.region, answer)

    def _show(self, report: EnforcementReport) -> None:
        self.calls = {}
        self.foot.clear()
        self.table = None
        with self.region.content():
            for caution in report.cautions:
                with Tag("div", classes="banner", role="note"):
                    ui.icon("warning_amber").props("aria-hidden=true")
                    Tag("span", f"{caution}.")
            self._lay_out_tiles(report)
            if not sum(report.counts.values()):
                with Tag("section", classes="card"), Tag("div", classes="state"):
                    ui.icon("verified").props("aria-hidden=true")
                    Tag("b", "No call in this time")
                    Tag("p", "No call that a probe saw began in it. Choose a longer time; the Devices page shows which "
                             "probe is connected.")  # fmt: skip
                return
            with Tag("section", classes="card"):
                with Tag("div", classes="card-head"):
                    Tag("h2", "Calls over time")
                    Tag("span", f"{report.queries:,} queries, {report.queries_without_call:,} without a recorded call",
                        classes="muted")  # fmt: skip
                Drawing(chart.draw_verdicts(report)).classes("small")
            self._lay_out_calls(report)

    def _lay_out_tiles(self, report: EnforcementReport) -> None:
        counts, total = report.counts, sum(report.counts.values())
        with Tag("div", classes="tiles", role="group", aria_label="Verdicts"):
            for verdict in ORDER:
                is_on = self.question.verdict is verdict
                chosen = None if is_on else verdict
                tile = Tag("button", classes="tile pick", type="button", aria_pressed="true" if is_on else "false",
                           title="Show all calls again" if is_on else "Show only these calls")  # fmt: skip
                tile.on("click", lambda chosen=chosen: self._ask(verdict=chosen))
                with tile:
                    Tag("div", VERDICT_WORDS[verdict.word], classes=f"label mark {verdict.word}")
                    count = counts[verdict.word]
                    share = f"{count / total:.1%}" if total else "–"
                    with Tag("div", classes="value"):
                        Tag("span", f"{count:,}")
                        Tag("small", f" {share}")
                    Tag("div", VERDICT_HINTS[verdict.word], classes="more wrap")

    def _lay_out_calls(self, report: EnforcementReport) -> None:
        if not report.calls:
            with Tag("section", classes="card"), Tag("div", classes="state"):
                ui.icon("verified").props("aria-hidden=true")
                Tag("b", "No such call")
                Tag("p", "None of the calls of this time is one of these.")
            return
        self.table = Grid(
            {
                "columnDefs": COLUMNS,
                "rowData": [_row(call) for call in report.calls],
                ":getRowId": "(params) => params.data.key",
                ":rowHeight": "rf.narrow() ? 54 : 36",
                "defaultColDef": {"resizable": True, "sortable": False, "suppressMovable": True, "flex": 1},
                ":onRowClicked": "(event) => emitEvent('proof_picked', event.data.key)",
                ":onCellKeyDown": "(p) => { if (p.event.key === 'Enter') emitEvent('proof_picked', p.data.key); }",
            }
        ).classes("grid fill part")
        self._keep(report)

    def _keep(self, report: EnforcementReport) -> None:
        self.calls |= {_key(call): call for call in report.calls}
        self.oldest = report.calls[-1] if report.calls else None
        self.foot.clear()
        if report.next is not None:
            with self.foot:
                button("Older calls", self._more, icon="expand_more", classes="quiet")

    async def _pick(self, event: GenericEventArguments) -> None:
        call = self.calls.get(str(event.args))
        if call is not None and call.legs:
            await self.drawer.show(call.legs[0])


COLUMNS: list[dict[str, Any]] = [
    {"field": "time", "headerName": "Time", ":cellRenderer": "rf.cells.time", ":minWidth": "rf.narrow() ? 86 : 116",
     "flex": 1.1},
    {"colId": "pair", "headerName": "Source, destination", ":cellRenderer": "rf.cells.pair", "minWidth": 140,
     "flex": 1.6, ":hide": "!rf.narrow()"},
    {"field": "source", "headerName": "Source", ":cellRenderer": "rf.cells.number", "minWidth": 128, "flex": 1.3,
     ":hide": "rf.narrow()"},
    {"field": "destination", "headerName": "Destination", ":cellRenderer": "rf.cells.number", "minWidth": 128,
     "flex": 1.3, ":hide": "rf.narrow()"},
    {"field": "verdict", "headerName": "Verdict", ":cellRenderer": "rf.cells.verdict", "minWidth": 118},
    {"field": "decision", "headerName": "Decision", "minWidth": 104, "flex": 0.9, ":hide": "rf.narrow()"},
    {"field": "rule", "headerName": "Rule", ":cellRenderer": "rf.cells.rule", "minWidth": 100, ":hide": "rf.narrow()"},
    {"field": "went", "headerName": "What the call did", "minWidth": 120, ":hide": "rf.narrow()"},
    {"field": "asked", "headerName": "Asked", "minWidth": 90, "flex": 0.8, ":hide": "rf.narrow()"},
    {"field": "device", "headerName": "Seen by", "minWidth": 90, "flex": 0.8, ":hide": "rf.narrow()"},
]  # fmt: skip


def _key(call: ProvenCall) -> str:
    return f"{iso(call.time)}/{call.correlation}"


def _row(call: ProvenCall) -> dict[str, Any]:
    first, decision = call.legs[0], call.decision
    went = RESULT_WORDS.get(first.result, first.result)
    return {
        "key": _key(call),
        "time": iso(call.time),
        **number_cells(first.source, first.destination),
        "verdict": call.verdict,
        "verdict_words": VERDICT_WORDS[call.verdict],
        "decision": ACTION_WORDS.get(decision.call.action, decision.call.action) if decision else "–",
        "rule": decision.call.rule if decision else None,
        "went": f"{went}, {len(call.legs)} legs" if len(call.legs) > 1 else went,
        "asked": decision.call.device if decision else "–",
        "device": first.device,
    }
