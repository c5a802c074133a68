"""The switch that halts all containment: seen first, turned with one click and a reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui
from psycopg import Connection

from ringfence.console.address import iso
from ringfence.console.forms import Fields, FormDialog, check, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Tag, button, moment
from ringfence.detection import episodes, store
from ringfence.detection.store import AllStop
from ringfence.vocabulary import Role

WORDS = (
    "From this moment nothing more is put on any list by a detection. What is on lists stays until it ends or is "
    "released; detections go on reporting."
)


def lay_out_all_stop(view: View, state: AllStop, on_changed: Callable[[], Awaitable[None]]) -> None:
    """The bar while containment is halted; the switch itself for people who may turn it."""
    if not state.is_stopped:
        return
    with Tag("div", classes="bar warn", role="alert", data_testid="all-stop"):
        ui.icon("front_hand").props("aria-hidden=true")
        with Tag("div", classes="bar-words"):
            Tag("b", "All containment is stopped")
            Tag("span", f"by {state.changed_by}" + (f": {state.reason}" if state.reason else ""))
            if state.changed_at is not None:
                moment(iso(state.changed_at)).props["shown"] = "ago"
        Tag("span", classes="space")
        if view.session.may(Role.EDITOR):
            button("Let it go on…", lambda: _ask(view, False, on_changed), icon="play_arrow")


def all_stop_button(view: View, on_changed: Callable[[], Awaitable[None]]) -> Tag:
    """Stops all containment, after one question."""
    return button("All stop…", lambda: _ask(view, True, on_changed), icon="front_hand", classes="danger")


def _ask(view: View, is_stop: bool, on_changed: Callable[[], Awaitable[None]]) -> None:
    async def turn(fields: Fields) -> None:
        session, reason = view.session, fields.get("reason", "").strip()
        released = await session.act(Role.EDITOR, _turn, is_stop, session.identity.name, reason, "release" in fields)
        view.say(f"All containment is stopped; {released} released." if is_stop else "Detections may contain again.")
        await on_changed()

    title = "Stop all containment?" if is_stop else "Let detections contain again?"
    dialog = FormDialog(view, title, "Stop all" if is_stop else "Go on", turn, is_danger=is_stop)
    with dialog.body:
        Tag("p", WORDS if is_stop else "Detections deployed to contain list numbers again when they fire.")
        entry_field("Why", "", name="reason", placeholder="for whoever reads the audit trail", maxlength="500",
                    autofocus=True)  # fmt: skip
        if is_stop:
            check("Also release every number that is contained", name="release")


def _turn(connection: Connection, is_stop: bool, actor: str, reason: str, is_release: bool) -> int:
    """Turn the switch; how many entries were taken off."""
    now = datetime.now(UTC)
    store.set_all_stop(connection, is_stop, actor, now, reason)
    return episodes.release_all(connection, actor, now) if is_stop and is_release else 0
