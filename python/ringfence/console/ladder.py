"""A ladder on a page: a column for each address, an arrow for each message, which opens where it stands to be read.

Drawn from elements, not as a picture: it follows the theme, each arrow is reached by the keyboard and read aloud as a
sentence, and all text of strangers is text. A message's text goes to the browser when it is opened, not before.
"""

from __future__ import annotations

from nicegui import ui

from ringfence.capture.ladder import Ladder, Step
from ringfence.console.markup import Tag, button


def lay_out_ladder(drawn: Ladder) -> None:
    """Lay it out; one that is wider than its place scrolls there."""
    begin_us = drawn.steps[0].time_us if drawn.steps else 0
    with (
        Tag("div", classes="ladder-scroll", role="group", aria_label="SIP ladder", tabindex="0"),
        Tag("div", classes="sip-ladder", style=f"--ends:{len(drawn.columns)}"),
    ):
        with Tag("div", classes="ends"):
            for place, address in enumerate(drawn.columns):
                Tag("span", address, classes="mono", style=f"grid-column:{2 * place + 2}/span 2")
        with Tag("div", classes="steps"):
            with Tag("div", classes="lines", aria_hidden="true"):
                for place in range(len(drawn.columns)):
                    Tag("i", style=f"grid-column:{2 * place + 3}")
            for step in drawn.steps:
                _lay_out_step(drawn, step, begin_us)
    if drawn.left_out:
        Tag("p", f"{drawn.left_out:,} more messages are left out.", classes="muted")


def _lay_out_step(drawn: Ladder, step: Step, begin_us: int) -> None:
    words = f"{step.label} {step.note}".strip()
    spoken = (
        f"{_seconds(step, begin_us)} seconds: {words}, from {drawn.columns[step.source]} "
        f"to {drawn.columns[step.destination]}"
    )
    if not step.text:
        with Tag("div", classes=f"step {step.kind} bare"), Tag("div", classes="row", role="img", aria_label=spoken):
            _lay_out_arrow(step, words, begin_us)
        return
    with Tag("details", classes=f"step {step.kind}") as opened:
        with Tag("summary", classes="row", aria_label=spoken):
            _lay_out_arrow(step, words, begin_us)
        body = Tag("div", classes="message")

    def fill() -> None:
        if list(body):
            return
        with body:
            Tag("pre", step.text.replace("\r", ""), classes="mono")
            button("Copy", lambda: ui.clipboard.write(step.text), icon="content_copy", classes="quiet")

    opened.on("toggle", fill, args=[])


def _lay_out_arrow(step: Step, words: str, begin_us: int) -> None:
    first, last = sorted((step.source, step.destination))
    way = "itself" if first == last else "there" if step.source < step.destination else "back"
    where = f"grid-column:{2 * first + 3}/{2 * last + 3 if first != last else 2 * first + 4}"
    Tag("span", _seconds(step, begin_us), classes="at")
    with Tag("span", classes=f"arrow {way}{'' if step.is_request else ' response'}", style=where):
        Tag("span", words, classes="words")


def _seconds(step: Step, begin_us: int) -> str:
    return f"{(step.time_us - begin_us) / 1e6:.3f}"
