"""The Policy page: the rules of the draft, as all operators edit them, and the way from there to the devices."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.address import link
from ringfence.console.draft_bar import DraftBar
from ringfence.console.forms import attempt, confirm
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.installing import InstallBar, ask_install, ask_roll_back
from ringfence.console.markup import Tag, button, text_field
from ringfence.console.policy_board import Board, read_board, read_hits
from ringfence.console.rule_editor import RuleEditor
from ringfence.console.rule_form import free_name
from ringfence.console.rule_table import RuleTable
from ringfence.policy import drafts, edits, installation
from ringfence.policy.edits import Edit, Place
from ringfence.policy.versions import list_versions
from ringfence.vocabulary import Role

REFRESH_S = 2.0
SHOWN = 200
NEW_RULE = {"mode": "monitor", "action": "terminate"}


@page("/policy", "Policy", "policy", group="/policy")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.board: Board | None = None
        self.find = view.query.get("find", "")
        self.wanted = view.query.get("rule", "")
        self.limit = SHOWN
        self.table: RuleTable | None = None
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            heading("Rules")
            self.acting = Tag("span", classes="muted")
            if self.may_edit:
                button("Install…", self._ask_install, icon="rocket_launch")
                button("Roll back", self._ask_roll_back, icon="undo", classes="quiet")
                button("Add rule", self._add, icon="add", classes="primary")
        self.install_bar = InstallBar(view, self._refresh)
        self.bar = DraftBar(view, self._refresh, self._offer)
        self.region = Region("card")
        self.editor = RuleEditor(view, self._saved)
        ui.on("rule_moved", self._moved)
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            board = await self.view.session.ask(read_board, self.board)
            hits = await self.view.session.ask(read_hits, datetime.now(UTC))
            if not board.shows_as(self.board) or self.region.state != "content":
                self.board = board
                self._show(board)
            if self.table is not None:
                self.table.show_hits(hits)

        await load(self.region, answer, self._refresh)

    def _show(self, board: Board) -> None:
        self.acting.text = f"Version {board.installed} acts" if board.installed else "No policy acts"
        self.bar.show(board)
        self.install_bar.show(board.state)
        self.table = None
        if not board.rules:
            words = "Every call is allowed. Add the first rule; it begins in monitor mode and stops nothing."
            self.region.empty("No rules", words if self.may_edit else "Every call is allowed.", "policy")
            return
        with self.region.content():
            if len(board.rules) > 8 or self.find:
                text_field("Find", self.find, self._find, name="find", placeholder="name, number, list")
            self._lay_out_table(board)
        if self.wanted:
            wanted, self.wanted = self.wanted, ""
            if self.may_edit and board.rule(wanted):
                self._open(wanted)

    def _lay_out_table(self, board: Board) -> None:
        found = [(place, rule) for place, rule in enumerate(board.rules, 1) if _holds(rule, self.find)]
        changed = {change.name: change.what for change in board.changes if change.kind == "rule"}
        self.table = RuleTable(found[: self.limit], board.findings, changed, self._act if self.may_edit else None)
        if not found:
            Tag("p", f"No rule holds “{self.find}”.", classes="muted")
        if len(found) > self.limit:
            button(f"{len(found) - self.limit:,} more rules", self._more, icon="expand_more", classes="quiet")

    def _find(self, text: str) -> None:
        self.find, self.limit = text, SHOWN
        self.view.show_address(link("/policy", {"find": text}))
        if self.board is not None:
            self._show(self.board)

    def _more(self) -> None:
        self.limit += SHOWN
        if self.board is not None:
            self._show(self.board)

    async def _add(self) -> None:
        if self.board is None:  # asked before the page had read the rules
            await self._refresh()
        self._open(None)

    def _open(self, name: str | None) -> None:
        if self.board is not None:
            self.editor.open(self.board, name, (self.board.rule(name) if name else None) or NEW_RULE)

    async def _saved(self, name: str) -> None:
        self.view.say(f"{name} is in the draft. It acts once the draft is committed and installed.")
        await self._refresh()

    async def _act(self, what: str, name: str) -> None:
        board = self.board
        if board is None:
            return
        if what == "open":
            self._open(name)
        elif what == "copy":
            await self._edit(edits.copy("rule", name, free_name(name, [rule["name"] for rule in board.rules])))
        elif what.startswith("mode:"):
            mode = what.removeprefix("mode:")
            await self._edit(edits.change("rule", name, {"mode": None if mode == "enforce" else mode}))
        elif what == "delete":
            confirm(self.view, f"Delete {name}?", "It goes from the draft. Versions keep it, and calls keep its name.",
                    "Delete", lambda: self._apply(edits.remove("rule", name)))  # fmt: skip

    async def _moved(self, event: GenericEventArguments) -> None:
        said: Any = event.args
        board = self.board
        if board is None or not self.may_edit or not isinstance(said, dict):
            return
        name, before, step = str(said.get("name")), said.get("before"), said.get("step")
        names = [rule["name"] for rule in board.rules]
        if name not in names:
            return
        if isinstance(step, int):
            others = [one for one in names if one != name]
            at = min(max(names.index(name) + step, 0), len(others))
            before = others[at] if at < len(others) else None
        await self._edit(edits.move(name, Place(before=str(before) if before is not None else None)))
        with self.view.layer:
            ui.run_javascript(f"rf.focusHandle({json.dumps(name)})")

    async def _edit(self, edit: Edit) -> None:
        if not await attempt(self.view, lambda: self._apply(edit)):
            self.region.stale()  # a switch goes back to what is true
            await self._refresh()

    async def _apply(self, edit: Edit) -> None:
        board, session = self.board, self.view.session
        if board is not None:
            by = board.by(session.identity.name, datetime.now(UTC))
            await session.act(Role.EDITOR, drafts.apply_edit, edit, by)
            await self._refresh()

    async def _ask_install(self) -> None:
        await attempt(self.view, self._offer)

    async def _offer(self, version: int | None = None) -> None:
        board = self.board
        known = [one.version for one in await self.view.session.ask(list_versions)]
        if not known:
            self.view.say("There is no version yet: commit the draft first.", is_fault=True)
        elif board is not None:
            ask_install(self.view, version or known[0], known, board.places, board.state, self._refresh)

    async def _ask_roll_back(self) -> None:
        await attempt(self.view, lambda: offer_roll_back(self.view, self._refresh))


async def offer_roll_back(view: View, refresh: Callable[[], Awaitable[None]]) -> None:
    """Ask, naming what would be undone."""
    newest = next(
        (
            one
            for one in await view.session.ask(installation.list_installations)
            if one.action in installation.UNDOABLE and one.changed and one.outcome not in ("reverted", "rolled_back")
        ),
        None,
    )
    if newest is None:
        view.say("There is no installation to roll back.", is_fault=True)
    else:
        ask_roll_back(view, newest, refresh)


def _holds(rule: dict[str, Any], text: str) -> bool:
    if not text:
        return True
    words = [rule["name"], rule.get("note", ""), rule.get("target", ""), *rule.get("sources", []),
             *rule.get("destinations", [])]  # fmt: skip
    return any(text.casefold() in str(word).casefold() for word in words)
