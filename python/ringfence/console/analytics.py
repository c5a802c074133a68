"""The Analytics page: dataset, view, grouping and device over a time range, as a chart and as the same rows in a table.

Every bar and number leads to the calls behind it. A range that ends now refreshes itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from ringfence.analytics.views import OUTCOMES, VIEWS, AnalyticsQuery, AnalyticsResult, run_query
from ringfence.console import chart
from ringfence.console.address import TimeRange, iso, link
from ringfence.console.drawing import Drawing
from ringfence.console.frame import Query, Region, View, heading, load, page
from ringfence.console.markup import Choice, Tag
from ringfence.console.numbers import national
from ringfence.console.time_field import TimeField
from ringfence.console.words import RESULT_WORDS
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices
from ringfence.vocabulary import Dataset

REFRESH_S = 3.0
# The views that this page knows to draw.
DRAWN = ("average_cps", "calls", "top_source", "top_destination")
GROUPING_LENGTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
GROUPING_WORDS = {"minute": "Minute", "hour": "Hour", "day": "Day"}


@dataclass(frozen=True)
class Question:
    """The page's state: what the four fields and the time say."""

    dataset: Dataset
    view: str
    grouping: str
    device: str | None
    time: TimeRange

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        datasets = {dataset.word: dataset for dataset in Dataset}
        return cls(
            datasets[_one_of("dataset", query.get("dataset", "enum"), tuple(datasets))],
            _one_of("view", query.get("view", "average_cps"), tuple(DRAWN)),
            _one_of("grouping", query.get("grouping", "hour"), tuple(GROUPING_LENGTHS)),
            query.get("device") or None,
            TimeRange.from_query(query, "24h"),
        )

    @property
    def address(self) -> str:
        """The page in this state."""
        fields = {"dataset": self.dataset.word, "view": self.view, "grouping": self.grouping, "device": self.device}
        return link("/analytics", fields | self.time.as_query())

    def query(self, now: datetime, zone: str) -> AnalyticsQuery:
        """What to ask the domain."""
        start, end = self.time.bounds(now)
        return AnalyticsQuery(self.dataset, self.view, self.grouping, self.device, start, end, zone=zone)


@page("/analytics", "Analytics", "insights")
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Analytics")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/analytics"), "Start afresh")
        return
    _Page(view, question)


class _Page:
    def __init__(self, view: View, question: Question) -> None:
        self.view = view
        self.question = question
        self.shown: tuple[Question, list[Any]] | None = None
        self.drawing: Drawing | None = None
        self.table: ui.aggrid | None = None
        with Tag("div", classes="toolbar", role="search", aria_label="What to show"):
            self._lay_out_fields()
        self.region = Region("stack")
        ui.timer(0, self._start, once=True)
        ui.timer(REFRESH_S, self._refresh, immediate=False)

    def _lay_out_fields(self) -> None:
        asked = self.question
        Choice("Dataset", {d.word: d.name for d in Dataset}, asked.dataset.word,
               lambda value: self._ask(dataset=Dataset.from_word(value)), name="dataset")  # fmt: skip
        Choice("View", {view: VIEWS[view].title for view in DRAWN}, asked.view,
               lambda value: self._ask(view=value), name="view")  # fmt: skip
        self.grouping = Choice("Grouping", GROUPING_WORDS, asked.grouping,
                               lambda value: self._ask(grouping=value), name="grouping")  # fmt: skip
        self.device = Choice("Device", {"": "All"}, asked.device or "",
                             lambda value: self._ask(device=value or None), name="device")  # fmt: skip
        self.time = TimeField(asked.time, lambda time: self._ask(time=time))

    async def _start(self) -> None:
        async def names() -> None:
            devices = await self.view.session.ask(list_devices)
            self.device.offer(
                {"": "All"} | {device.name: device.name for device in devices}, self.question.device or ""
            )

        if await load(self.region, names, self._start):
            await self._refresh(first=True)

    async def _ask(self, **changes: Any) -> None:
        self.question = replace(self.question, **changes)
        self.view.show_address(self.question.address)
        if "time" in changes:
            self.time.show(self.question.time)
        self.region.stale()
        await self._refresh(first=True)

    async def _regroup(self, grouping: str) -> None:
        self.grouping.offer(GROUPING_WORDS, grouping)
        await self._ask(grouping=grouping)

    async def _refresh(self, first: bool = False) -> None:
        if not first and (self.region.state == "loading" or not self.question.time.is_live):
            return
        asked = self.question

        async def answer() -> None:
            query = asked.query(datetime.now(UTC), self.view.zone)
            bars = (query.end - query.start) / GROUPING_LENGTHS[asked.grouping]
            if bars > chart.MAX_BARS:
                self._too_fine(round(bars))
                return
            result = await self.view.session.ask(run_query, query)
            if asked is self.question:  # else a newer question is under way
                self._show(asked, result)

        await load(self.region, answer, lambda: self._refresh(first=True))

    def _too_fine(self, bars: int) -> None:
        coarser = "hour" if self.question.grouping == "minute" else "day"
        self.shown = None
        self.region.failed(
            f"{bars:,} {self.question.grouping}s are more than a chart can show. Group them by {coarser}, "
            "or choose a shorter time.",
            lambda: self._regroup(coarser),
            f"Group by {coarser}",
        )

    def _show(self, asked: Question, result: AnalyticsResult) -> None:
        if self.shown == (asked, result.rows) and self.region.state != "loading":
            return
        same = self.shown is not None and self.shown[0] == asked and self.region.state == "content"
        self.shown = (asked, result.rows)
        calls = sum(row[result.columns.index("calls")] for row in result.rows)
        if not calls:
            self.region.empty(f"No {asked.dataset.name} calls in this time", _why_empty(asked))
        elif same and self.drawing is not None and self.table is not None:
            self.drawing.redraw(chart.draw(result))
            self.table.run_grid_method("setGridOption", "rowData", _rows(result))
        else:
            with self.region.content():
                self._lay_out(result, calls)

    def _lay_out(self, result: AnalyticsResult, calls: int) -> None:
        view = VIEWS[result.query.view]
        with Tag("section", classes="card"):
            with Tag("div", classes="card-head"):
                Tag("h2", f"{view.title} by {result.query.grouping}")
                Tag("span", f"{calls:,} calls" if "rank" not in result.columns else "",
                    classes="muted")  # fmt: skip
            self.drawing = Drawing(chart.draw(result))
        with Tag("section", classes="grid still"):
            self.table = ui.aggrid(
                {
                    "columnDefs": _columns(result),
                    "rowData": _rows(result),
                    ":getRowId": "(params) => params.data.id",
                    "defaultColDef": {"sortable": True, "resizable": True, "suppressMovable": True, "flex": 1,
                                      "minWidth": 84},
                    "domLayout": "autoHeight" if len(result.rows) <= 14 else "normal",
                    "suppressCellFocus": False,
                }
            )  # fmt: skip
            if len(result.rows) > 14:
                self.table.style("height: 460px")


def _columns(result: AnalyticsResult) -> list[dict[str, Any]]:
    widths = {"time": 130, "source": 170, "destination": 170}
    titles = {"time": "Time", "cps": "Calls a second", "none": "No opinion"} | RESULT_WORDS
    columns: list[dict[str, Any]] = []
    for name in result.columns:
        column: dict[str, Any] = {"field": name, "headerName": titles.get(name, name.capitalize())}
        if name == "time":
            column[":cellRenderer"] = "rf.cells.bucket"
        elif name == "cps":
            column |= {
                "type": "rightAligned",
                ":valueFormatter": "(p) => Number(p.value).toFixed(p.value < 10 ? 3 : 1)",
            }
        elif name == "rank":
            column |= {"maxWidth": 84}
        else:
            column[":cellRenderer"] = "rf.cells.linked"
            if name not in ("source", "destination"):
                column["type"] = "rightAligned"
        columns.append(column | ({"minWidth": widths[name]} if name in widths else {}))
    return columns


def _rows(result: AnalyticsResult) -> list[dict[str, Any]]:
    """The same rows as the chart's, newest bucket first, each figure with the link to its calls."""
    query = result.query
    is_top = "rank" in result.columns
    colours = chart.number_colours(result) if is_top and len({row[0] for row in result.rows}) > 1 else {}
    rows = []
    for row in sorted(result.rows, key=lambda row: row[0], reverse=True):
        values: dict[str, Any] = dict(zip(result.columns, row, strict=True))
        values |= {"time": iso(row[0]), "grouping": query.grouping, "link": chart.call_link(query, row)}
        values["id"] = f"{values['time']}/{values.get('rank', 0)}"
        field = "result" if query.dataset is Dataset.SIP else "action"
        for outcome in OUTCOMES[query.dataset]:
            if outcome.word in values:
                values[f"{outcome.word}_link"] = chart.call_link(query, row, **{field: outcome.word})
        for side in ("source", "destination"):
            if side in values:
                values |= {f"{side}_national": national(values[side]), f"{side}_colour": colours.get(values[side])}
        rows.append(values)
    return rows


def _why_empty(asked: Question) -> str:
    who = f"device {asked.device}" if asked.device else "any device"
    if asked.dataset is Dataset.SIP:
        return f"No call that {who} saw began in this time. The Devices page shows which probe is connected."
    return (
        f"No query from {who} arrived in this time. Choose a longer one, or see on the Devices page who is connected."
    )


def _one_of(name: str, value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise InvalidInputError(f"{name}: no such {name} {value!r}; use one of {', '.join(words)}")
    return value
