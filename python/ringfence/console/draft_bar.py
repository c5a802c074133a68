"""The state of the draft, and what is done with the whole of it: review, commit, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.forms import Fields, FormDialog, check, confirm, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Tag, button, moment
from ringfence.console.policy_board import Board
from ringfence.console.rule_table import lay_out_findings
from ringfence.policy import drafts
from ringfence.policy.diff import Change
from ringfence.vocabulary import Role

ICONS = {"added": "add_circle", "changed": "edit", "removed": "remove_circle", "moved": "swap_vert"}
CHANGES_SHOWN = 200
Refresh = Callable[[], Awaitable[None]]


def changes_words(count: int) -> str:
    """`1 change`, `3 changes`."""
    return "1 change" if count == 1 else f"{count:,} changes"


class DraftBar(Tag):
    """Above the rules: how the draft differs from the newest version, and whose hands were on it last."""

    def __init__(self, view: View, refresh: Refresh, on_committed: Callable[[int], Awaitable[None]]) -> None:
        super().__init__("div", classes="bar", role="region", aria_label="Draft")
        self.view = view
        self.refresh = refresh
        self.on_committed = on_committed

    def show(self, board: Board) -> None:
        """Show the state of the draft."""
        self.clear()
        self.classes(add="changed" if board.changes else "", remove="" if board.changes else "changed")
        with self:
            ui.icon("edit_note" if board.changes else "task_alt").props("aria-hidden=true")
            with Tag("div", classes="bar-words"):
                self._lay_out_words(board)
            Tag("span", classes="space")
            if board.changes:
                button("Review", lambda: ReviewDialog(self.view, board), icon="difference")
                if self.view.session.may(Role.ANALYST):
                    with Tag("a", classes="button", href=link("/policy/simulate", {"policy": "draft", "range": "24h"})):
                        ui.icon("science").props("aria-hidden=true")
                        Tag("span", "Simulate")
            if board.changes and self.view.session.may(Role.EDITOR):
                button("Discard", lambda: self._discard(board), classes="quiet")
                button("Commit…", lambda: self._commit(board), icon="check", classes="primary")

    def _lay_out_words(self, board: Board) -> None:
        since = f"version {board.newest}" if board.newest else "nothing"
        if not board.changes:
            Tag("b", f"The draft is version {board.newest}." if board.newest else "The draft is empty.")
            Tag("span", " Nothing waits to be committed.", classes="muted")
            return
        Tag("b", f"{changes_words(len(board.changes))} since {since}")
        if board.draft.changed_at is not None and board.draft.changed_by:
            Tag("span", f", last by {board.draft.changed_by} ", classes="muted")
            moment(iso(board.draft.changed_at), classes="muted").props["shown"] = "ago"
        errors, warnings = len(board.errors), len(board.findings) - len(board.errors)
        if errors:
            Tag("span", f"{errors} to mend", classes="pill red")
        if warnings:
            Tag("span", f"{warnings} to look at", classes="pill amber")

    def _commit(self, board: Board) -> None:
        async def commit(fields: Fields) -> None:
            session = self.view.session
            made = await session.act(
                Role.EDITOR, drafts.commit_draft, fields.get("message", "").strip(),
                board.by(session.identity.name, datetime.now(UTC)), overwrites="overwrites" in fields,
            )  # fmt: skip
            self.view.say(f"Version {made.version.version} is committed. It acts once it is installed.")
            await self.refresh()
            await self.on_committed(made.version.version)

        dialog = FormDialog(self.view, f"Commit {changes_words(len(board.changes))}", "Commit", commit, classes="wide")
        with dialog.body:
            lay_out_changes(board.changes)
            lay_out_findings([one for one in board.findings if one.severity == "error"][:5])
            entry_field("Message", "", name="message", placeholder="What for, in a few words", maxlength="500",
                        autofocus=True)  # fmt: skip
            if any(one.code == "overlap" for one in board.findings):
                lay_out_findings([one for one in board.findings if one.code == "overlap"])
                check("Commit all the same, and undo that", name="overwrites")

    def _discard(self, board: Board) -> None:
        async def discard() -> None:
            session = self.view.session
            await session.act(Role.EDITOR, drafts.discard, board.by(session.identity.name, datetime.now(UTC)))
            self.view.say("The draft is the newest version again.")
            await self.refresh()

        confirm(
            self.view,
            f"Discard {changes_words(len(board.changes))}?",
            "The draft becomes what the newest version is. The audit trail keeps what was there.",
            "Discard",
            discard,
        )


class ReviewDialog:
    """What a commit would change, in words."""

    def __init__(self, view: View, board: Board) -> None:
        with view.layer:
            self.dialog = ui.dialog()
        since = f"version {board.newest}" if board.newest else "nothing"
        with self.dialog, Tag("div", classes="dialog wide", role="document"):
            Tag("h1", f"{changes_words(len(board.changes))} since {since}")
            lay_out_changes(board.changes)
            if board.findings:
                Tag("h3", "Findings")
                with Tag("div", classes="stack"):
                    for finding in board.findings[:50]:
                        lay_out_findings([finding])
            with Tag("div", classes="row-end"):
                button("Close", self.dialog.close, classes="primary")
        self.dialog.open()


def lay_out_changes(changes: Iterable[Change]) -> None:
    """Each change as a line."""
    changes = list(changes)
    with Tag("ul", classes="changes"):
        for change in changes[:CHANGES_SHOWN]:
            with Tag("li", classes=change.what):
                ui.icon(ICONS[change.what]).props("aria-hidden=true")
                Tag("span", change.in_words)
    if len(changes) > CHANGES_SHOWN:
        Tag("p", f"and {len(changes) - CHANGES_SHOWN:,} more", classes="muted")
