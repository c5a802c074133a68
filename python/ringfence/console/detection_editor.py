"""The dialog in which a definition is written as YAML: checked while one types, saved as the next version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui.events import GenericEventArguments
from psycopg import Connection

from ringfence.console.forms import TYPED_EVERY_S, Fields, FormDialog, area_field, entry_field, fields_of
from ringfence.console.frame import View
from ringfence.console.markup import Tag
from ringfence.detection.definition import parse_definition
from ringfence.detection.store import Detection, save_definition
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Role


def edit_definition(
    view: View, title: str, text: str, on_saved: Callable[[str], Awaitable[None]], *, name: str | None = None
) -> None:
    """Ask for a definition; `on_saved` is told its name. With `name` it must keep that one."""

    async def save(fields: Fields) -> None:
        saved = await view.session.act(
            Role.EDITOR, _save, fields.get("definition", ""), fields.get("message", "").strip(),
            view.session.identity.name, name,
        )  # fmt: skip
        view.say(f"{saved.name}: saved as version {saved.version}.")
        await on_saved(saved.name)

    dialog = FormDialog(view, title, "Save", save, classes="wide")
    with dialog.body:
        area_field("Definition", text, name="definition", rows=16, hint="YAML; docs/detection.schema.json says all.")
        said = Tag("div", classes="stack findings", aria_live="polite")
        entry_field("What changed", "", name="message", placeholder="for the list of versions", maxlength="500")

    def look(event: GenericEventArguments) -> None:
        said.clear()
        faults = _faults(fields_of(event).get("definition", ""), name)
        with said:
            for fault in faults:
                Tag("p", fault, classes="error")
            if not faults:
                Tag("p", "The definition is valid.", classes="muted")

    dialog.body.on("input", look, js_handler=TYPED_IN_BODY, throttle=TYPED_EVERY_S, leading_events=False)


# As TYPED_FIELDS, from an element inside the form.
TYPED_IN_BODY = "(event) => emit(Object.fromEntries(new FormData(event.target.form)))"


def _faults(text: str, name: str | None) -> list[str]:
    try:
        found = parse_definition(text.encode())
    except InvalidInputError as error:
        return [str(fault) for fault in error.detail.get("faults") or [error.message]]
    if name is not None and found.name != name:
        return [_keep(name, found.name)]
    return []


def _save(connection: Connection, text: str, message: str, author: str, name: str | None) -> Detection:
    definition = parse_definition(text.encode())
    if name is not None and definition.name != name:
        raise InvalidInputError(_keep(name, definition.name))
    return save_definition(connection, definition, author, datetime.now(UTC), message)


def _keep(name: str, found: str) -> str:
    return f"name: is {found!r}, must stay {name!r}; add a new detection to have another"
