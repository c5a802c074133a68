"""The Analytics page: dataset, view, grouping and device over a time, as a chart and as the same rows in a table.

Every mark and number leads to the calls behind it. A time that ends now refreshes itself. What is on the page stands in
its address, can be saved under a name, compared with an earlier time, and taken away as CSV or Parquet.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from nicegui import ui

from ringfence.analytics.asking import FILTER_WORDS, filter_words, parse_filter, shifted
from ringfence.analytics.filters import filters_of
from ringfence.analytics.reading import COMPARISON_WORDS, GROUPING_WORDS, has_totals, lost_in_words, total_calls
from ringfence.analytics.views import VIEWS, AnalyticsQuery, AnalyticsResult, run_query, views_of
from ringfence.console import chart
from ringfence.console.address import iso, link
from ringfence.console.analytics_question import LENGTHS, Question, coarser
from ringfence.console.analytics_table import table_columns, table_rows
from ringfence.console.chart_views import draw_view
from ringfence.console.drawing import Drawing
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.grid import Grid
from ringfence.console.markup import Choice, Tag, button, text_field
from ringfence.console.rule_table import lay_out_caution
from ringfence.console.saved_views import SavedViews
from ringfence.console.time_field import TimeField
from ringfence.console.words import ACTION_WORDS, RESULT_WORDS, plain
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices
from ringfence.mediation.sites import list_sites
from ringfence.vocabulary import Dataset

REFRESH_S = 3.0
API = "/api/v1/analytics/export"

# Filters as fields of text; the others are choices of words.
_TEXT_FIELDS = {
    "number": ("Number", "+1900*"),
    "source": ("Source", "+1210…"),
    "destination": ("Destination", "+1900*"),
    "country": ("Country", "US"),
    "rule": ("Rule", "any"),
    "code": ("Response code", "486"),
    "codec": ("Codec", "PCMA"),
}
_CHOICE_TITLES = {
    "direction": "Direction",
    "action": "Action",
    "result": "Result",
    "call_type": "Call type",
    "released_by": "Released by",
    "attestation": "Attestation",
}

Answer = tuple[AnalyticsResult, AnalyticsResult | None]


@page("/analytics", "Analytics", "insights", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    head = Tag("div", classes="page-head")
    with head:
        heading("Analytics")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/analytics"), "Start afresh")
        return
    _Page(view, question, head)


class _Page:
    def __init__(self, view: View, question: Question, head: Tag) -> None:
        self.view = view
        self.question = question
        self.shown: tuple[Question, Any] | None = None
        self.drawing: Drawing | None = None
        self.table: Grid | None = None
        self.devices: dict[str, str] = {}
        self.sites: dict[str, str] = {}
        self.site: Choice | None = None
        self.saved = SavedViews(view, lambda: self.question)
        with head:
            self.tools = Tag("div", classes="contents")
        self.toolbar = Tag("div", classes="toolbar", role="search", aria_label="What to show")
        self.filters = Tag("details", classes="card more-filters")
        self._lay_out_fields()
        self.region = Region("stack")
        ui.timer(0, self._start, once=True)
        every(REFRESH_S, self._refresh, immediate=False)

    def _lay_out_fields(self) -> None:
        asked = self.question
        self.toolbar.clear()
        with self.toolbar:
            Choice("Dataset", {d.word: d.name for d in Dataset}, asked.dataset.word,
                   lambda value: self._ask(dataset=Dataset.from_word(value)), name="dataset")  # fmt: skip
            Choice("View", {view.id: view.title for view in views_of(asked.dataset)}, asked.view,
                   lambda value: self._ask(view=value), name="view")  # fmt: skip
            self.grouping = Choice("Grouping", GROUPING_WORDS, asked.grouping,
                                   lambda value: self._ask(grouping=value), name="grouping")  # fmt: skip
            self.device = Choice("Device", {"": "All"} | self.devices, asked.device or "",
                                 lambda value: self._ask(device=value or None), name="device")  # fmt: skip
            self.time = TimeField(asked.time, lambda time: self._ask(time=time))
            Choice("Compare with", COMPARISON_WORDS, asked.compare or "",
                   lambda value: self._ask(compare=value or None), name="compare")  # fmt: skip
        self._lay_out_filters()
        self._lay_out_tools()

    def _lay_out_filters(self) -> None:
        said = filter_words(self.question.filter)
        self.site = None
        self.filters.clear()
        with self.filters:
            self.filters_title = Tag("summary")
            with Tag("div", classes="toolbar flat"):
                for name in filters_of(self.question.dataset):
                    self._lay_out_filter(name, said.get(name, ""))
                self.clear = button(
                    "Clear",
                    lambda: self._ask(clears=True, filter=parse_filter({})),
                    icon="filter_alt_off",
                    classes="quiet",
                )
        self._count_filters()

    def _count_filters(self) -> None:
        """Say how many act. The fields stay as they are: somebody types in the next one already."""
        count = len(filter_words(self.question.filter))
        self.filters_title.set_text(f"Filters ({count})" if count else "Filters")
        self.clear.set_visibility(count > 0)

    def _lay_out_filter(self, name: str, value: str) -> None:
        def changed(text: str) -> Any:
            return self._filter(name, text)

        if name == "site":
            self.site = Choice("Site", {"": "All"} | self.sites, value, changed, name=name)
        elif name in FILTER_WORDS:
            words = ACTION_WORDS | RESULT_WORDS
            options = {word: words.get(word, plain(word).capitalize()) for word in FILTER_WORDS[name]}
            Choice(_CHOICE_TITLES[name], {"": "Any"} | options, value, changed, name=name)
        else:
            title, example = _TEXT_FIELDS[name]
            text_field(title, value, changed, name=name, placeholder=example)

    def _lay_out_tools(self) -> None:
        asked = self.question
        start, end = asked.time.bounds(datetime.now(UTC))
        words = asked.words | {"start": iso(start), "end": iso(end), "zone": self.view.zone, "compare": None}
        self.tools.clear()
        with self.tools:
            self.saved.lay_out()
            for form, title in (("csv", "CSV"), ("parquet", "Parquet")):
                address = link(API, words | {"format": form})
                with Tag("a", classes="button quiet", href=address, download=True, title=f"These rows as {title}"):
                    ui.icon("download").props("aria-hidden=true")
                    Tag("span", title)

    async def _start(self) -> None:
        async def names() -> None:
            self.devices = {device.name: device.name for device in await self.view.session.ask(list_devices)}
            self.sites = {site.site.name: site.site.name for site in await self.view.session.ask(list_sites)}
            await self.saved.read()
            # The fields stay as they are: somebody may have begun to choose.
            self.device.offer({"": "All"} | self.devices, self.question.device or "")
            if self.site is not None:
                self.site.offer({"": "All"} | self.sites, filter_words(self.question.filter).get("site", ""))
            self.saved.fill()

        if await load(self.region, names, self._start):
            await self._refresh(first=True)

    async def _filter(self, name: str, text: str) -> None:
        words = filter_words(self.question.filter) | {name: text}
        try:
            wanted = parse_filter(words)
        except InvalidInputError as error:
            self.view.say(error.message, is_fault=True)
            return
        await self._ask(filter=wanted)

    async def _ask(self, *, clears: bool = False, **changes: Any) -> None:
        before = self.question
        self.question = replace(before, **changes).fitting()
        self.view.show_address(self.question.address)
        if self.question.dataset is not before.dataset:
            self._lay_out_fields()
        else:
            if "time" in changes:
                self.time.show(self.question.time)
            if clears:
                self._lay_out_filters()
            elif "filter" in changes:
                self._count_filters()
            self._lay_out_tools()
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
            if asked.grouping in LENGTHS and (query.end - query.start) / LENGTHS[asked.grouping] > chart.MAX_BARS:
                self._too_fine(query)
                return
            found = await self.view.session.ask(_answer, query, asked.compare)
            if asked is self.question:  # else a newer question is under way
                self._show(asked, *found)

        await load(self.region, answer, lambda: self._refresh(first=True))

    def _too_fine(self, query: AnalyticsQuery) -> None:
        bars = round((query.end - query.start) / LENGTHS[query.grouping])
        better = coarser(query.grouping, query.end - query.start, chart.MAX_BARS)
        fine, words = GROUPING_WORDS[query.grouping].lower(), GROUPING_WORDS[better].lower()
        self.shown = None
        self.region.failed(
            f"{bars:,} {fine}s are more than a chart can show. Group them by {words}, or choose a shorter time.",
            lambda: self._regroup(better),
            f"Group by {words}",
        )

    def _show(self, asked: Question, result: AnalyticsResult, compared: AnalyticsResult | None) -> None:
        figures = (result.rows, compared.rows if compared else None)
        if self.shown == (asked, figures) and self.region.state != "loading":
            return
        same = self.shown is not None and self.shown[0] == asked and self.region.state == "content"
        self.shown = (asked, figures)
        if not total_calls(result):
            self.region.empty(f"No {asked.dataset.name} calls in this time", _why_empty(asked))
        elif same and self.table is not None and (self.drawing is None) == (draw_view(result) is None):
            if self.drawing is not None:
                self.drawing.redraw(draw_view(result, compared) or {})
            self.table.run_grid_method("setGridOption", "rowData", table_rows(result, compared))
        else:
            with self.region.content():
                self._lay_out(result, compared)

    def _lay_out(self, result: AnalyticsResult, compared: AnalyticsResult | None) -> None:
        drawn = draw_view(result, compared)
        self.drawing = None
        if drawn is not None:
            with Tag("section", classes="card"):
                self._lay_out_head(result, compared)
                self.drawing = Drawing(drawn)
        rows = table_rows(result, compared)
        is_aligned = compared is not None and VIEWS[result.query.view].chart in ("line", "stack")
        with Tag("section", classes="grid still"):
            self.table = Grid(
                {
                    "columnDefs": table_columns(result, has_before=is_aligned),
                    "rowData": rows if is_aligned else table_rows(result),
                    ":getRowId": "(params) => params.data.id",
                    "defaultColDef": {"sortable": True, "resizable": True, "suppressMovable": True, "flex": 1,
                                      "minWidth": 92},
                    "domLayout": "autoHeight" if len(rows) <= 14 else "normal",
                    "suppressCellFocus": False,
                }
            )  # fmt: skip
            if len(rows) > 14:
                self.table.style("height: 460px")

    def _lay_out_head(self, result: AnalyticsResult, compared: AnalyticsResult | None) -> None:
        view, grouping = VIEWS[result.query.view], GROUPING_WORDS[result.query.grouping].lower()
        with Tag("div", classes="card-head"):
            Tag("h2", view.title if result.query.grouping == "period" else f"{view.title} by {grouping}")
            if has_totals(result):
                Tag("span", _totals(result, compared), classes="muted")
        if (missing := lost_in_words(result.lost)) is not None:
            lay_out_caution(missing)


def _answer(connection: psycopg.Connection, query: AnalyticsQuery, compare: str | None) -> Answer:
    result = run_query(connection, query)
    return result, run_query(connection, shifted(query, compare)) if compare is not None else None


def _totals(result: AnalyticsResult, compared: AnalyticsResult | None) -> str:
    now = total_calls(result)
    if compared is None:
        return f"{now:,} calls"
    then = total_calls(compared)
    change = f", {(now - then) / then:+.1%}" if then else ""
    return f"{now:,} calls, {then:,} before{change}"


def _why_empty(asked: Question) -> str:
    who = f"device {asked.device}" if asked.device else "any device"
    if asked.filter.given:
        return f"No call of {who} in this time passes the filters. Choose a longer time, or clear a filter."
    if asked.dataset is Dataset.SIP:
        return f"No call that {who} saw began in this time. The Devices page shows which probe is connected."
    return (
        f"No query from {who} arrived in this time. Choose a longer one, or see on the Devices page who is connected."
    )
