"""The time range of a page: spans that end now, or two instants in the viewer's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nicegui.events import GenericEventArguments

from ringfence.console.address import CUSTOM, SPANS, TimeRange, iso
from ringfence.console.markup import Choice, Tag


class TimeField(Tag):
    """A select of spans; two fields more while two instants are chosen."""

    def __init__(self, chosen: TimeRange, on_change: Callable[[TimeRange], object]) -> None:
        super().__init__("div", classes="contents")
        self._on_change = on_change
        self.show(chosen)

    def show(self, chosen: TimeRange) -> None:
        """Show a range that was chosen."""
        self.clear()
        options = {span: words for span, (words, _) in SPANS.items()} | {CUSTOM: "From – to …"}
        with self:
            Choice("Time", options, chosen.span or CUSTOM, lambda value: self._pick(chosen, value), name="range")
            if chosen.span is None:
                self._lay_out_edges(*chosen.bounds(datetime.now(UTC)))

    def _pick(self, chosen: TimeRange, value: str) -> object:
        if value != CUSTOM:
            return self._on_change(TimeRange(value))
        start, end = (at.replace(second=0, microsecond=0) for at in chosen.bounds(datetime.now(UTC)))
        return self._on_change(TimeRange(None, start, end))

    def _lay_out_edges(self, start: datetime, end: datetime) -> None:
        def move(event: GenericEventArguments, edge: str) -> object:
            at = datetime.fromisoformat(str(event.args)).astimezone(UTC)
            first, last = (at, end) if edge == "start" else (start, at)
            if first >= last:  # keep the length, move the other edge along
                first, last = (at, at + (end - start)) if edge == "start" else (at - (end - start), at)
            return self._on_change(TimeRange(None, first, max(last, first + timedelta(minutes=1))))

        for edge, words, at in (("start", "From", start), ("end", "To", end)):
            with Tag("div", classes="field"):
                Tag("span", words, classes="field-label")
                entry = Tag("rf-when", iso=iso(at), label=words)
                entry.on("when", lambda event, edge=edge: move(event, edge), js_handler="(event) => emit(event.detail)")
