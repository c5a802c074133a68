"""Elements of a page by their HTML name. Text is always a text node: nothing here can render markup.

Callers' numbers and raw SIP text come from strangers, so the console builds pages from these and from
NiceGUI's own text elements, never from HTML strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments


def ignore(_: str) -> None:
    """For a field whose value goes with its form, not by itself."""


class Tag(TextElement):
    """One HTML element with plain text and attributes."""

    def __init__(self, element: str, text: str = "", /, *, classes: str = "", **attributes: Any) -> None:
        super().__init__(tag=element, text=text)
        for attribute, value in attributes.items():
            if value is not None and value is not False:
                self.props[attribute.rstrip("_").replace("_", "-")] = value
        if classes:
            self.classes(classes)


class Choice(Tag):
    """A labelled native `<select>`; `options` maps values to the words shown."""

    def __init__(
        self,
        label: str,
        options: Mapping[str, str],
        value: str,
        on_change: Callable[[str], Any],
        *,
        name: str,
        classes: str = "",
    ) -> None:
        super().__init__("label", classes=f"field {classes}")
        with self:
            Tag("span", label, classes="field-label")
            self._select = Tag("select", name=name, aria_label=label)
        self._select.on(
            "change",
            lambda event: on_change(str(event.args)),
            js_handler="(event) => emit(event.target.value)",
        )
        self.offer(options, value)

    def offer(self, options: Mapping[str, str], value: str) -> None:
        """Replace the options; an unknown `value` stays visible as itself rather than becoming another one."""
        self._select.clear()
        shown = dict(options) if value in options else {**options, value: value}
        with self._select:
            for option, words in shown.items():
                Tag("option", words, value=option, selected=option == value)


def text_field(
    label: str, value: str, on_change: Callable[[str], Any], *, name: str, placeholder: str = "", classes: str = ""
) -> Tag:
    """A labelled text input that reports when it is left or Enter is pressed."""
    with Tag("label", classes=f"field {classes}") as field:
        Tag("span", label, classes="field-label")
        entry = Tag(
            "input",
            name=name,
            type="text",
            # "^": as the attribute, which a re-rendering page leaves alone, not as the property, which it would reset.
            **{"^value": value},
            placeholder=placeholder,
            aria_label=label,
            autocomplete="off",
            spellcheck="false",
        )

        def changed(event: GenericEventArguments) -> Any:
            return on_change(str(event.args).strip())

        entry.on("change", changed, js_handler="(event) => emit(event.target.value)")
    return field


def button(words: str, on_click: Callable[[], Any], *, icon: str = "", classes: str = "", **attributes: Any) -> Tag:
    """A native button with words and, in front of them, an icon."""
    element = Tag("button", classes=f"button {classes}", type="button", **attributes)
    with element:
        if icon:
            ui.icon(icon).props("aria-hidden=true")
        if words:
            Tag("span", words)
    element.on("click", lambda: on_click())
    return element


def moment(iso: str | None, *, classes: str = "") -> Tag:
    """A time in the viewer's zone, UTC on hover (`console.js` writes the text); a dash when there is none."""
    if iso is None:
        return Tag("span", "–", classes=f"muted {classes}")
    return Tag("rf-time", iso, iso=iso, classes=classes)
