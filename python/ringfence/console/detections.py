"""The Detections page: what watches the calls, in which mode, and what it has contained; `?detection=` shows one."""

from __future__ import annotations

from datetime import UTC, datetime

from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.all_stop_bar import all_stop_button, lay_out_all_stop
from ringfence.console.detection_board import Board, Row, read_board
from ringfence.console.detection_contained import lay_out_contained
from ringfence.console.detection_editor import edit_definition
from ringfence.console.detection_page import DetectionPage
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Choice, Tag, button, moment
from ringfence.vocabulary import Role

REFRESH_S = 2.0
MODES = {"": "All", "contain": "Contain", "report": "Report only", "off": "Off"}
MODE_PILLS = {"contain": ("contains", "red"), "report": ("reports", "green"), "off": ("off", "")}
SEVERITY_PILLS = {"critical": "red", "warning": "amber", "info": ""}
NEW = """\
name: my-detection
title: What it finds
dataset: enum
condition: {direction: [inbound]}
key: destination
measure: count
window_s: 60
threshold: {value: 100}
severity: warning
"""


@page("/detections", "Detections", "radar", group="/alerts", is_whole=True)
def build(view: View) -> None:
    """Lay out the page."""
    if name := view.query.get("detection"):
        DetectionPage(view, name)
    else:
        _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.mode = view.query.get("mode", "") if view.query.get("mode") in MODES else ""
        self.shown: object = None
        with Tag("div", classes="page-head"):
            heading("Detections")
            if view.session.may(Role.EDITOR):
                button("New detection…", self._add, icon="add")
                all_stop_button(view, self._refresh)
        self.bars = Tag("div", classes="stack bars")
        with Tag("div", classes="toolbar"):
            Choice("Mode", MODES, self.mode, self._pick, name="mode")
        with Tag("div", classes="stack"):
            self.contained = Region("card")
            self.region = Region("card")
        every(REFRESH_S, self._refresh)

    async def _pick(self, mode: str) -> None:
        self.mode, self.shown = mode, None
        self.view.show_address(link("/detections", {"mode": mode}))
        await self._refresh()

    async def _refresh(self) -> None:
        async def answer() -> None:
            board = await self.view.session.ask(read_board, datetime.now(UTC))
            if (board, self.mode) != self.shown or self.region.state != "content":
                self.shown = (board, self.mode)
                self._show(board)

        await load(self.region, answer, self._refresh)

    def _show(self, board: Board) -> None:
        self.bars.clear()
        with self.bars:
            lay_out_all_stop(self.view, board.all_stop, self._refresh)
        self._show_rows([row for row in board.rows if self.mode in ("", row.mode)])
        lay_out_contained(self.view, self.contained, board.contained, self._refresh)

    def _show_rows(self, rows: list[Row]) -> None:
        if not rows:
            self.region.empty("No detection in this mode", "Choose another mode, or open one and deploy it.", "radar")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Detection", "Mode", "Severity", "Last firing", "Alerts, 24 h"):
                    Tag("th", words, scope="col", classes="right" if words.startswith("Alerts") else "")
            with Tag("tbody"):
                for row in rows:
                    _lay_out(row)

    def _add(self) -> None:
        async def opened(name: str) -> None:
            ui.navigate.to(link("/detections", {"detection": name}))

        edit_definition(self.view, "New detection", NEW, opened)


def _lay_out(row: Row) -> None:
    one = row.detection.definition
    with Tag("tr", data_detection=one.name):
        with Tag("td"):
            Tag("a", one.title, href=link("/detections", {"detection": one.name}))
            Tag("div", one.name + ("" if row.detection.version else " · from the catalogue"), classes="muted")
        with Tag("td", data_label="Mode"):
            mode_pill(row.mode)
        with Tag("td", data_label="Severity"):
            Tag("span", one.severity.value, classes=f"pill plain {SEVERITY_PILLS[one.severity.value]}")
        with Tag("td", data_label="Last firing"):
            if row.summary.last_fired_at is None:
                Tag("span", "–", classes="muted")
            else:
                moment(iso(row.summary.last_fired_at)).props["shown"] = "ago"
        alerts = row.summary.alerts_24h
        with Tag("td", data_label="Alerts, 24 h", classes="right"):
            if alerts:
                Tag("a", f"{alerts:,}", href=link("/alerts", {"detection": one.name, "state": "all"}))
            else:
                Tag("span", "–", classes="muted")


def mode_pill(mode: str) -> None:
    """What a detection may do."""
    words, colour = MODE_PILLS[mode]
    Tag("span", words, classes=f"pill {colour}")
