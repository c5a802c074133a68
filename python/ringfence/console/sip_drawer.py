"""A SIP call beside the call log: how it went, who stands behind the numbers, and what its audio was like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from ringfence.analytics.calls import AnyCall
from ringfence.analytics.sip_calls import Media, SipCall
from ringfence.console.address import iso, link
from ringfence.console.call_table import clock
from ringfence.console.markup import Tag, button, moment
from ringfence.console.numbers import national
from ringfence.console.proof import call_address
from ringfence.console.words import RESULT_WORDS, plain

_RELEASED = {"source": "the source", "destination": "the destination", "none": "–"}
# What the identity headers and the SDP said beside the numbers; texts of strangers.
_DETAILS = {
    "source_origin": "Source taken from",
    "source_name": "Display name",
    "from_user": "From",
    "to_user": "To",
    "asserted": "P-Asserted-Identity",
    "preferred": "P-Preferred-Identity",
    "remote_party": "Remote-Party-ID",
    "diversion": "Diversion",
    "history": "History-Info",
    "charge": "P-Charge-Info",
    "called_party": "P-Called-Party-ID",
    "privacy": "Privacy",
    "verstat": "Verified",
    "reason": "Reason",
    "session_id": "Session-ID",
    "destination_agent": "Answering agent",
}


def lay_out_sip_call(call: SipCall, close: Callable[[], None] | None = None) -> None:
    """A leg of a call with its fields; with `close` for a drawer, else for its own page."""
    with Tag("div", classes="drawer-head"):
        Tag("span", RESULT_WORDS.get(call.result, plain(call.result)), classes=f"pill {call.result}")
        moment(iso(call.time), classes="muted").props["shown"] = "fine"
        Tag("span", classes="space")
        if close is not None:
            button("", close, icon="close", classes="quiet icon-only close", aria_label="Close")
    with Tag("div", classes="flow"):
        Tag("span", call.source, classes="number", title=national(call.source))
        ui.icon("arrow_forward").props("aria-hidden=true")
        Tag("span", call.destination, classes="number", title=national(call.destination))
    if close is not None:
        with Tag("div", classes="drawer-tools"):
            lay_out_page_link(call)
    with Tag("section"):
        _facts(_of_call(call))
        with Tag("dl", classes="facts"):
            Tag("dt", "Its calls")
            with Tag("dd"):
                for side, text in (("source", call.source), ("destination", call.destination)):
                    Tag("a", f"of this {side}", href=link("/calls", {"dataset": "sip", side: text, "range": "24h"}))
                    Tag("span", " · " if side == "source" else "")
    with Tag("section"):
        Tag("h3", "Audio")
        _audio(call)
    with Tag("section"):
        Tag("h3", "Signalling")
        _facts(_of_signalling(call))


def lay_out_page_link(call: AnyCall) -> None:
    """Leads from the drawer to the call's own page."""
    with Tag("a", classes="button", href=call_address(call), title="A page of its own, with an address to share"):
        ui.icon("open_in_full").props("aria-hidden=true")
        Tag("span", "Open")


def _facts(facts: list[tuple[str, str]]) -> None:
    with Tag("dl", classes="facts"):
        for name, value in facts:
            Tag("dt", name)
            Tag("dd", value)


def _of_call(call: SipCall) -> list[tuple[str, str]]:
    facts = [
        (
            "Status",
            f"{call.status} {RESULT_WORDS.get(call.result, plain(call.result))}" if call.status else "none seen",
        ),
        ("Duration", clock(call.duration_ms)),
        ("Answered after", clock(call.answer_ms)),
        ("Post-dial delay", clock(call.pdd_ms)),
        ("Ended by", _RELEASED.get(call.released_by, plain(call.released_by))),
        ("Direction", plain(call.direction)),
        ("Device", call.device),
    ]
    if call.attestation != "none":
        facts.append(("STIR/SHAKEN", f"attestation {call.attestation.upper()}, as signed, not verified"))
    if call.flags:
        facts.append(("To know", ", ".join(plain(flag) for flag in call.flags)))
    if call.probe_lost:
        facts.append(("Probe lost", f"{call.probe_lost:,} packets meanwhile: do not blame the call for it"))
    if call.reported_time is not None:
        facts.append(("Device's clock", f"said {iso(call.reported_time)}"))
    return facts


def _audio(call: SipCall) -> None:
    if call.forward.packets is None and call.backward.packets is None:
        Tag("p", "No audio of this call was seen.", classes="muted")
        return
    with Tag("dl", classes="facts"):
        for name, media in (("To destination", call.forward), ("To source", call.backward)):
            Tag("dt", name)
            Tag("dd", _quality(media))
        if call.codec:
            Tag("dt", "Codec")
            Tag("dd", call.codec)


def _quality(media: Media) -> str:
    if media.packets is None:
        return "no packet seen"
    mos = "MOS –" if media.mos is None else f"MOS {media.mos:.2f}"
    sent = media.packets + (media.lost or 0)
    return f"{mos} · {media.lost or 0:,} of {sent:,} packets lost · jitter {media.jitter_ms or 0:.2f} ms"


def _of_signalling(call: SipCall) -> list[tuple[str, str]]:
    facts = [
        ("From", call.source_peer),
        ("To", call.destination_peer),
        ("Transport", call.transport.upper()),
        ("Call-ID", call.call_id or "–"),
        ("User agent", call.user_agent or "–"),
    ]
    if call.cause_q850 is not None:
        facts.append(("Q.850 cause", str(call.cause_q850)))
    flat: dict[str, Any] = {**call.details, **_nested(call.details, "parties")}
    facts += [(words, str(flat[name])) for name, words in _DETAILS.items() if flat.get(name)]
    facts.append(("Sequence", f"{call.sequence:,} of stream {call.stream}"))
    return facts


def _nested(details: Any, name: str) -> dict[str, Any]:
    found = details.get(name)
    return found if isinstance(found, dict) else {}
