"""The time range of a page: spans that end now, or two instants in the viewer's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nicegui.events import GenericEventArguments

from ringfence.console.address import CUSTOM, SPANS, TimeRange, iso
from ringfence.console.markup import Choice, Tag


def time_field(chosen: TimeRange, on_change: Callable[[TimeRange], object]) -> None:
    """Add the field to the toolbar that is open."""
    options = {span: words for span, (words, _) in SPANS.items()} | {CUSTOM: "From – to …"}

    def pick(value: str) -> object:
        if value != CUSTOM:
            return on_change(TimeRange(value))
        start, end = (at.replace(second=0, microsecond=0) for at in chosen.bounds(datetime.now(UTC)))
        return on_change(TimeRange(None, start, end))

    Choice("Time", options, chosen.span or CUSTOM, pick, name="range")
    if chosen.span is None:
        start, end = chosen.bounds(datetime.now(UTC))

        def move(event: GenericEventArguments, edge: str) -> object:
            at = datetime.fromisoformat(str(event.args)).astimezone(UTC)
            first, last = (at, end) if edge == "start" else (start, at)
            if first >= last:
                span = end - start
                first, last = (at, at + span) if edge == "start" else (at - span, at)
            return on_change(TimeRange(None, first, max(last, first + timedelta(minutes=1))))

        for edge, words, at in (("start", "From", start), ("end", "To", end)):
            with Tag("div", classes="field"):
                Tag("span", words, classes="field-label")
                entry = Tag("rf-when", iso=iso(at), label=words)
                entry.on("when", lambda event, edge=edge: move(event, edge), js_handler="(event) => emit(event.detail)")
