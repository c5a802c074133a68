"""The call log: newest first, live, filtered; a call opens with all its fields and the explanation of its decision.

Live calls come by `follow_calls`, which misses none that an edge delivers late; the first page by `find_calls`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.analytics.asking import parse_filter
from ringfence.analytics.calls import MAX_EXPORT, AnyCall, Call, CallFilter, find_calls, follow_calls
from ringfence.console.address import TimeRange, iso, link
from ringfence.console.call_drawer import CallDrawer
from ringfence.console.call_table import COLUMNS, call_key, call_row
from ringfence.console.frame import Query, Region, View, every, heading, load, page
from ringfence.console.grid import Grid
from ringfence.console.markup import Choice, Tag, button, text_field
from ringfence.console.time_field import TimeField
from ringfence.console.words import RESULT_WORDS, plain
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices
from ringfence.vocabulary import Action, CallResult, Dataset, Role

EXPORT = "/api/v1/events/export"
PAGE_SIZE = 200
MAX_ROWS = 2000  # kept in the browser; the oldest leave as new calls come
LIVE_S = 1.0
# A device may deliver calls late; its own time must not be before this for a live page to show them.
LATE = timedelta(hours=1)
# Filters without a field of their own here.
_MORE = ("site", "direction", "call_type", "country", "code", "released_by", "attestation", "codec")
ACTION_WORDS = {"": "Any", "allow": "Allow", "terminate": "Terminate", "redirect": "Redirect", "none": "No opinion"}


@dataclass(frozen=True)
class Question:
    """The page's state: which calls."""

    dataset: Dataset
    number: str | None
    source: str | None
    destination: str | None
    device: str | None
    action: Action | None
    rule: str | None
    result: CallResult | None
    call_id: str | None
    time: TimeRange
    live: bool
    # Of the other filters what a chart or a link named; shown as chips that can be taken away.
    more: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        return cls(
            Dataset(_word(Dataset, "dataset", query.get("dataset") or "enum")),
            query.get("number") or None,
            query.get("source") or None,
            query.get("destination") or None,
            query.get("device") or None,
            Action(_word(Action, "action", query["action"])) if query.get("action") else None,
            query.get("rule") or None,
            CallResult(_word(CallResult, "result", query["result"])) if query.get("result") else None,
            query.get("call_id") or None,
            TimeRange.from_query(query, "1h"),
            query.get("live") != "0",
            tuple((name, query[name]) for name in _MORE if query.get(name)),
        )

    @property
    def address(self) -> str:
        """The page in this state."""
        return link("/calls", self._words | self.time.as_query() | {"live": None if self.live else "0"})

    def export_address(self, form: str, now: datetime) -> str:
        """The same calls as a file of the API."""
        start, end = self.time.bounds(now)
        period = {"start": iso(start), "end": None if self.time.is_live else iso(end)}
        return link(EXPORT, self._words | period | {"format": form, "limit": str(MAX_EXPORT)})

    @property
    def _words(self) -> dict[str, str | None]:
        return {
            "dataset": self.dataset.word,
            "number": self.number,
            "source": self.source,
            "destination": self.destination,
            "device": self.device,
            "action": self.action.word if self.action is not None else None,
            "rule": self.rule,
            "result": self.result.word if self.result is not None else None,
            "call_id": self.call_id,
            **dict(self.more),
        }

    def filter(self, now: datetime) -> CallFilter:
        """What to ask the domain for."""
        start, end = self.time.bounds(now)
        named = {name: getattr(self, name) for name in ("number", "source", "destination", "rule")}
        outcome = {"action": self.action, "result": self.result}
        words = {name: one.word for name, one in outcome.items() if one is not None}
        return CallFilter.of(
            parse_filter({**dict(self.more), **named, **words}),
            self.dataset,
            device=self.device,
            call_id=self.call_id,
            start=start,
            end=None if self.time.is_live else end,
            limit=PAGE_SIZE,
        )


@page("/calls", "Calls", "call", group="/calls", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        with Tag("div", classes="page-head"):
            heading("Calls")
        Region("card").failed(error.message, lambda: ui.navigate.to("/calls"), "Start afresh")
        return
    _Page(view, question)


class _Page:
    def __init__(self, view: View, question: Question) -> None:
        self.view = view
        self.question = question
        self.calls: dict[str, AnyCall] = {}  # newest last, as they came; what the browser shows
        self.oldest: AnyCall | None = None
        self.position: dict[int, int] | None = None
        self.table: Grid | None = None
        self.devices: dict[str, str] = {}
        self.head = Tag("div", classes="page-head")
        self.toolbar = Tag("div", classes="toolbar foldable", role="search", aria_label="Filters")
        self.region = Region()
        self.foot = Tag("div", classes="page-head")
        self.drawer = CallDrawer(view)
        self._lay_out_head()
        self._lay_out_filters()
        ui.on("call_picked", self._pick)
        ui.on("call_listed", self._list)
        ui.timer(0, self._start, once=True)
        every(LIVE_S, self._follow, immediate=False)

    def _lay_out_head(self) -> None:
        self.head.clear()
        with self.head:
            heading("Calls")
            with Tag("button", classes="button quiet narrow-only", type="button", data_shows=".toolbar",
                     aria_expanded="false"):  # fmt: skip
                ui.icon("tune").props("aria-hidden=true")
                Tag("span", f"Filters ({self._filters})" if self._filters else "Filters")
            live = self.question.live and self.question.time.is_live
            if self.question.time.is_live:
                words = "Live" if live else "Paused"
                button(words, lambda: self._ask(live=not self.question.live), icon="sensors" if live else "pause",
                       aria_pressed="true" if live else "false",
                       title="New calls appear by themselves; press to hold the list still" if live
                       else "The list stands still; press to go on")  # fmt: skip
            else:
                button("Go live", lambda: self._ask(time=TimeRange("1h"), live=True), icon="sensors")
            with Tag("details", classes="menu below export"):
                with Tag("summary", classes="button quiet", title="These calls, also those that are not shown yet"):
                    ui.icon("download").props("aria-hidden=true")
                    Tag("span", "Export")
                with Tag("div", classes="sheet"):
                    for form, title in (("csv", "CSV"), ("parquet", "Parquet")):
                        button(title, partial(self._export, form), classes="quiet")

    def _export(self, form: str) -> None:
        """A live time is taken as it is now, not as it was when the page was opened."""
        ui.download.from_url(self.question.export_address(form, datetime.now(UTC)))

    def _lay_out_filters(self) -> None:
        asked = self.question
        self.toolbar.clear()
        with self.toolbar:
            text_field("Number", asked.number or "", lambda value: self._ask(number=value or None),
                       name="number", placeholder="+1210…", classes="wide")  # fmt: skip
            for side in ("source", "destination"):
                self._lay_out_side(side, getattr(asked, side))
            self._lay_out_outcome()
            self.device = Choice("Device", {"": "All"} | self.devices, asked.device or "",
                                 lambda value: self._ask(device=value or None), name="device")  # fmt: skip
            if asked.dataset is Dataset.ENUM:
                text_field("Rule", asked.rule or "", lambda value: self._ask(rule=value or None),
                           name="rule", placeholder="Any")  # fmt: skip
            Choice("Dataset", {d.word: d.name for d in Dataset}, asked.dataset.word,
                   self._ask_dataset, name="dataset")  # fmt: skip
            self.time = TimeField(asked.time, lambda time: self._ask(time=time))
            if asked.dataset is Dataset.SIP:
                text_field("Call-ID", asked.call_id or "", lambda value: self._ask(call_id=value or None),
                           name="call_id", placeholder="Any")  # fmt: skip
            for name, word in asked.more:
                button(f"{plain(name)}: {plain(word)}", partial(self._drop, name), icon="close",
                       classes="quiet chip", title="Take this filter away")  # fmt: skip
            self.clearing = button("Clear", self._clear, icon="filter_alt_off", classes="quiet")
        self._show_clearing()

    def _lay_out_outcome(self) -> None:
        asked = self.question
        if asked.dataset is Dataset.SIP:
            Choice("Result", {"": "Any"} | RESULT_WORDS, asked.result.word if asked.result is not None else "",
                   lambda value: self._ask(result=CallResult.from_word(value) if value else None),
                   name="result")  # fmt: skip
            return
        Choice("Action", ACTION_WORDS, asked.action.word if asked.action is not None else "",
               lambda value: self._ask(action=Action.from_word(value) if value else None),
               name="action")  # fmt: skip

    async def _ask_dataset(self, word: str) -> None:
        # What only the other dataset's calls have is not asked of this one's.
        await self._ask(dataset=Dataset.from_word(word), action=None, rule=None, result=None, call_id=None,
                        more=())  # fmt: skip
        self._lay_out_filters()

    def _lay_out_side(self, side: str, number: str | None) -> None:
        if number:  # comes from a chart; shown so that it can be taken away
            text_field(side.capitalize(), number, lambda value: self._ask(**{side: value or None}), name=side)

    async def _drop(self, name: str) -> None:
        await self._ask(more=tuple(one for one in self.question.more if one[0] != name))
        self._lay_out_filters()

    def _show_clearing(self) -> None:
        self.clearing.classes(add="" if self._filters else "hidden", remove="hidden" if self._filters else "")

    async def _clear(self) -> None:
        fresh = Question.from_query({"dataset": self.question.dataset.word})
        await self._ask(**vars(fresh))
        self._lay_out_filters()

    @property
    def _filters(self) -> int:
        asked = self.question
        kept = (asked.number, asked.source, asked.destination, asked.device, asked.rule, asked.call_id,
                asked.action is not None, asked.result is not None)  # fmt: skip
        return sum(bool(one) for one in kept) + len(asked.more)

    async def _ask(self, **changes: Any) -> None:
        before, self.question = self.question, replace(self.question, **changes)
        self.view.show_address(self.question.address)
        self._lay_out_head()
        if self._still_asks(before):
            await self._follow()  # paused or resumed: what came meanwhile is fetched, what is on its way still counts
            return
        # The other fields show what was chosen in them; laying them out anew would take the keyboard's place away.
        if "time" in changes:
            self.time.show(self.question.time)
        self._show_clearing()
        self.region.stale()
        await self._fetch()

    def _still_asks(self, asked: Question) -> bool:
        """Whether the answer to `asked` is what the page wants, live or held still."""
        return replace(asked, live=self.question.live) == self.question

    async def _start(self) -> None:
        async def names() -> None:
            self.devices = {device.name: device.name for device in await self.view.session.ask(list_devices)}
            self.device.offer({"": "All"} | self.devices, self.question.device or "")

        if await load(self.region, names, self._start):
            await self._fetch()

    async def _fetch(self) -> None:
        asked = self.question

        async def answer() -> None:
            wanted = asked.filter(datetime.now(UTC))
            # The position first: a call between the two questions is then seen twice, which its key undoes.
            position, calls = await self.view.session.ask(_first_page, wanted)
            if self._still_asks(asked):
                self.position = position
                self._show(calls, has_more=len(calls) == PAGE_SIZE)

        await load(self.region, answer, self._fetch)

    async def _follow(self) -> None:
        asked = self.question
        if (
            not (asked.live and asked.time.is_live)
            or self.position is None
            or self.region.state in ("loading", "failed")
        ):
            return

        async def answer() -> None:
            wanted = replace(asked.filter(datetime.now(UTC) - LATE), limit=MAX_ROWS)
            calls, position = await self.view.session.ask(follow_calls, wanted, self.position)
            if asked is self.question:
                self.position = position
                self._add(calls)

        await load(self.region, answer, self._fetch)

    async def _more(self) -> None:
        asked, oldest = self.question, self.oldest
        if oldest is None:
            return

        async def answer() -> None:
            wanted = replace(asked.filter(datetime.now(UTC)), before=oldest.cursor)
            calls = await self.view.session.ask(find_calls, wanted)
            if self._still_asks(asked) and self.table is not None:
                self.table.run_grid_method("applyTransaction", {"add": [call_row(call) for call in calls]})
                self.calls.update((call_key(call), call) for call in calls)
                self._lay_out_foot(calls, has_more=len(calls) == PAGE_SIZE)

        await load(self.region, answer)

    def _show(self, calls: list[AnyCall], *, has_more: bool) -> None:
        self.calls = {call_key(call): call for call in reversed(calls)}
        self.table = None
        if not calls:
            self.oldest = None
            self.foot.clear()
            self._show_empty()
            return
        with self.region.content():
            self._lay_out_table([call_row(call) for call in calls])
        self._lay_out_foot(calls, has_more=has_more)

    def _show_empty(self) -> None:
        if self.question.dataset is Dataset.SIP:
            words = "Calls that a probe saw appear here; the Devices page shows which probe is connected."
        elif self._filters:
            words = "No call of this time passes the filters. Choose a longer time, or clear a filter."
        elif self.question.time.is_live:
            words = "Calls appear here as the SBCs ask about them. The Devices page shows who is connected."
        else:
            words = "Nothing was asked between these two times. Choose a longer time."
        self.region.empty("No calls", words, "call")

    def _add(self, calls: list[AnyCall]) -> None:
        new = {call_key(call): call for call in calls if call_key(call) not in self.calls}
        if not new:
            return
        if self.table is None:
            self._show(sorted(new.values(), key=lambda call: call.time, reverse=True)[:MAX_ROWS], has_more=False)
            return
        self.calls |= new
        leaving = list(self.calls)[: max(0, len(self.calls) - MAX_ROWS)]
        for key in leaving:
            del self.calls[key]
        rows = [call_row(call) for call in sorted(new.values(), key=lambda call: call.time, reverse=True)]
        self.table.run_grid_method(
            "applyTransaction",
            {"add": [row for row in rows if row["key"] in self.calls], "addIndex": 0,
             "remove": [{"key": key} for key in leaving if key not in new]},
        )  # fmt: skip

    def _lay_out_table(self, rows: list[dict[str, Any]]) -> None:
        self.table = Grid(
            {
                "columnDefs": COLUMNS[self.question.dataset],
                "rowData": rows,
                ":getRowId": "(params) => params.data.key",
                ":rowHeight": "rf.narrow() ? 54 : 36",
                "defaultColDef": {"resizable": True, "sortable": False, "suppressMovable": True, "flex": 1},
                ":onRowClicked": "(event) => emitEvent('call_picked', event.data.key)",
                ":onCellKeyDown": "(p) => { if (p.event.key === 'Enter') emitEvent('call_picked', p.data.key); }",
            }
        ).classes("grid fill" if self.view.session.may(Role.EDITOR) else "grid fill readonly")

    def _lay_out_foot(self, calls: list[AnyCall], *, has_more: bool) -> None:
        self.oldest = min(calls, key=lambda call: call.time, default=None)
        self.foot.clear()
        if has_more:
            with self.foot:
                button("Older calls", self._more, icon="expand_more", classes="quiet")

    async def _list(self, event: GenericEventArguments) -> None:
        call = self.calls.get(str(event.args))
        if isinstance(call, Call) and self.view.session.may(Role.EDITOR):
            await self.drawer.ask_listing(call)

    async def _pick(self, event: GenericEventArguments) -> None:
        call = self.calls.get(str(event.args))
        if call is not None:
            await self.drawer.show(call)


def _first_page(connection: psycopg.Connection, wanted: CallFilter) -> tuple[dict[int, int], list[AnyCall]]:
    _, position = follow_calls(connection, wanted, None)
    return position, find_calls(connection, wanted)


def _word(kind: type[Dataset] | type[Action] | type[CallResult], name: str, word: str) -> int:
    try:
        return int(kind.from_word(word))
    except KeyError:
        words = ", ".join(member.word for member in kind)
        raise InvalidInputError(f"{name}: no such {name} {word!r}; use one of {words}") from None
