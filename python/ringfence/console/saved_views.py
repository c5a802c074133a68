"""Saved views on the Analytics page: a menu of them with those sent by e-mail, saving the present one, deleting one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from nicegui import ui

from ringfence.analytics.saved import SavedView, delete_view, list_saved, save_view
from ringfence.console.address import link
from ringfence.console.analytics_question import Question
from ringfence.console.forms import Fields, FormDialog, attempt, check, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Tag, button
from ringfence.console.reports import ReportList
from ringfence.vocabulary import Role


class SavedViews:
    """The menu. `asked` tells what the page shows now."""

    def __init__(self, view: View, asked: Callable[[], Question]) -> None:
        self.view = view
        self._asked = asked
        self._saved: list[SavedView] = []
        self._sheet: Tag | None = None
        self._reports = ReportList(view, self._renew)

    async def read(self) -> None:
        """Read what there is. Raises what the session raises."""
        self._saved = await self.view.session.ask(list_saved, self.view.session.identity.name)
        await self._reports.read()

    async def _renew(self) -> None:
        await self.read()
        self.fill()

    def lay_out(self) -> None:
        """The button with its sheet."""
        with Tag("details", classes="menu below saved"):
            with Tag("summary", classes="button quiet"):
                ui.icon("bookmark_border").props("aria-hidden=true")
                Tag("span", "Saved views")
            self._sheet = Tag("div", classes="sheet")
        self.fill()

    def fill(self) -> None:
        """Show what was read last."""
        if self._sheet is None:
            return
        self._sheet.clear()
        me = self.view.session.identity.name
        with self._sheet:
            for saved in self._saved:
                with Tag("div", classes="line"):
                    Tag("a", saved.name, href=link("/analytics", saved.words))
                    Tag("span", classes="space")
                    if saved.owner != me:
                        Tag("span", f"of {saved.owner}", classes="muted")
                        self._reports.lay_out_offer(saved)
                        continue
                    if saved.is_shared:
                        Tag("span", "shared", classes="muted")
                    self._reports.lay_out_offer(saved)
                    button("", partial(self._delete, saved.name), icon="delete_outline",
                           classes="quiet icon-only small", aria_label=f"Delete {saved.name}")  # fmt: skip
            if not self._saved:
                Tag("p", "None yet. A saved view asks today what it asked when it was saved.", classes="muted")
            button("Save this view…", self._ask_name, icon="bookmark_add")
            self._reports.lay_out()

    def _ask_name(self) -> None:
        dialog = FormDialog(self.view, "Save this view", "Save", self._save)
        with dialog.body:
            entry_field("Name", "", name="name", placeholder="Inbound calls by hour", required=True, autofocus=True)
            if self.view.session.may(Role.ANALYST):
                check("Share it with everybody", name="shared")

    async def _save(self, fields: Fields) -> None:
        asked = self._asked()
        words = {name: word for name, word in (asked.words | asked.time.as_query()).items() if word}
        is_shared = fields.get("shared") == "on"
        role = Role.ANALYST if is_shared else Role.VIEWER
        name = fields.get("name", "").strip()
        person = self.view.session.identity.name
        await self.view.session.act(role, save_view, person, name, words, datetime.now(UTC), is_shared=is_shared)
        await self._renew()
        self.view.say(f"Saved as {name}.")

    async def _delete(self, name: str) -> None:
        async def delete() -> None:
            await self.view.session.ask(delete_view, self.view.session.identity.name, name)
            await self._renew()

        await attempt(self.view, delete)
