"""One list: searched, its entries added, edited, taken off, imported, exported; and whether it acts as it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args
from urllib.parse import quote

from nicegui import ui
from psycopg import Connection

from ringfence.console.address import instant_of, iso, link
from ringfence.console.forms import Fields, FormDialog, attempt, confirm, entry_field
from ringfence.console.frame import Region, View, every, load
from ringfence.console.import_dialog import ImportDialog
from ringfence.console.markup import Choice, Tag, button, moment, text_field
from ringfence.errors import NotFoundError
from ringfence.mediation.sites import first_site
from ringfence.policy.lists import acting, any_kind, entries
from ringfence.policy.lists.any_kind import ListOverview, Put
from ringfence.policy.lists.bulk import Format
from ringfence.policy.lists.entries import EntryFilter
from ringfence.vocabulary import Role

PAGE_SIZE = 100
REFRESH_S = 3.0
BY = {"pattern": "begins with", "number": "covers the number", "note": "note holds"}
FORMATS = dict(zip(get_args(Format), ("CSV", "Numbers only"), strict=True))
Entry = Mapping[str, Any]


class ListPage:
    """What `/policy/lists?list=NAME` shows."""

    def __init__(self, view: View, name: str) -> None:
        self.view = view
        self.name = name
        self.find = view.query.get("find", "")
        self.by = view.query.get("by", "pattern") if view.query.get("by") in BY else "pattern"
        self.known: ListOverview | None = None
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            Tag("a", "Lists", href="/policy/lists", classes="crumb")
            Tag("h1", name)
            Tag("span", classes="space")
            self.tools = Tag("div", classes="row-end")
        self.bar = Tag("div", classes="stack bars")
        with Tag("div", classes="toolbar", role="search", aria_label="Search"):
            Choice("Entry", BY, self.by, lambda by: self._search(by=by), name="by")
            text_field("Search", self.find, lambda text: self._search(text=text), name="find", classes="wide",
                       placeholder="+1210555")  # fmt: skip
        self.region = Region("card")
        self.foot = Tag("div", classes="page-head")
        self.rows: Tag | None = None
        ui.timer(0, self._fetch, once=True)
        every(REFRESH_S, self._refresh, immediate=False)

    async def _search(self, *, text: str | None = None, by: str | None = None) -> None:
        self.find = self.find if text is None else text
        self.by = by or self.by
        fields = {"list": self.name, "find": self.find, "by": self.by if self.find else ""}
        self.view.show_address(link("/policy/lists", fields))
        self.region.stale()
        await self._fetch()

    async def _refresh(self) -> None:
        """Somebody else may have changed it; who reads is not disturbed unless so."""
        if self.region.state == "loading" or self.known is None:
            return

        async def answer() -> None:
            if await self._overview() != self.known:
                await self._fetch()

        await load(self.region, answer)

    async def _overview(self) -> ListOverview:
        found = await self.view.session.ask(any_kind.overview, datetime.now(UTC))
        known = next((one for one in found if one.name == self.name), None)
        if known is None:
            raise NotFoundError(f"There is no list {self.name!r}.")
        return known

    async def _fetch(self) -> None:
        async def answer() -> None:
            known = await self._overview()
            page = await self._page("")
            self.known = known
            self._show_head(known)
            self._show(known, page)

        await load(self.region, answer, lambda: ui.navigate.to("/policy/lists"))

    async def _page(self, after: str) -> dict[str, Any]:
        found = {self.by: self.find} if self.find else {}
        wanted = EntryFilter(found.get("pattern"), found.get("number"), found.get("note"))
        return await self.view.session.ask(
            any_kind.page_of, self.name, wanted, datetime.now(UTC), after=after, limit=PAGE_SIZE
        )

    def _show_head(self, known: ListOverview) -> None:
        self.tools.clear()
        self.bar.clear()
        is_kept = known.kind != "inline"
        with self.tools:
            if known.kind == "static":
                for kind, words in FORMATS.items():
                    address = link(f"/api/v1/lists/{quote(self.name, safe='')}/export", {"format": kind})
                    with Tag("a", classes="button quiet", href=address, download=True):
                        ui.icon("download").props("aria-hidden=true")
                        Tag("span", words)
            if self.may_edit and is_kept:
                button("Delete", self._delete, icon="delete", classes="quiet")
            if self.may_edit and known.kind == "static":
                button("Import…", lambda: ImportDialog(self.view, self.name, known.revision, self._fetch),
                       icon="upload")  # fmt: skip
            if self.may_edit and is_kept:
                button("Add entry", lambda: self._edit(None), icon="add", classes="primary")
        with self.bar:
            self._lay_out_bar(known)

    def _lay_out_bar(self, known: ListOverview) -> None:
        if known.kind == "inline":
            with Tag("div", classes="bar"):
                ui.icon("info").props("aria-hidden=true")
                Tag("span", "Its entries stand in the policy itself and are edited with it (“ringfence policy apply”).")
            return
        if known.kind == "dynamic" or known.installed_revision in (None, known.revision):
            return
        with Tag("div", classes="bar changed", role="region", aria_label="Revision"):
            ui.icon("edit_note").props("aria-hidden=true")
            with Tag("div", classes="bar-words"):
                Tag("b", f"Revision {known.revision} does not act yet")
                Tag("span", f"; devices have revision {known.installed_revision}.", classes="muted")
            Tag("span", classes="space")
            if self.may_edit:
                button("Commit and install", self._commit, icon="rocket_launch", classes="primary")

    def _show(self, known: ListOverview, page: Mapping[str, Any]) -> None:
        if not page["entries"]:
            self.foot.clear()
            words = f"No entry {BY[self.by]} “{self.find}”." if self.find else "Add the first entry, or import a file."
            self.region.empty("No entries" if self.find else "The list is empty", words, "list_alt")
            return
        with self.region.content():
            with Tag("div", classes="card-head"):
                Tag("h2", "1 entry" if known.entries == 1 else f"{known.entries:,} entries")
                if known.kind == "static":
                    Tag("span", f"revision {known.revision}", classes="muted")
            with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
                with Tag("thead"), Tag("tr"):
                    for words in ("Entry", "Note", "Origin", "Added", "Until", ""):
                        Tag("th", words, scope="col")
                self.rows = Tag("tbody")
        self._add_rows(page)

    def _add_rows(self, page: Mapping[str, Any]) -> None:
        if self.rows is not None:
            with self.rows:
                for entry in page["entries"]:
                    self._lay_out(entry)
        self.foot.clear()
        if page["after"]:
            with self.foot:
                button("More entries", partial(self._more, str(page["after"])), icon="expand_more", classes="quiet")

    async def _more(self, after: str) -> None:
        async def answer() -> None:
            self._add_rows(await self._page(after))

        await load(self.region, answer)

    def _lay_out(self, entry: Entry) -> None:
        pattern = str(entry["pattern"])
        may_edit = self.may_edit and self.known is not None and self.known.kind != "inline"
        with Tag("tr"):
            with Tag("td", classes="number"):
                if may_edit:
                    opener = Tag("button", pattern, type="button", classes="as-link", title="Edit")
                    opener.on("click", lambda: self._edit(entry))
                else:
                    Tag("span", pattern)
            Tag("td", str(entry.get("note") or "–"), data_label="Note", classes="" if entry.get("note") else "muted")
            with Tag("td", data_label="Origin"), Tag("div"):
                Tag("span", str(entry.get("origin") or "policy"))
                if entry.get("added_by") and entry["added_by"] != entry.get("origin"):
                    Tag("div", f"by {entry['added_by']}", classes="muted")
            for label, key in (("Added", "added_at"), ("Until", "expires_at")):
                with Tag("td", data_label=label, classes="number"):
                    if entry.get(key):
                        moment(str(entry[key]))
                    else:
                        Tag("span", "for good" if key == "expires_at" else "–", classes="muted")
            with Tag("td", classes="row-tools"):
                if may_edit:
                    button("", lambda: self._remove(pattern), icon="delete", classes="quiet icon-only",
                           aria_label=f"Take {pattern} off", title="Take off")  # fmt: skip

    def _edit(self, entry: Entry | None) -> None:
        known = self.known
        if known is None:
            return
        seen = known.revision if known.kind == "static" else None

        async def save(fields: Fields) -> None:
            until = fields.get("until", "").strip()
            pattern = str(entry["pattern"]) if entry else fields.get("pattern", "").strip()
            ends = instant_of("until", until) if until else None
            put = await self.view.session.act(
                Role.EDITOR, put_entry, self.name, pattern, self.view.session.identity.name, datetime.now(UTC),
                fields.get("note", "").strip(), ends, seen, is_new=entry is None,
            )  # fmt: skip
            self.view.say(f"{pattern} is on {self.name}{_acts(put)}")
            await self._fetch()

        dialog = FormDialog(self.view, str(entry["pattern"]) if entry else f"Add to {self.name}", "Save", save)
        with dialog.body:
            if entry is None:
                entry_field("Number, prefix, range or wildcard", "", name="pattern", placeholder="+12105550100",
                            hint="+1900*, +12105550100-+12105550199, +1210555????", autofocus=True)  # fmt: skip
            entry_field("Note", str(entry.get("note") or "") if entry else "", name="note", placeholder="Why")
            until = str(entry.get("expires_at") or "") if entry else ""
            entry_field("Until", iso(datetime.fromisoformat(until)) if until else "", name="until",
                        placeholder="for good", hint="ISO 8601 with zone, such as 2026-12-31T00:00:00Z")  # fmt: skip

    async def _remove(self, pattern: str) -> None:
        async def work() -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, any_kind.take_off, self.name, pattern, session.identity.name, datetime.now(UTC)
            )
            self.view.say(f"{pattern} is off {self.name}.")
            await self._fetch()

        await attempt(self.view, work)

    async def _commit(self) -> None:
        async def work() -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, acting.commit_list, self.name, session.identity.name, datetime.now(UTC),
                message=f"List {self.name}", install=True,
            )  # fmt: skip
            self.view.say(f"{self.name} acts on all devices as it is now.")
            await self._fetch()

        await attempt(self.view, work)

    def _delete(self) -> None:
        async def delete() -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, acting.delete_and_withdraw, self.name, session.identity.name, datetime.now(UTC)
            )
            ui.navigate.to("/policy/lists")

        confirm(self.view, f"Delete {self.name}?", "Versions that were committed keep what it held.", "Delete", delete)


def put_entry(
    connection: Connection,
    name: str,
    pattern: str,
    actor: str,
    now: datetime,
    note: str,
    ends: datetime | None,
    seen: int | None,
    *,
    is_new: bool,
) -> Put | None:
    """Put an entry on a list of any kind, or change one that is there."""
    if is_new or seen is None:
        site = first_site(connection)
        return any_kind.put_entry(connection, site, name, pattern, actor, now, note=note, expires_at=ends, seen=seen)
    entries.edit_entry(connection, name, pattern, actor, now, note=note, expires_at=ends, seen=seen)
    return None


def _acts(put: Put | None) -> str:
    return ", at once." if put is not None and put.kind == "dynamic" else ". It acts with the next version."
