"""The Lists page: every list with its size and whether it acts as it is; with `?list=NAME` the page of that one."""

from __future__ import annotations

from datetime import UTC, datetime

from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.forms import Fields, FormDialog, entry_field
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.list_page import ListPage
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.policy.lists import acting, any_kind
from ringfence.policy.lists.any_kind import ListOverview
from ringfence.vocabulary import Role

REFRESH_S = 3.0
KINDS = {
    "static": "Static: acts with a version, up to millions of entries",
    "dynamic": "Dynamic: each change acts at once",
}


@page("/policy/lists", "Lists", "list_alt", group="/policy", is_whole=True)
def build(view: View) -> None:
    """Lay out the page."""
    if name := view.query.get("list"):
        ListPage(view, name)
    else:
        _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shown: list[ListOverview] | None = None
        with Tag("div", classes="page-head"):
            heading("Lists")
            if view.session.may(Role.EDITOR):
                button("Add list", self._add, icon="add", classes="primary")
        self.region = Region("card")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            found = await self.view.session.ask(any_kind.overview, datetime.now(UTC))
            if found != self.shown or self.region.state != "content":
                self.shown = found
                self._show(found)

        await load(self.region, answer, self._refresh)

    def _show(self, found: list[ListOverview]) -> None:
        if not found:
            words = "A list holds numbers, ranges and prefixes that rules name as list:NAME."
            self.region.empty("No list", words, "list_alt")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("List", "Kind", "Entries", "State", "Changed"):
                    Tag("th", words, scope="col", classes="right" if words == "Entries" else "")
            with Tag("tbody"):
                for one in found:
                    _lay_out(one)

    def _add(self) -> None:
        async def add(fields: Fields) -> None:
            session = self.view.session
            made = await session.act(
                Role.EDITOR, acting.create_and_declare, fields.get("name", "").strip(),
                "dynamic" if fields.get("kind") == "dynamic" else "static", session.identity.name, datetime.now(UTC),
                note=fields.get("note", "").strip(),
            )  # fmt: skip
            ui.navigate.to(link("/policy/lists", {"list": made.name}))

        dialog = FormDialog(self.view, "New list", "Add", add)
        with dialog.body:
            entry_field("Name", "", name="name", placeholder="suspects", maxlength="64", autofocus=True)
            Choice("Kind", KINDS, "static", ignore, name="kind")
            entry_field("Note", "", name="note", placeholder="What it is for", maxlength="1000")
            Tag("p", "Rules of the draft can name it at once.", classes="field-hint")


def _lay_out(one: ListOverview) -> None:
    with Tag("tr"):
        with Tag("td"):
            Tag("a", one.name, href=link("/policy/lists", {"list": one.name}))
            Tag("div", one.note, classes="muted")
        Tag("td", one.kind if one.kind != "inline" else "in the policy", data_label="Kind")
        Tag("td", f"{one.entries:,}", classes="right", data_label="Entries")
        with Tag("td", data_label="State"):
            lay_out_state(one)
        with Tag("td", data_label="Changed"), Tag("div"):
            if one.changed_at is not None:
                moment(iso(one.changed_at)).props["shown"] = "ago"
                Tag("div", f"by {one.changed_by}", classes="muted")
            else:
                Tag("span", "with its version", classes="muted")


def lay_out_state(one: ListOverview) -> None:
    """Whether a list acts, and as it is."""
    if one.kind == "static" and one.installed_revision is not None and one.installed_revision != one.revision:
        Tag("span", "changes wait", classes="pill amber", title="A version with its newest revision is not installed")
    elif one.is_installed and (one.kind != "static" or one.installed_revision is not None):
        Tag("span", "acts", classes="pill green")
    else:
        Tag("span", "does not act", classes="pill", title="No installed version has it")
