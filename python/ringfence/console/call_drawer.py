"""One call beside the call log: every field, and why it was decided so.

The explanation asks the engine that decides on the wire, with the policy version that decided the call and at the
call's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from nicegui import ui

from ringfence.analytics.call_page import find_proof
from ringfence.analytics.calls import AnyCall, Call
from ringfence.analytics.sip_calls import SipCall
from ringfence.console.address import iso, link
from ringfence.console.call_table import UNSPOKEN, explain_link
from ringfence.console.forms import attempt
from ringfence.console.frame import Region, View, load
from ringfence.console.listing_dialog import ask_listing
from ringfence.console.markup import Tag, button, moment
from ringfence.console.numbers import national
from ringfence.console.proof import lay_out_proof
from ringfence.console.rule_table import lay_out_caution
from ringfence.console.sip_drawer import lay_out_page_link, lay_out_sip_call
from ringfence.console.words import ACTION_WORDS, REASON_WORDS, VERDICTS, plain
from ringfence.database.sight import require_full_numbers
from ringfence.mediation.sites import first_site
from ringfence.policy.explain import explain_call
from ringfence.vocabulary import Role


class CallDrawer:
    """A panel at the right edge; Escape or its button closes it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.panel = Tag("aside", classes="drawer", aria_label="Call", tabindex="-1")

    def close(self) -> None:
        """Slide it away."""
        self.panel.classes(remove="open")

    async def ask_listing(self, call: Call) -> None:
        """Block or allow one of its numbers."""
        await attempt(self.view, lambda: ask_listing(self.view, call))

    async def show(self, call: AnyCall) -> None:
        """Open it with a call, then fill in what became of the decisions about it, and the explanation."""
        self.panel.clear()
        with self.panel:
            if isinstance(call, SipCall):
                lay_out_sip_call(call, self.close)
            else:
                lay_out_call(self.view, call, lambda: self.ask_listing(call), self.close)
            with Tag("section", classes="proof"):
                Tag("h3", "Proof of enforcement")
                proof = Region("stack")
            if isinstance(call, Call):
                with Tag("section"):
                    Tag("h3", "Explanation")
                    explained = Region("stack")
        self.panel.classes(add="open")
        ui.run_javascript(f"document.getElementById('{self.panel.html_id}')?.focus()")
        if isinstance(call, Call):
            await self._explain(call, explained)
        await self._prove(call, proof)

    async def _explain(self, call: Call, region: Region) -> None:
        async def explain() -> None:
            answer = await self.view.session.ask(explain_recorded, call)
            with region.content():
                lay_out_explanation(answer)

        if call.policy_version == 0:
            region.empty("No policy was there", "The device had never had a policy; its fail mode answered.", "policy")
        else:
            await load(region, explain)

    async def _prove(self, call: AnyCall, region: Region) -> None:
        async def find() -> None:
            proof = await self.view.session.ask(find_proof, call)
            with region.content():
                lay_out_proof(proof, call)

        await load(region, find)


def lay_out_call(view: View, call: Call, on_list: Callable[[], Any], close: Callable[[], None] | None = None) -> None:
    """A query with its fields and what can be done about it; with `close` for a drawer, else for its own page."""
    with Tag("div", classes="drawer-head"):
        Tag("span", ACTION_WORDS.get(call.action, call.action), classes=f"pill {call.action}")
        moment(iso(call.time), classes="muted").props["shown"] = "fine"
        Tag("span", classes="space")
        if close is not None:
            button("", close, icon="close", classes="quiet icon-only close", aria_label="Close")
    with Tag("div", classes="flow"):
        number(call.source)
        ui.icon("arrow_forward").props("aria-hidden=true")
        number(call.destination)
    with Tag("div", classes="drawer-tools"):
        with Tag("a", classes="button", href=explain_link(call), title="How it would be decided now"):
            ui.icon("troubleshoot").props("aria-hidden=true")
            Tag("span", "Explain")
        if view.session.may(Role.EDITOR):
            button("Put on a list…", on_list, icon="playlist_add")
        if close is not None:
            lay_out_page_link(call)
    with Tag("section"), Tag("dl", classes="facts"):
        for name, value in _facts(call):
            Tag("dt", name)
            Tag("dd", value)
        Tag("dt", "Its calls")
        with Tag("dd"):
            for side, text in (("source", call.source), ("destination", call.destination)):
                Tag("a", f"of this {side}", href=link("/calls", {side: text, "range": "24h"}))
                Tag("span", " · " if side == "source" else "")


def explain_recorded(connection: psycopg.Connection, call: Call) -> dict[str, Any]:
    """Why a recorded query was decided as it was, by its version. ForbiddenError: numbers are masked."""
    require_full_numbers("explaining a recorded call")
    site = first_site(connection)
    source = None if call.source in UNSPOKEN else call.source
    return explain_call(connection, site, source, call.destination, call.time, call.policy_version)


def number(text: str) -> Tag:
    """A number with its national form on hover."""
    return Tag("span", text, classes="number", title=national(text))


def lay_out_explanation(answer: Mapping[str, Any]) -> None:
    """Lay out what the engine says of a call: its decision, then each rule with its verdict."""
    action = str(answer["action"])
    with Tag("p"):
        Tag("span", ACTION_WORDS.get(action, action), classes=f"pill {action}")
        Tag("span", " " + REASON_WORDS.get(str(answer["reason"]), plain(str(answer["reason"]))))
    for caution in answer.get("cautions") or []:
        lay_out_caution(str(caution))
    if answer.get("answer"):
        with Tag("dl", classes="facts"):
            Tag("dt", "Answer")
            Tag("dd", str(answer.get("record") or answer["answer"]), classes="mono")
    with Tag("ol", classes="verdicts"):
        for rule in answer["rules"]:
            verdict = str(rule["verdict"])
            icon, words = VERDICTS.get(verdict, ("help_outline", plain(verdict)))
            with Tag("li", classes=verdict):
                ui.icon(icon).props("aria-hidden=true")
                Tag("b", str(rule["name"]))
                Tag("span", words, classes="muted")
                Tag("span", str(rule["why"]), classes="why")
    if not answer["rules"]:
        Tag("p", "This version has no rules.", classes="muted")


def _facts(call: Call) -> list[tuple[str, str]]:
    facts = [
        ("Rule", call.rule or "–"),
        ("Reason", REASON_WORDS.get(call.reason, plain(call.reason))),
        ("Direction", plain(call.direction)),
        ("Device", call.device),
        ("Asked by", call.peer),
        ("Policy version", str(call.policy_version or "none")),
        ("Decided in", f"{call.latency_us:,.1f} µs"),
        ("Dataset", call.dataset.upper()),
        ("Sequence", f"{call.sequence:,} of stream {call.stream}"),
    ]
    if call.target:
        facts.insert(1, ("Redirected to", call.target))
    if call.monitored:
        facts.insert(1, ("Monitored rules", ", ".join(call.monitored)))
    if call.reported_time is not None:
        facts.append(("Device's clock", f"said {iso(call.reported_time)}"))
    return facts
