"""Forms: their fields go to the page by name, and what is typed stays in the browser until it is accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.frame import View, leave
from ringfence.console.markup import Tag, button
from ringfence.errors import NotSignedInError, RingfenceError

Fields = Mapping[str, str]

# Sends a form's fields by name instead of leaving the page.
FORM_FIELDS = "(event) => { event.preventDefault(); emit(Object.fromEntries(new FormData(event.target))); }"
# The same while somebody types in one of them.
TYPED_FIELDS = "(event) => emit(Object.fromEntries(new FormData(event.currentTarget || event.target.form)))"
TYPED_EVERY_S = 0.35


def fields_of(event: GenericEventArguments) -> dict[str, str]:
    """A form's fields as they were sent."""
    args: Any = event.args
    return {str(name): str(value) for name, value in args.items()} if isinstance(args, dict) else {}


def area_field(label: str, value: str, *, name: str, placeholder: str = "", rows: int = 3, hint: str = "") -> Tag:
    """A labelled text of several lines."""
    with Tag("label", classes="field") as field:
        Tag("span", label, classes="field-label")
        Tag("textarea", value, name=name, rows=rows, placeholder=placeholder, aria_label=label, autocomplete="off",
            spellcheck="false", classes="mono")  # fmt: skip
        if hint:
            Tag("span", hint, classes="field-hint")
    return field


def entry_field(
    label: str, value: str, *, name: str, placeholder: str = "", hint: str = "", classes: str = "", **more: Any
) -> Tag:
    """A labelled text of one line, whose value goes with its form."""
    with Tag("label", classes=f"field {classes}") as field:
        Tag("span", label, classes="field-label")
        attributes = {"type": "text", "^value": value, "placeholder": placeholder} | more
        Tag("input", name=name, aria_label=label, autocomplete="off", spellcheck="false", **attributes)
        if hint:
            Tag("span", hint, classes="field-hint")
    return field


def check(label: str, *, name: str, is_on: bool = False) -> Tag:
    """A box to tick; the form has `name` with `on` when it is."""
    with Tag("label", classes="check") as field:
        box: dict[str, Any] = {"^checked": True} if is_on else {}
        Tag("input", type="checkbox", name=name, **box)
        Tag("span", label)
    return field


async def attempt(view: View, work: Callable[[], Awaitable[None]]) -> bool:
    """Do what a click asked for; an expected failure is said in a note. Whether it succeeded."""
    try:
        await work()
    except NotSignedInError:
        with view.layer:
            leave()
    except RingfenceError as error:
        view.say(error.message, is_fault=True)
    else:
        return True
    return False


class FormDialog:
    """A question in front of the page. A refusal is said in it, and what was typed stays."""

    def __init__(
        self,
        view: View,
        title: str,
        verb: str,
        on_submit: Callable[[Fields], Awaitable[None]],
        *,
        classes: str = "",
        is_danger: bool = False,
    ) -> None:
        self.view = view
        self._on_submit = on_submit
        # In the page's own layer: what opened it may be laid out anew while it is open.
        with view.layer:
            self.dialog = ui.dialog().props("persistent")
        with (
            self.dialog,
            Tag("div", classes=f"dialog {classes}", role="document"),
            Tag("form", classes="stack", aria_label=title) as form,
        ):
            Tag("h1", title)
            self.body = Tag("div", classes="stack")
            self.alert = Tag("div", classes="stack", aria_live="assertive")
            with Tag("div", classes="row-end"):
                button("Cancel", self.close, classes="quiet")
                self.verb = Tag("button", verb, type="submit", classes=f"button {'danger' if is_danger else 'primary'}")
        form.on("submit", self._submit, js_handler=FORM_FIELDS)
        self.dialog.open()

    def close(self) -> None:
        """Take it away."""
        self.dialog.close()
        self.dialog.clear()

    def refuse(self, words: str) -> None:
        """Say why not."""
        self.alert.clear()
        with self.alert:
            Tag("p", words, classes="error", role="alert")

    async def _submit(self, event: GenericEventArguments) -> None:
        try:
            await self._on_submit(fields_of(event))
        except NotSignedInError:
            with self.view.layer:
                leave()
        except RingfenceError as error:
            self.refuse(error.message)
        else:
            self.close()


def confirm(view: View, title: str, words: str, verb: str, on_yes: Callable[[], Awaitable[None]]) -> FormDialog:
    """Ask before something that cannot be taken back at once."""

    async def yes(_: Fields) -> None:
        await on_yes()

    dialog = FormDialog(view, title, verb, yes, is_danger=True)
    with dialog.body:
        Tag("p", words)
    return dialog
