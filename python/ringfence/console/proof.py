"""What became of the decisions about one call: the verdict, each decision, each leg that a probe saw."""

from __future__ import annotations

from nicegui import ui

from ringfence.analytics.calls import AnyCall
from ringfence.analytics.enforcement.report import Decision, ProvenCall
from ringfence.analytics.sip_calls import SipCall
from ringfence.console.address import iso, link
from ringfence.console.call_table import clock
from ringfence.console.markup import Tag, moment
from ringfence.console.numbers import national
from ringfence.console.words import ACTION_WORDS, REASON_WORDS, RESULT_WORDS, VERDICT_WORDS, plain

_SAYS = {
    "ignored": "The call did what every decision about it forbade.",
    "unasked": "No ENUM server was asked about this call.",
    "unproven": "What was seen does not tell whether the decision was followed.",
    "followed": "The call did what was decided.",
}
_MATCHED_BY = {
    "call_id": "by its Call-ID",
    "numbers": "by both numbers and the time",
    "destination": "by destination and time; one of the two had no number for the caller",
}


def call_address(call: AnyCall) -> str:
    """The page of one call."""
    return link("/call", {"id": call.id})


def lay_out_proof(proof: ProvenCall | None, shown: AnyCall) -> None:
    """Fill a section; `shown` is the query or leg that the page is about already."""
    if proof is None:
        Tag("p", "No probe has recorded this call. A call has its record a few seconds after its end.", classes="muted")
        return
    with Tag("p"):
        Tag("span", VERDICT_WORDS[proof.verdict], classes=f"pill {proof.verdict}")
        Tag("span", f" {_SAYS[proof.verdict]}")
    with Tag("ol", classes="log"):
        for decision in proof.decisions:
            _lay_out_decision(decision, shown)
        for place, leg in enumerate(proof.legs, 1):
            _lay_out_leg(leg, place, shown)


def _lay_out_decision(decision: Decision, shown: AnyCall) -> None:
    query = decision.call
    with Tag("li"):
        with Tag("div", classes="line"):
            Tag("span", ACTION_WORDS.get(query.action, query.action), classes=f"pill {query.action}")
            Tag("span", f"rule {query.rule}" if query.rule else REASON_WORDS.get(query.reason, plain(query.reason)))
            Tag("span", classes="space")
            moment(iso(query.time), classes="muted").props["shown"] = "fine"
        with Tag("div", classes="line muted"):
            to = f" to {query.target}" if query.target else ""
            Tag("span", f"Decided{to} by {query.device}; matched {_MATCHED_BY[decision.matched_by]}")
            Tag("span", classes="space")
            if query.id != shown.id:
                Tag("a", "The query", href=call_address(query))


def _lay_out_leg(leg: SipCall, place: int, shown: AnyCall) -> None:
    with Tag("li"):
        with Tag("div", classes="line"):
            Tag("span", RESULT_WORDS.get(leg.result, plain(leg.result)), classes=f"pill {leg.result}")
            Tag("span", leg.source, classes="number", title=national(leg.source))
            ui.icon("arrow_forward").props("aria-hidden=true")
            Tag("span", leg.destination, classes="number", title=national(leg.destination))
            Tag("span", classes="space")
            moment(iso(leg.time), classes="muted").props["shown"] = "fine"
        with Tag("div", classes="line muted"):
            length = f", {clock(leg.duration_ms)}" if leg.duration_ms is not None else ""
            Tag("span", f"Leg {place}: {leg.source_peer} to {leg.destination_peer}, seen by {leg.device}{length}")
            Tag("span", classes="space")
            if leg.id != shown.id:
                Tag("a", "The leg", href=call_address(leg))
