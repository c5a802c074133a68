"""The drawer in which a rule is written: every field, checked while one types, kept whatever others do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.forms import (
    FORM_FIELDS,
    TYPED_EVERY_S,
    TYPED_FIELDS,
    Fields,
    area_field,
    attempt,
    check,
    entry_field,
    fields_of,
)
from ringfence.console.frame import View, leave
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.console.policy_board import Board
from ringfence.console.rule_form import DEVICE, SITE, body_of, fields_from
from ringfence.console.rule_table import lay_out_findings
from ringfence.console.words import ACTION_WORDS, DIRECTION_WORDS
from ringfence.errors import ConflictError, NotSignedInError, RingfenceError
from ringfence.policy import drafts, edits
from ringfence.policy.drafts import By
from ringfence.policy.findings import Finding
from ringfence.vocabulary import Role

MODES = {"enforce": "Enforce: decide calls", "monitor": "Monitor: only count what it would do", "off": "Off"}
KEYS = {"source": "one source", "destination": "one destination", "pair": "one pair"}
TRACKS = {"log": "Log", "alert": "Alert"}
PATTERNS = "One a line: +1900*, +12105550100-+12105550199, +1210555????, list:NAME, class:anonymous. Empty: any."


class RuleEditor:
    """A panel at the right edge. `on_saved` is told the rule's name."""

    def __init__(self, view: View, on_saved: Callable[[str], Awaitable[None]]) -> None:
        self.view = view
        self.on_saved = on_saved
        self.name: str | None = None  # of the rule that is edited; None: it is new
        self.place = edits.LAST
        self.seen = 0
        self.typed: Fields = {}
        with view.layer:
            self.panel = Tag("aside", classes="drawer wide", aria_label="Rule", tabindex="-1")

    @property
    def is_open(self) -> bool:
        """Whether somebody writes in it."""
        return "open" in self.panel.classes

    def open(self, board: Board, name: str | None, body: Mapping[str, Any]) -> None:
        """Show a rule, or with `name` None a new one that begins as `body`."""
        self.name, self.seen, self.board = name, board.draft.revision, board
        self.typed = fields_from(body)
        self.panel.clear()
        with self.panel:
            self._lay_out(board, body)
        self.panel.classes(add="open")
        field = "name" if name is None else "destinations"
        with self.view.layer:
            ui.run_javascript(f"document.querySelector('#{self.panel.html_id} [name={field}]')?.focus()")

    def close(self) -> None:
        """Slide it away."""
        self.panel.classes(remove="open")
        self.panel.clear()

    def _lay_out(self, board: Board, body: Mapping[str, Any]) -> None:
        with Tag("div", classes="drawer-head"):
            Tag("h1", "New rule" if self.name is None else self.name)
            Tag("span", classes="space")
            button("", self.close, icon="close", classes="quiet icon-only close", aria_label="Close")
        with Tag("form", classes="stack", aria_label="Rule") as form:
            self._lay_out_fields(board, body)
            self.said = Tag("div", classes="stack findings", aria_live="polite")
            self.conflict = Tag("div", classes="stack")
            with Tag("div", classes="row-end sticky-end"):
                button("Cancel", self.close, classes="quiet")
                Tag("button", "Add to the draft" if self.name is None else "Save to the draft", type="submit",
                    classes="button primary")  # fmt: skip
        form.on("submit", self._submit, js_handler=FORM_FIELDS)
        form.on("input", self._check, js_handler=TYPED_FIELDS, throttle=TYPED_EVERY_S, leading_events=False)

    def _lay_out_fields(self, board: Board, body: Mapping[str, Any]) -> None:
        fields = self.typed
        if self.name is None:
            entry_field("Name", fields["name"], name="name", placeholder="premium numbers", maxlength="64",
                        hint="Stays its identity in the call log for good.")  # fmt: skip
        else:
            Tag("input", type="hidden", name="name", **{"^value": self.name})
        Choice("Mode", MODES, fields["mode"], ignore, name="mode")
        for side in ("sources", "destinations"):
            area_field(side.capitalize(), fields[side], name=side, placeholder="any", hint=PATTERNS)
        with Tag("div", classes="pair-fields"):
            Choice("Action", {word: ACTION_WORDS[word] for word in ("allow", "terminate", "redirect")},
                   fields["action"] or "terminate", ignore, name="action")  # fmt: skip
            entry_field("Redirect to", fields["target"], name="target", placeholder="+12105550199",
                        classes="only-redirect")  # fmt: skip
            Choice("Direction", DIRECTION_WORDS, fields["direction"], ignore, name="direction")
            schedules = {"": "Always"} | {name: name for name in board.draft.policy.schedules}
            Choice("When", schedules, fields["schedule"], ignore, name="schedule")
        entry_field("Note", fields["note"], name="note", placeholder="Why it is there", maxlength="1000")
        with Tag("details", classes="more-fields", open=any(body.get(part) for part in ("rate", "sites", "devices"))):
            Tag("summary", "Rate, places, alert")
            with Tag("div", classes="stack"):
                self._lay_out_rare_fields(board, body)

    def _lay_out_rare_fields(self, board: Board, body: Mapping[str, Any]) -> None:
        fields = self.typed
        with Tag("div", classes="pair-fields three"):
            entry_field("Only above … calls", fields["rate_limit"], name="rate_limit", inputmode="numeric",
                        placeholder="10")  # fmt: skip
            entry_field("in … seconds", fields["rate_window"], name="rate_window", inputmode="numeric",
                        placeholder="60")  # fmt: skip
            Choice("of", KEYS, fields["rate_key"], ignore, name="rate_key")
        for words, prefix, names, chosen in (
            ("Only at sites", SITE, board.places.sites, body.get("sites") or []),
            ("Only on devices", DEVICE, tuple(board.places.devices), body.get("devices") or []),
        ):
            with Tag("fieldset", classes="checks"):
                Tag("legend", words, classes="field-label")
                for name in dict.fromkeys([*names, *chosen]):
                    check(name, name=f"{prefix}{name}", is_on=name in chosen)
        Choice("When it matches", TRACKS, fields["track"], ignore, name="track")

    async def _check(self, event: GenericEventArguments) -> None:
        self.typed = typed = fields_of(event)
        body = body_of(typed)

        async def say() -> None:
            if self.name is None and self.board.rule(body["name"]) is not None:
                found = [_fault(body["name"], "name: is taken by another rule; names are unique")]
            elif not body["name"]:
                found = []  # nobody has come to it yet
            else:
                found = await self.view.session.ask(drafts.check_one, "rule", body["name"], body)
            if self.typed is typed and self.is_open:
                self._say(found)

        await attempt(self.view, say)

    def _say(self, findings: list[Finding]) -> None:
        self.said.clear()
        with self.said:
            lay_out_findings(findings[:8])

    async def _submit(self, event: GenericEventArguments) -> None:
        self.typed = fields_of(event)
        await self._save(self.seen)

    async def _save(self, seen: int) -> None:
        body = body_of(self.typed)
        name = str(body["name"])
        session = self.view.session
        edit = edits.put("rule", name, body) if self.name else edits.add("rule", name, body, self.place)
        by = By(session.identity.name, datetime.now(UTC), seen)

        async def save() -> None:
            try:
                await session.act(Role.EDITOR, drafts.apply_edit, edit, by)
            except ConflictError as error:
                if error.code != "conflict.draft":
                    raise
                self._show_conflict(error)
                return
            self.close()
            await self.on_saved(name)

        try:
            await save()
        except NotSignedInError:
            with self.view.layer:
                leave()
        except RingfenceError as error:
            faults = error.detail.get("faults") if isinstance(error.detail, dict) else None
            self._say([_fault(name, str(fault)) for fault in faults or [error.message]])

    def _show_conflict(self, error: RingfenceError) -> None:
        """Another person changed this rule: say what, and let its author choose. What was typed stands as it is."""
        current = error.detail.get("current")
        revision = int(error.detail.get("revision", self.seen))
        self.conflict.clear()
        with self.conflict, Tag("div", classes="conflict", role="alert"):
            Tag("b", "Somebody changed this rule while you were editing. What you typed is still here.")
            for change in error.detail.get("changes", [])[:3]:
                with Tag("div"):
                    Tag("span", f"{change['actor']}, ")
                    moment(str(change["at"]))
                    Tag("span", f": {change['words']}")
            with Tag("div", classes="row-end"):
                if current is not None:
                    button("Show theirs", lambda: self._take_theirs(revision, current), classes="quiet")
                button("Save mine over it", lambda: self._save(revision), classes="danger")

    async def _take_theirs(self, revision: int, current: Mapping[str, Any]) -> None:
        self.open(self.board, str(current["name"]), current)
        self.seen = revision


def _fault(name: str, words: str) -> Finding:
    return Finding("error", "syntax", "rule", name, "", words)
