"""Importing a file into a list: all of it, or with any bad line nothing and each of them named.

The file goes from the browser to the API in one stream, as the CLI's does; its job is followed here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.forms import check
from ringfence.console.frame import View, every
from ringfence.console.markup import Choice, Tag, button, ignore
from ringfence.errors import RingfenceError
from ringfence.mediation.jobs import Job

LOOK_S = 0.25
FORMATS = {"csv": "CSV: pattern, note, expires", "numbers": "One number a line"}


class ImportDialog:
    """Asks for a file, then shows how far it is, then what came of it."""

    def __init__(self, view: View, name: str, revision: int, on_done: Callable[[], Awaitable[None]]) -> None:
        self.view = view
        self.name = name
        self.on_done = on_done
        self.job: Job | None = None
        self.seen = revision
        with view.layer:
            self.dialog = ui.dialog().props("persistent")
            self.timer = every(LOOK_S, self._look)
        with self.dialog:
            self.body = Tag("div", classes="dialog wide", role="document")
        self._ask()
        self.dialog.open()

    def _ask(self) -> None:
        self.body.clear()
        address = f"/api/v1/lists/{quote(self.name, safe='')}/imports?seen={self.seen}"
        with self.body, Tag("form", classes="stack", aria_label="Import", data_upload=address) as form:
            Tag("h1", f"Import into {self.name}")
            with Tag("label", classes="field"):
                Tag("span", "File", classes="field-label")
                Tag("input", type="file", name="file", aria_label="File", required=True, accept=".csv,.txt,text/*")
            Choice("Format", FORMATS, "csv", ignore, name="format")
            check("Replace: nothing else stays on the list", name="replace")
            Tag("p", "With any bad line nothing is imported, and each bad line is named.", classes="field-hint")
            self.alert = Tag("div", aria_live="assertive")
            with Tag("div", classes="row-end"):
                button("Cancel", self.close, classes="quiet")
                Tag("button", "Import", type="submit", classes="button primary")
        form.on("submit", self._uploaded, js_handler="(event) => rf.upload(event, emit)")

    def close(self) -> None:
        """Take it away; an import that is under way is cancelled and changes nothing."""
        if self.job is not None:
            self.job.progress.cancel()
        self.timer.deactivate()
        self.dialog.close()
        self.dialog.clear()

    def _uploaded(self, event: GenericEventArguments) -> None:
        said: Mapping[str, Any] = event.args
        try:
            if "id" not in said:
                raise RingfenceError(str(said.get("message") or "The file could not be sent; try again."))
            self.job = self.view.session.jobs.get(str(said["id"]))
        except RingfenceError as error:
            self.alert.clear()
            with self.alert:
                Tag("p", error.message, classes="error", role="alert")

    async def _look(self) -> None:
        job = self.job
        if job is None:
            return
        if job.state in ("queued", "running"):
            self._show_progress(job)
            return
        self.job = None
        self.body.clear()
        with self.body:
            if job.result is not None:
                self._lay_out_result(job.result)
            else:
                self._lay_out_faults(job.error)
        if job.result is not None:
            await self.on_done()

    def _show_progress(self, job: Job) -> None:
        said = job.as_json(with_result=False)
        self.body.clear()
        with self.body:
            Tag("h1", f"Importing into {self.name}")
            Tag("p", str(said["phase"]).capitalize() or "Waiting for its turn", classes="muted")
            Tag("progress", value=f"{said['share'] or 0.0:.3f}", max="1", aria_label="Progress")
            with Tag("div", classes="row-end"):
                button("Cancel", self.close, classes="quiet")

    def _lay_out_result(self, result: Mapping[str, Any]) -> None:
        Tag("h1", "Imported")
        with Tag("dl", classes="facts"):
            for key, words in (("read", "Entries in the file"), ("added", "Added"), ("changed", "Changed"),
                               ("removed", "Taken off"), ("repeated", "Repeated lines")):  # fmt: skip
                if key in result:
                    Tag("dt", words)
                    Tag("dd", f"{int(result[key]):,}")
        Tag("p", "It acts once a version with it is installed.", classes="muted")
        with Tag("div", classes="row-end"):
            button("Done", self.close, classes="primary")

    def _lay_out_faults(self, error: RingfenceError | None) -> None:
        detail = error.detail if error is not None else {}
        faults = detail.get("faults") or []
        Tag("h1", "Nothing was imported")
        if faults:
            count = int(detail.get("fault_count", len(faults)))
            Tag("p", "1 line is wrong:" if count == 1 else f"{count:,} lines are wrong:")
            with Tag("div", classes="table-wrap still"), Tag("table", classes="rows"), Tag("tbody"):
                for fault in faults:
                    with Tag("tr"):
                        Tag("td", f"line {fault['line']:,}", classes="muted number")
                        Tag("td", str(fault["text"]), classes="mono")
                        Tag("td", str(fault["problem"]))
        else:
            Tag("p", error.message if error is not None else "It was cancelled.", classes="error", role="alert")
        with Tag("div", classes="row-end"):
            button("Close", self.close, classes="quiet")
            button("Another file", self._ask, classes="primary")
