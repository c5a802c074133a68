"""The Sites page: where devices stand, with which dial plan and which numbers of their own."""

from __future__ import annotations

import re
from typing import Any

from ringfence.console.address import link
from ringfence.console.forms import Fields, FormDialog, area_field, confirm, entry_field
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Tag, button
from ringfence.console.rule_form import matchers_of
from ringfence.errors import InvalidInputError
from ringfence.mediation import sites
from ringfence.mediation.sites import SiteEntry, list_sites
from ringfence.numbering.dial_plan import site_from
from ringfence.vocabulary import Role

REFRESH_S = 5.0
RANGES_SHOWN = 4
# What a site's exchange does otherwise than its country's: field → words, example, whether it is a list of numbers.
PLAN = {
    "national_prefix": ("National prefix", "1", None),
    "international_prefixes": ("International prefixes", "011", str),
    "national_lengths": ("Lengths of national numbers", "10", int),
    "local_prefix": ("Prefix of local numbers", "210", None),
    "local_lengths": ("Lengths of local numbers", "7", int),
    "extension_lengths": ("Lengths of extensions", "3, 4", int),
}
# What takes each of them back to how the country has it, or to nothing.
AS_COUNTRY: dict[str, Any] = {
    "national_prefix": None, "international_prefixes": None, "national_lengths": None,
    "local_prefix": "", "local_lengths": [], "extension_lengths": [],
}  # fmt: skip
NONE = "none"


@page("/sites", "Sites", "location_on", group="/devices", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shown: list[SiteEntry] | None = None
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            heading("Sites")
            if self.may_edit:
                button("Add site", lambda: self._open(None), icon="add", classes="primary")
        self.region = Region("card")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            found = await self.view.session.ask(list_sites)
            if found != self.shown or self.region.state != "content":
                self.shown = found
                self._show(found)

        await load(self.region, answer, self._refresh)

    def _show(self, found: list[SiteEntry]) -> None:
        if not found:
            self.region.empty("No site", "Add the place where the first SBC stands.", "location_on")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Site", "Own numbers", "Dial plan", "Devices", ""):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for entry in found:
                    self._lay_out(entry)

    def _lay_out(self, entry: SiteEntry) -> None:
        site = entry.site
        with Tag("tr"):
            with Tag("td"):
                if self.may_edit:
                    opener = Tag("button", site.name, type="button", classes="as-link", title="Edit")
                    opener.on("click", lambda: self._open(entry))
                else:
                    Tag("b", site.name)
                Tag("div", entry.note, classes="muted")
            with Tag("td", data_label="Own numbers"), Tag("div"):
                for own in site.own_ranges[:RANGES_SHOWN]:
                    Tag("div", own, classes="number")
                if len(site.own_ranges) > RANGES_SHOWN:
                    Tag("div", f"and {len(site.own_ranges) - RANGES_SHOWN:,} more", classes="muted")
                if not site.own_ranges:
                    Tag("span", "none: no call has a direction", classes="said")
            with Tag("td", data_label="Dial plan"), Tag("div"):
                for line in plan_words(entry.as_json()["plan"] | {"country": site.country}):
                    Tag("div", line)
            with Tag("td", data_label="Devices"):
                Tag("a", f"{entry.devices:,}", href=link("/devices", {}))
            with Tag("td", classes="row-tools"):
                if self.may_edit:
                    button("", lambda: self._remove(entry), icon="delete", classes="quiet icon-only",
                           aria_label=f"Remove {site.name}", title="Remove")  # fmt: skip

    def _open(self, entry: SiteEntry | None) -> None:
        set_here: dict[str, Any] = entry.site.as_json() if entry else {"country": "US", "own_ranges": []}
        actor = self.view.session.identity.name

        async def save(fields: Fields) -> None:
            values = values_of(fields)
            note = fields.get("note", "").strip()
            if entry is None:
                site = site_from(values | {"name": fields.get("name", "").strip()})
                await self.view.session.act(Role.EDITOR, sites.add_site, site, actor, note)
            else:
                changes = AS_COUNTRY | values | {"note": note}
                await self.view.session.act(Role.EDITOR, sites.edit_site, entry.site.name, changes, actor)
            self.view.say("Saved. It acts with the next version that is committed.")
            await self._refresh()

        dialog = FormDialog(self.view, entry.site.name if entry else "New site", "Save", save, classes="wide")
        with dialog.body:
            if entry is None:
                entry_field("Name", "", name="name", placeholder="san-antonio", maxlength="64", autofocus=True)
            entry_field("Country", str(set_here["country"]), name="country", placeholder="US", maxlength="2",
                        hint="Two letters: its dial plan and its emergency numbers.")  # fmt: skip
            area_field("Own numbers", "\n".join(set_here["own_ranges"]), name="own_ranges",
                       placeholder="+12105550000-+12105559999",
                       hint="One pattern a line. They say what is inbound, outbound and internal.")  # fmt: skip
            entry_field("Note", entry.note if entry else "", name="note")
            with Tag("details", classes="more-fields", open=any(part in set_here for part in PLAN)):
                Tag("summary", "What its exchange does otherwise than the country")
                with Tag("div", classes="pair-fields"):
                    for part, (words, example, _) in PLAN.items():
                        entry_field(words, _text(set_here.get(part)), name=part, placeholder=example)
                Tag("p", "Empty: as the country. “none”: there is none.", classes="field-hint")

    def _remove(self, entry: SiteEntry) -> None:
        async def remove() -> None:
            session = self.view.session
            await session.act(Role.EDITOR, sites.remove_site, entry.site.name, session.identity.name)
            await self._refresh()

        if entry.devices:
            self.view.say(f"{entry.site.name} has {entry.devices} devices: move them first.", is_fault=True)
        else:
            confirm(self.view, f"Remove {entry.site.name}?", "Versions that were committed keep it.", "Remove", remove)


def values_of(fields: Fields) -> dict[str, Any]:
    """What a form says of a site; what is left empty is as the country has it. InvalidInputError. Pure."""
    values: dict[str, Any] = {
        "country": fields.get("country", "").strip().upper(),
        "own_ranges": matchers_of(fields.get("own_ranges", "")),
    }
    for part, (words, _, kind) in PLAN.items():
        text = fields.get(part, "").strip()
        if not text:
            continue
        if text == NONE or kind is None:
            values[part] = ([] if kind else "") if text == NONE else text
            continue
        parts = [one for one in re.split(r"[\s,;]+", text) if one]
        if kind is int and not all(one.isascii() and one.isdigit() and len(one) < 3 for one in parts):
            raise InvalidInputError(f"{words}: {text!r}: expected numbers, such as 7 or 3, 4")
        values[part] = [kind(one) for one in parts]
    return values


def plan_words(plan: dict[str, Any]) -> list[str]:
    """A dial plan in a few lines. Pure."""
    lines = [f"{plan['country']} +{plan['country_code']}"]
    if plan.get("national_prefix"):
        lines[0] += f", trunk {plan['national_prefix']}"
    if plan.get("international_prefixes"):
        lines[0] += f", abroad {' or '.join(plan['international_prefixes'])}"
    if plan.get("local_lengths"):
        lines.append(f"local: {_lengths(plan['local_lengths'])} behind {plan.get('local_prefix') or '–'}")
    if plan.get("extension_lengths"):
        lines.append(f"extensions: {_lengths(plan['extension_lengths'])}")
    return lines


def _lengths(lengths: list[int]) -> str:
    return f"{' or '.join(str(one) for one in lengths)} digits"


def _text(value: str | list[Any] | None) -> str:
    if value is None:
        return ""
    return (", ".join(str(one) for one in value) if isinstance(value, list) else value) or NONE
