"""The dial-plan tester: how each site reads a number, by the code that reads it on the wire."""

from __future__ import annotations

import psycopg
from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.address import link
from ringfence.console.forms import FORM_FIELDS, entry_field, fields_of
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.markup import Tag
from ringfence.console.words import plain
from ringfence.errors import InvalidInputError
from ringfence.mediation.sites import list_sites
from ringfence.numbering.explain import NumberReading, explain_number
from ringfence.policy.explain import MAX_NUMBER_LENGTH


@page("/number", "Number", "dialpad", group="/devices", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("How a site reads a number")
    _Page(view, view.query.get("number") or "")


class _Page:
    def __init__(self, view: View, number: str) -> None:
        self.view = view
        self.number = number
        with Tag("form", classes="toolbar card", role="search", aria_label="A number") as form:
            entry_field("Number", number, name="number", placeholder="0112125550100, sip:911@sbc, +44 20 …",
                        classes="wide", required=True, autofocus=True)  # fmt: skip
            Tag("button", "Read it", type="submit", classes="button primary")
        form.on("submit", self._submit, js_handler=FORM_FIELDS)
        self.region = Region("stack")
        ui.timer(0, self._answer, once=True)

    async def _submit(self, event: GenericEventArguments) -> None:
        self.number = fields_of(event).get("number", "").strip()
        self.view.show_address(link("/number", {"number": self.number}))
        self.region.stale()
        await self._answer()

    async def _answer(self) -> None:
        asked = self.number
        if not asked:
            words = "Type a number as a caller dials it, or as a header has it. Each site's dial plan reads it."
            self.region.empty("No number yet", words, "dialpad")
            return

        async def answer() -> None:
            readings = await self.view.session.ask(_read, asked)
            if asked == self.number:
                with self.region.content(), Tag("div", classes="halves"):
                    for reading in readings:
                        _lay_out(reading)

        await load(self.region, answer, self._answer)


def _read(connection: psycopg.Connection, text: str) -> list[NumberReading]:
    if len(text) > MAX_NUMBER_LENGTH:
        raise InvalidInputError(f"number: is longer than {MAX_NUMBER_LENGTH} characters")
    return [explain_number(text, one.site) for one in list_sites(connection)]


def _lay_out(reading: NumberReading) -> None:
    with Tag("section", classes="card stack"):
        with Tag("div", classes="card-head"):
            Tag("h2", f"Site {reading.site}")
            if reading.is_own:
                Tag("span", "own number", classes="pill green")
        with Tag("div", classes="flow"):
            Tag("span", reading.number or plain(reading.number_class), classes="number", title=reading.national)
        Tag("p", f"{reading.why[:1].upper()}{reading.why[1:]}.")
        with Tag("dl", classes="facts"):
            for name, value in (
                ("As written there", reading.national),
                ("Class", plain(reading.number_class)),
                ("Country", reading.country),
                ("Region", reading.region),
                ("Line", plain(reading.line)),
                ("A call to it is", plain(reading.call_type)),
            ):
                Tag("dt", name)
                Tag("dd", value or "–")
