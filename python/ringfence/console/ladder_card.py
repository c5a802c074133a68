"""The card of a call's page that shows its signalling: the record at once, the messages when the probe answers.

record's milestones ─► probes asked ─► messages          what comes instead of messages is said, and asked again
                                   └─► why there are none   by a button; the milestones stay
"""

from __future__ import annotations

from datetime import UTC, datetime

from nicegui import ui

from ringfence.analytics.call_page import CallPage
from ringfence.console.frame import Region, View, load
from ringfence.console.ladder import lay_out_ladder
from ringfence.console.markup import Tag, button
from ringfence.mediation import call_ladder
from ringfence.mediation.call_ladder import CallLadder, LadderState
from ringfence.mediation.evidence_requests import ANSWERS_WITHIN

# What another question may change.
_AGAIN = {
    LadderState.WAITING, LadderState.UNANSWERED, LadderState.AWAY, LadderState.UNREADABLE, LadderState.NOT_KEPT,
}  # fmt: skip
_ICONS = {LadderState.UNSEEN: "visibility_off", LadderState.ERASED: "visibility_off"}


class LadderCard:
    """Laid out where it is made; `show` asks the probes."""

    def __init__(self, view: View, found: CallPage) -> None:
        self._view = view
        self._found = found
        with Tag("section", classes="card stack across"):
            with Tag("div", classes="card-head"):
                Tag("h2", "SIP ladder")
                self._tools = Tag("div", classes="ladder-tools")
            self._said = Tag("div", classes="stack ladder-notes", role="status")
            self._region = Region("stack")
        self._draw_record()

    async def show(self) -> None:
        """Ask, wait, show. What may not be asked is said."""
        session = self._view.session
        self._tools.clear()
        if session.sight.is_masked:
            self._say("Messages hold whole numbers, which your role does not see.", "visibility_off")
            return
        self._say("The probe is asked for the messages …", "hourglass_empty")

        async def answer() -> None:
            asked = await session.ask(call_ladder.ask, self._found, datetime.now(UTC))
            # For as long as an answer counts as late.
            within_s = ANSWERS_WITHIN.total_seconds() + 0.5
            await session.process.evidence_feed.wait_for_answers(asked.requests, within_s)
            self._show(await session.ask(call_ladder.read, asked, session.identity.name, datetime.now(UTC)))

        if not await load(self._region, answer, self.show):
            self._said.clear()

    def _draw_record(self) -> None:
        drawn = call_ladder.record_alone(self._found)
        if drawn.steps:
            with self._region.content():
                lay_out_ladder(drawn)
        else:
            self._region.empty(
                "Nothing to draw", "Neither a probe nor an ENUM server has recorded this call.", "timeline"
            )

    def _show(self, ladder: CallLadder) -> None:
        self._said.clear()
        if ladder.state is LadderState.SHOWN:
            with self._region.content():
                lay_out_ladder(ladder.drawn)
            self._lay_out_tools(len(ladder.messages))
        else:
            icon = _ICONS.get(ladder.state, "info")
            self._say(f"{ladder.says} Below: what the record has.", icon, may_ask=ladder.state in _AGAIN)
        with self._said:
            for part in ladder.parts:
                if part.state is not ladder.state:
                    Tag("p", f"{part.device}: {call_ladder.SAYS[part.state]}", classes="muted")

    def _lay_out_tools(self, messages: int) -> None:
        place = f"/api/v1/events/{self._found.call.id}"
        with self._tools:
            Tag("span", f"{messages:,} messages, secrets covered", classes="muted")
            Tag("span", classes="space")
            for words, file in (("pcap", "messages.pcap"), ("Text", "messages.txt"), ("SVG", "ladder.svg")):
                with Tag("a", classes="button quiet", href=f"{place}/{file}", download=f"call.{file.split('.')[1]}"):
                    ui.icon("download").props("aria-hidden=true")
                    Tag("span", words)

    def _say(self, words: str, icon: str, *, may_ask: bool = False) -> None:
        self._said.clear()
        with self._said, Tag("div", classes="ladder-said"):
            ui.icon(icon).props("aria-hidden=true")
            Tag("span", words)
            if may_ask:
                button("Ask again", self.show, icon="refresh", classes="quiet")
