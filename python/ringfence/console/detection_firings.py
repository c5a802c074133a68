"""The attacks that a detection has found: when, on or by whom, how bad, what was contained."""

from __future__ import annotations

from ringfence.console.address import iso, link
from ringfence.console.call_drawer import number
from ringfence.console.detection_board import Firings, Found
from ringfence.console.detection_words import threshold_value_words
from ringfence.console.frame import Region
from ringfence.console.markup import Tag, moment
from ringfence.detection.definition import Definition

NUMBER_PARTS = ("source", "destination")


def lay_out_firings(region: Region, definition: Definition, firings: Firings) -> None:
    """The newest first."""
    if not firings:
        words = "Back-test it to see what it would have found in the past days."
        region.empty("It has found nothing", words, "radar")
        return
    with region.content():
        with Tag("div", classes="card-head"):
            Tag("h2", "What it found")
            Tag("span", f"newest {len(firings)}", classes="muted")
        lay_out_found(definition, firings)


def lay_out_found(definition: Definition, firings: Firings) -> None:
    """A table of firings, live ones and those of a back-test alike."""
    with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
        with Tag("thead"), Tag("tr"):
            for words in ("For", "Fired", "Value", "Threshold", "Contained"):
                Tag("th", words, scope="col", classes="right" if words in ("Value", "Threshold") else "")
        with Tag("tbody"):
            for one in firings:
                _lay_out(definition, one)


def _lay_out(definition: Definition, one: Found) -> None:
    with Tag("tr"):
        with Tag("td"):
            for part, value in sorted(one.key.items()):
                with Tag("div", classes="line"):
                    Tag("span", part.replace("_", " "), classes="muted")
                    if part in NUMBER_PARTS:
                        calls = link("/calls", {part: value, "dataset": definition.dataset,
                                                "start": iso(one.started_at), "end": iso(one.calls_until)})  # fmt: skip
                        with Tag("a", href=calls):
                            number(value)
                    else:
                        Tag("span", value)
        with Tag("td", data_label="Fired"):
            moment(iso(one.fired_at))
        Tag("td", threshold_value_words(definition, one.peak), classes="right", data_label="Value")
        Tag("td", threshold_value_words(definition, one.threshold), classes="right muted", data_label="Threshold")
        with Tag("td", data_label="Contained"):
            Tag("span", one.contained or "–", classes="" if one.contained else "muted")
