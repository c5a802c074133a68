"""Captures: a pcap file goes up, the calls in it appear, each with its ladder. Nothing of it is stored.

The browser sends the file to the API, which answers with a job; this page asks how far it is and shows what came of it.
A ladder is the same as on a recorded call's page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.capture.ladder import build_ladder
from ringfence.console.address import iso
from ringfence.console.call_table import clock
from ringfence.console.documents import asset
from ringfence.console.frame import Region, View, heading, page
from ringfence.console.grid import Grid
from ringfence.console.ladder import lay_out_ladder
from ringfence.console.markup import Tag, button
from ringfence.console.numbers import national, number_cells
from ringfence.console.words import RESULT_WORDS, plain
from ringfence.errors import RingfenceError
from ringfence.mediation.captures import MAX_BYTES
from ringfence.vocabulary import Role

API = "/api/v1"


@dataclass(frozen=True)
class Shown:
    """A capture that was read."""

    capture: str
    calls: list[dict[str, Any]]


@page("/captures", "Captures", "upload_file", Role.ANALYST, group="/calls")
def build(view: View) -> None:
    """Lay out the page."""
    ui.add_head_html(f'<script defer src="{asset("captures.js")}"></script>')
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shown: Shown | None = None
        with Tag("div", classes="page-head"):
            heading("Captures")
        self._lay_out_upload()
        self.region = Region("stack")
        self.drawer = Tag("aside", classes="drawer wide", aria_label="Call", tabindex="-1")
        ui.on("capture_job", self._show_job)
        ui.on("capture_call", self._show_call)
        self.region.empty(
            "No capture yet",
            f"Choose a pcap or pcapng file, plain or packed by gzip or zstd, up to {MAX_BYTES >> 20} MiB. "
            "The probe's own engine reads it; nothing is stored.",
            "upload_file",
        )

    def _lay_out_upload(self) -> None:
        with Tag("section", classes="card"), Tag("label", classes="field"):
            Tag("span", "Capture file", classes="field-label")
            Tag(
                "input", type="file", id="capture-file", accept=".pcap,.pcapng,.cap,.gz,.zst", aria_label="Capture file"
            )

    async def _show_job(self, event: GenericEventArguments) -> None:
        """What the browser learnt of the job; the result is the API's, for this person."""
        job = event.args
        if not isinstance(job, dict):
            return
        if job.get("state") in ("queued", "running"):
            self._show_progress(job)
        elif job.get("state") == "done" and isinstance(job.get("result"), dict):
            self._show_result(job["result"])
        else:
            error = job.get("error")
            words = str(error.get("message")) if isinstance(error, dict) else "It was cancelled."
            self.region.failed(words)

    def _show_progress(self, job: dict[str, Any]) -> None:
        share = job.get("share")
        with self.region.content(), Tag("section", classes="card"):
            Tag(
                "progress", max="1", value=str(share) if isinstance(share, float | int) else None, aria_label="Progress"
            )
            Tag("p", str(job.get("phase") or "waiting"), classes="muted")
            button("Cancel", lambda: ui.run_javascript("window.rfCaptures.cancel()"), icon="close", classes="quiet")

    def _show_result(self, result: dict[str, Any]) -> None:
        self.shown = Shown(str(result["capture"]), list(result["calls"]))
        if not self.shown.calls:
            self.region.empty("No calls in this file", "It holds no SIP call that could be read.", "call")
            return
        with self.region.content():
            self._lay_out_summary(result)
            Grid(
                {
                    "columnDefs": COLUMNS,
                    "rowData": [_row(call) for call in self.shown.calls],
                    ":getRowId": "(params) => String(params.data.key)",
                    "defaultColDef": {"resizable": True, "sortable": True, "suppressMovable": True, "flex": 1},
                    ":onRowClicked": "(event) => emitEvent('capture_call', event.data.key)",
                    ":onCellKeyDown": "(p) => { if (p.event.key === 'Enter') emitEvent('capture_call', p.data.key); }",
                }
            ).classes("grid fill")

    def _lay_out_summary(self, result: dict[str, Any]) -> None:
        summary = result["summary"]
        with Tag("section", classes="card"):
            with Tag("div", classes="card-head"):
                Tag("h2", str(result["name"]))
                left_out = (
                    f", the first {len(result['calls']):,} listed" if summary["calls"] > len(result["calls"]) else ""
                )
                Tag("span", f"{summary['calls']:,} calls{left_out}", classes="muted")
            with Tag("dl", classes="facts"):
                for name, count in summary["results"].items():
                    Tag("dt", RESULT_WORDS.get(name, plain(name)))
                    Tag("dd", f"{count:,}")
                Tag("dt", "Average MOS")
                Tag("dd", "–" if summary["average_mos"] is None else f"{summary['average_mos']:.2f}")

    async def _show_call(self, event: GenericEventArguments) -> None:
        shown = self.shown
        if shown is None or not isinstance(event.args, int) or not 0 <= event.args < len(shown.calls):
            return
        call = shown.calls[event.args]
        self.drawer.clear()
        with self.drawer:
            with Tag("div", classes="drawer-head"):
                Tag("span", RESULT_WORDS.get(call["result"], plain(call["result"])), classes=f"pill {call['result']}")
                Tag("span", classes="space")
                button("", self._close, icon="close", classes="quiet icon-only close", aria_label="Close")
            with Tag("div", classes="flow"):
                Tag("span", call["source"], classes="number", title=national(call["source"]))
                ui.icon("arrow_forward").props("aria-hidden=true")
                Tag("span", call["destination"], classes="number", title=national(call["destination"]))
            with Tag("section"):
                Tag("h3", "Ladder")
                self._lay_out_ladder(shown.capture, call)
            with Tag("section"), Tag("dl", classes="facts"):
                for name, value in _facts(call):
                    Tag("dt", name)
                    Tag("dd", value)
        self.drawer.classes(add="open")

    def _lay_out_ladder(self, capture: str, call: dict[str, Any]) -> None:
        if not call["messages"]:
            Tag("p", "There was no room for this call's messages.", classes="muted")
            return
        session = self.view.session
        try:
            messages = session.process.captures.messages(capture, call["index"], session.identity.name)
        except RingfenceError as error:
            Tag("p", error.message, classes="muted")
            return
        lay_out_ladder(build_ladder(messages))
        base = f"{API}/captures/{capture}/calls/{call['index']}"
        with Tag("div", classes="ladder-tools"):
            for words, file in (("Download as pcap", "messages.pcap"), ("Download as SVG", "ladder.svg")):
                Tag("a", words, href=f"{base}/{file}", classes="button quiet", download=f"call.{file[-4:].strip('.')}")

    def _close(self) -> None:
        self.drawer.classes(remove="open")


COLUMNS: list[dict[str, Any]] = [
    {"field": "time", "headerName": "Time", ":cellRenderer": "rf.cells.time", "minWidth": 116, "flex": 1.1},
    {"field": "source", "headerName": "Source", ":cellRenderer": "rf.cells.number", "minWidth": 128, "flex": 1.4},
    {"field": "destination", "headerName": "Destination", ":cellRenderer": "rf.cells.number", "minWidth": 128,
     "flex": 1.4},
    {"field": "result", "headerName": "Result", ":cellRenderer": "rf.cells.action", "minWidth": 118},
    {"field": "duration", "headerName": "Duration", "minWidth": 96, "flex": 0.8, "type": "rightAligned"},
    {"field": "mos", "headerName": "MOS", "minWidth": 76, "flex": 0.6, "type": "rightAligned"},
    {"field": "status", "headerName": "Status", "minWidth": 76, "flex": 0.6, "type": "rightAligned"},
    {"field": "direction", "headerName": "Direction", ":cellRenderer": "rf.cells.word", "minWidth": 100},
]  # fmt: skip


def _row(call: dict[str, Any]) -> dict[str, Any]:
    duration_us = call["duration_us"]
    return {
        "key": call["index"],
        "time": iso(datetime.fromtimestamp(call["time_us"] / 1e6, UTC)),
        **number_cells(call["source"], call["destination"]),
        "result": call["result"],
        "duration": clock(None if duration_us is None else duration_us // 1000),
        "mos": "–" if call["mos"] is None else f"{call['mos']:.2f}",
        "status": call["status"] or "–",
        "direction": call["direction"],
    }


def _facts(call: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("SIP status", str(call["status"]) if call["status"] else "none seen"),
        ("Post-dial delay", _milliseconds(call["post_dial_delay_us"])),
        ("Answered after", _milliseconds(call["setup_us"])),
        ("Ended by", plain(call["released_by"])),
        ("Codec", call["codec"] or "–"),
        ("Call-ID", call["call_id"] or "–"),
    ]
    if call["flags"]:
        facts.append(("To know", ", ".join(plain(flag) for flag in call["flags"])))
    return facts


def _milliseconds(microseconds: int | None) -> str:
    return clock(None if microseconds is None else microseconds // 1000)
