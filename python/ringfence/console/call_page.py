"""A page for one call: what was decided and why, what the call did, its audio, its legs, its messages.

The address names the call for good, so that a colleague sees the same.
"""

from __future__ import annotations

from nicegui import ui

from ringfence.analytics.call_page import CallPage, read_call_page
from ringfence.analytics.calls import Call
from ringfence.console.call_drawer import explain_recorded, lay_out_call, lay_out_explanation
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.ladder_card import LadderCard
from ringfence.console.listing_dialog import ask_listing
from ringfence.console.markup import Tag
from ringfence.console.proof import lay_out_proof
from ringfence.console.sip_drawer import lay_out_sip_call


@page("/call", "Call", "call", group="/calls", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Call")
    _Page(view, view.query.get("id") or "")


class _Page:
    def __init__(self, view: View, name: str) -> None:
        self.view = view
        self.name = name
        self.region = Region("columns even")
        ui.timer(0, self._start, once=True)

    async def _start(self) -> None:
        if not self.name:
            self.region.empty("No call was named", "Open a call from the call log, Analytics or Enforcement.", "call")
            return

        async def answer() -> None:
            found = await self.view.session.ask(read_call_page, self.name)
            with self.region.content():
                explained = self._lay_out(found)
                ladder = LadderCard(self.view, found)
            decided = found.call if isinstance(found.call, Call) else _decision(found)
            if decided is not None and explained is not None:
                await self._explain(decided, explained)
            await ladder.show()

        await load(self.region, answer, self._start)

    def _lay_out(self, found: CallPage) -> Region | None:
        call = found.call
        with Tag("section", classes="card whole"):
            if isinstance(call, Call):
                lay_out_call(self.view, call, lambda: ask_listing(self.view, call))
            else:
                lay_out_sip_call(call)
        with Tag("div", classes="stack"):
            with Tag("section", classes="card stack proof"):
                Tag("h2", "Proof of enforcement")
                lay_out_proof(found.proof, call)
            if isinstance(call, Call) or _decision(found) is not None:
                with Tag("section", classes="card stack"):
                    Tag("h2", "Why it was decided so")
                    return Region("stack")
        return None

    async def _explain(self, call: Call, region: Region) -> None:
        if call.policy_version == 0:
            region.empty("No policy was there", "The device had never had a policy; its fail mode answered.", "policy")
            return

        async def explain() -> None:
            answer = await self.view.session.ask(explain_recorded, call)
            with region.content():
                lay_out_explanation(answer)

        await load(region, explain)


def _decision(found: CallPage) -> Call | None:
    decision = found.proof.decision if found.proof else None
    return decision.call if decision else None
