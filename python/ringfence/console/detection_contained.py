"""Numbers that detections have put on lists: until when, why, and one click to release each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from ringfence.console.address import iso, link
from ringfence.console.detection_board import Contained
from ringfence.console.forms import attempt
from ringfence.console.frame import Region, View
from ringfence.console.markup import Tag, button, moment
from ringfence.detection import episodes
from ringfence.vocabulary import Role


def lay_out_contained(
    view: View, region: Region, contained: tuple[Contained, ...], on_changed: Callable[[], Awaitable[None]]
) -> None:
    """The newest first."""
    if not contained:
        with region.content():
            Tag("span", "Nothing is contained: no detection has a number on a list.", classes="muted")
        return
    with region.content():
        with Tag("div", classes="card-head"):
            Tag("h2", "Contained numbers")
            Tag("span", f"{len(contained):,}", classes="muted")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Number", "List", "By", "Since", "Until", ""):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for one in contained:
                    _lay_out(view, one, on_changed)


def _lay_out(view: View, one: Contained, on_changed: Callable[[], Awaitable[None]]) -> None:
    async def release() -> None:
        session = view.session
        await session.act(
            Role.EDITOR, episodes.release, one.list, one.pattern, session.identity.name, datetime.now(UTC)
        )
        view.say(f"{one.pattern} is released: its calls are decided as before, at once.")
        await on_changed()

    with Tag("tr", data_pattern=one.pattern):
        with Tag("td", classes="number"):
            Tag("b", one.pattern)
        with Tag("td", data_label="List"):
            Tag("a", one.list, href=link("/policy/lists", {"list": one.list}))
        with Tag("td", data_label="By"):
            Tag("a", one.detection, href=link("/detections", {"detection": one.detection}))
        with Tag("td", data_label="Since"):
            moment(iso(one.added_at)).props["shown"] = "ago"
        with Tag("td", data_label="Until"):
            moment(iso(one.expires_at))
        with Tag("td", classes="row-tools wide"):
            if view.session.may(Role.EDITOR):
                button("Release", partial(attempt, view, release), icon="lock_open", classes="small",
                       aria_label=f"Release {one.pattern}")  # fmt: skip
