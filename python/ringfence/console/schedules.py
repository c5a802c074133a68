"""The Schedules page: named times in the draft, at which rules act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from nicegui import ui

from ringfence.console.draft_bar import DraftBar
from ringfence.console.forms import Fields, FormDialog, check, confirm, entry_field
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Tag, button
from ringfence.console.policy_board import Board, read_board
from ringfence.console.rule_table import lay_out_findings
from ringfence.errors import InvalidInputError
from ringfence.policy import drafts, edits
from ringfence.policy.edits import Edit
from ringfence.policy.rules import Day
from ringfence.vocabulary import Role

REFRESH_S = 2.0
DAYS: tuple[str, ...] = get_args(Day)
DAY_WORDS = dict(zip(DAYS, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True))


@page("/policy/schedules", "Schedules", "schedule", group="/policy")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.board: Board | None = None
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            heading("Schedules")
            if self.may_edit:
                button("Add schedule", lambda: self._open(None), icon="add", classes="primary")
        self.bar = DraftBar(view, self._refresh, self._committed)
        self.region = Region("card")
        every(REFRESH_S, self._refresh)

    async def _committed(self, version: int) -> None:
        ui.navigate.to("/policy/versions")

    async def _refresh(self) -> None:
        async def answer() -> None:
            board = await self.view.session.ask(read_board, self.board)
            if not board.shows_as(self.board) or self.region.state != "content":
                self.board = board
                self._show(board)

        await load(self.region, answer, self._refresh)

    def _show(self, board: Board) -> None:
        self.bar.show(board)
        schedules = board.draft.policy.as_source().get("schedules", {})
        if not schedules:
            self.region.empty("No schedule", "Rules act at all times. A schedule lets a rule act at some.", "schedule")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Schedule", "Days", "From, to", "Zone", "Used by", ""):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for name, body in schedules.items():
                    self._lay_out(board, name, body)

    def _lay_out(self, board: Board, name: str, body: Mapping[str, Any]) -> None:
        users = [rule["name"] for rule in board.rules if rule.get("schedule") == name]
        with Tag("tr"):
            with Tag("td"):
                if self.may_edit:
                    opener = Tag("button", name, type="button", classes="as-link", title="Edit")
                    opener.on("click", lambda: self._open(name))
                else:
                    Tag("b", name)
                lay_out_findings([one for one in board.findings if (one.kind, one.name) == ("schedule", name)])
            Tag("td", days_words(body.get("days") or DAYS), data_label="Days")
            Tag("td", f"{body.get('from', '00:00')} – {body.get('to', '24:00')}", classes="number", data_label="Time")
            with Tag("td", data_label="Zone"), Tag("div"):
                Tag("div", str(body["zone"]))
                Tag("div", f"now {datetime.now(ZoneInfo(str(body['zone']))):%a %H:%M}", classes="muted")
            Tag("td", ", ".join(users) or "–", data_label="Used by", classes="" if users else "muted")
            with Tag("td", classes="row-tools"):
                if self.may_edit:
                    tool = button("", lambda: self._delete(name), icon="delete", classes="quiet icon-only",
                                  aria_label=f"Delete {name}")  # fmt: skip
                    tool.props["title"] = "Delete"

    def _open(self, name: str | None) -> None:
        board = self.board
        if board is None:
            return
        body: Mapping[str, Any] = board.draft.policy.as_source().get("schedules", {}).get(name, {})

        async def save(fields: Fields) -> None:
            known = name or fields.get("name", "").strip()
            edit = edits.put("schedule", known, body_of(fields)) if name else edits.add(
                "schedule", known, body_of(fields)
            )  # fmt: skip
            await self._apply(board, edit)

        dialog = FormDialog(self.view, name or "New schedule", "Save to the draft", save)
        with dialog.body:
            if name is None:
                entry_field("Name", "", name="name", placeholder="night", maxlength="64", autofocus=True)
            with Tag("fieldset", classes="checks"):
                Tag("legend", "Days", classes="field-label")
                for day, words in DAY_WORDS.items():
                    check(words, name=f"day:{day}", is_on=day in (body.get("days") or DAYS))
            with Tag("div", classes="pair-fields"):
                entry_field("From", str(body.get("from", "00:00")), name="from", placeholder="22:00")
                entry_field("To", str(body.get("to", "24:00")), name="to", placeholder="06:00",
                            hint="Before From: it runs past midnight.")  # fmt: skip
            entry_field("Time zone", str(body.get("zone", self.view.zone)), name="zone", placeholder="America/Chicago")

    def _delete(self, name: str) -> None:
        board = self.board
        if board is not None:
            confirm(self.view, f"Delete {name}?", "It goes from the draft; versions keep it.", "Delete",
                    lambda: self._apply(board, edits.remove("schedule", name)))  # fmt: skip

    async def _apply(self, board: Board, edit: Edit) -> None:
        session = self.view.session
        by = board.by(session.identity.name, datetime.now(UTC))
        await session.act(Role.EDITOR, drafts.apply_edit, edit, by)
        await self._refresh()


def body_of(fields: Fields) -> dict[str, Any]:
    """What a form says. InvalidInputError without a day. Pure."""
    days = [day for day in DAYS if f"day:{day}" in fields]
    if not days:
        raise InvalidInputError("days: none is ticked; a schedule has at least one")
    body: dict[str, Any] = {"zone": fields.get("zone", "").strip()}
    if days != list(DAYS):
        body["days"] = days
    for part, whole in (("from", "00:00"), ("to", "24:00")):
        if (text := fields.get(part, "").strip()) not in ("", whole):
            body[part] = text
    return body


def days_words(days: tuple[str, ...] | list[str]) -> str:
    """`every day`, `Monday – Friday`, `Monday, Wednesday`. Pure."""
    places = [DAYS.index(day) for day in days]
    if len(places) == len(DAYS):
        return "every day"
    if len(places) > 2 and places == list(range(places[0], places[-1] + 1)):
        return f"{DAY_WORDS[DAYS[places[0]]]} – {DAY_WORDS[DAYS[places[-1]]]}"
    return ", ".join(DAY_WORDS[DAYS[place]] for place in places)
