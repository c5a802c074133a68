"""The messages of a recorded call, asked of the probes that saw it (docs/decisions/0022).

    call ─► legs, each with its probe and Call-ID ─► ask ─► … the probes answer … ─► read ─► messages ─► ladder
                                                                                      └ else the record's milestones

Who sees the call with whole numbers may see its messages: a message says no less. Whoever is shown them is in the audit
trail, once for each look. A number that was erased from the records is not brought back by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection

from ringfence.accounts import audit
from ringfence.analytics.call_page import CallPage
from ringfence.analytics.calls import AnyCall, Call
from ringfence.analytics.milestones import decision_marks, microseconds, record_ladder
from ringfence.analytics.sip_calls import SipCall
from ringfence.capture.ladder import Ladder, build_ladder, merge_messages
from ringfence.database.sight import require_full_numbers
from ringfence.errors import NotFoundError, UnavailableError
from ringfence.mediation import evidence_requests
from ringfence.mediation.evidence_requests import ANSWERS_WITHIN, Question
from ringfence.mediation.number_records import is_mark
from ringfence.vocabulary import EvidenceOutcome

# Probe and Call-ID pairs that are asked about one call; a call of more is a loop.
MAX_PARTS = 8
# Around the begins of a leg's records: they and the messages come from the same clock.
_AROUND_US = 1_000_000


class LadderState(StrEnum):
    """Whether messages are shown, and if not why not; of several probes the first of these that holds for one."""

    SHOWN = "shown"
    WAITING = "waiting"
    UNANSWERED = "unanswered"
    AWAY = "away"
    UNREADABLE = "unreadable"
    DISABLED = "disabled"
    NOT_KEPT = "not_kept"
    ERASED = "erased"
    UNSEEN = "unseen"


# What each says to who looks.
SAYS: Mapping[LadderState, str] = {
    LadderState.SHOWN: "These are the messages that the probe keeps, secrets covered.",
    LadderState.WAITING: "The probe is asked for the messages.",
    LadderState.UNANSWERED: "The probe is there and does not answer: it is busy, or its release cannot be asked yet.",
    LadderState.AWAY: "The probe that keeps the messages is away; `ringfence probe ladder` on it shows them.",
    LadderState.UNREADABLE: "The probe could not read what it keeps; its log says why.",
    LadderState.DISABLED: "The probe keeps no messages (probe.evidence.enabled = false).",
    LadderState.NOT_KEPT: "The messages are not kept any more (probe.evidence.keep_hours, max_bytes).",
    LadderState.ERASED: "A number of this call was erased; its messages are not shown.",
    LadderState.UNSEEN: "No probe has recorded this call; messages are kept by probes alone.",
}
_OUTCOMES = {
    EvidenceOutcome.MESSAGES: LadderState.SHOWN,
    EvidenceOutcome.NOT_KEPT: LadderState.NOT_KEPT,
    EvidenceOutcome.DISABLED: LadderState.DISABLED,
    EvidenceOutcome.UNREADABLE: LadderState.UNREADABLE,
}


@dataclass(frozen=True)
class AskedPart:
    """What one probe saw of a call under one Call-ID; `request` None: it cannot be asked, `state` says why."""

    device: str
    call_id: str
    shift_us: int  # from the probe's clock to ours
    request: int | None
    asked_at: datetime
    state: LadderState


@dataclass(frozen=True)
class AskedLadder:
    """A call whose messages were asked for."""

    call: AnyCall
    legs: tuple[SipCall, ...]
    decisions: tuple[Call, ...]
    parts: tuple[AskedPart, ...]

    @property
    def requests(self) -> list[int]:
        """The questions that are under way."""
        return [part.request for part in self.parts if part.request is not None]


@dataclass(frozen=True)
class CallLadder:
    """What is known of a call's signalling: its messages, or the record's milestones (`state` says why)."""

    call: AnyCall
    state: LadderState
    parts: tuple[AskedPart, ...]
    messages: tuple[dict[str, Any], ...]
    drawn: Ladder

    @property
    def says(self) -> str:
        """The state in words."""
        return SAYS[self.state]

    def require_messages(self) -> tuple[dict[str, Any], ...]:
        """The messages. NotFoundError: there are none; UnavailableError: asking again may help."""
        if self.state is LadderState.SHOWN:
            return self.messages
        if self.state in (LadderState.WAITING, LadderState.UNANSWERED, LadderState.AWAY, LadderState.UNREADABLE):
            raise UnavailableError(f"messages: {self.says}")
        raise NotFoundError(f"messages: {self.says}")

    def as_json(self) -> dict[str, Any]:
        """Plain values; `steps` are drawn from messages where `state` is `shown`, else from the record."""
        return {
            "id": self.call.id,
            "state": self.state.value,
            "says": self.says,
            "probes": [
                {"device": part.device, "call_id": part.call_id, "state": part.state.value} for part in self.parts
            ],
            "columns": list(self.drawn.columns),
            "steps": [
                {
                    "time_us": step.time_us,
                    "source": self.drawn.columns[step.source],
                    "destination": self.drawn.columns[step.destination],
                    "label": step.label,
                    "note": step.note,
                    "is_request": step.is_request,
                    "is_message": bool(step.text),
                }
                for step in self.drawn.steps
            ],
            "left_out": self.drawn.left_out,
            "messages": list(self.messages),
        }


def ask(connection: Connection, found: CallPage, now: datetime) -> AskedLadder:
    """Ask every probe that saw the call. ForbiddenError: numbers are masked for who asks."""
    require_full_numbers("what SIP messages say")
    legs, decisions = _of(found)
    parts = () if _is_erased(found.call, legs) else tuple(_ask_parts(connection, legs, now))
    return AskedLadder(found.call, legs, decisions, parts)


def read(connection: Connection, asked: AskedLadder, actor: str, now: datetime) -> CallLadder:
    """What has come of it so far; audited when it shows messages."""
    parts: list[AskedPart] = []
    seen: list[list[dict[str, Any]]] = []
    left_out = 0
    for part in asked.parts:
        state, messages, without = _read_part(connection, part, now)
        parts.append(AskedPart(**{**vars(part), "state": state}))
        seen.append(messages)
        left_out += without
    merged = merge_messages(seen)
    state = _state_of(asked, parts)
    if state is not LadderState.SHOWN:
        return CallLadder(asked.call, state, tuple(parts), (), record_ladder(asked.legs, asked.decisions))
    devices = sorted({part.device for part in parts if part.state is LadderState.SHOWN})
    audit.record(connection, actor, "call.messages", asked.call.id, {"probes": devices, "messages": len(merged)})
    drawn = build_ladder(merged, left_out, decision_marks(asked.decisions))
    return CallLadder(asked.call, state, tuple(parts), tuple(merged), drawn)


def record_alone(found: CallPage) -> Ladder:
    """The record's milestones; for who asks no probe."""
    return record_ladder(*_of(found))


def _of(found: CallPage) -> tuple[tuple[SipCall, ...], tuple[Call, ...]]:
    """The legs that probes saw and the decisions about them."""
    if found.proof is not None:
        return found.proof.legs, tuple(decision.call for decision in found.proof.decisions)
    return ((found.call,), ()) if isinstance(found.call, SipCall) else ((), (found.call,))


def _is_erased(call: AnyCall, legs: tuple[SipCall, ...]) -> bool:
    return any(
        is_mark(number, number_class)
        for one in (call, *legs)
        for number, number_class in ((one.source, one.source_class), (one.destination, one.destination_class))
    )


def _ask_parts(connection: Connection, legs: tuple[SipCall, ...], now: datetime) -> list[AskedPart]:
    """One question for each probe and Call-ID: legs of a proxy have the same on both sides."""
    grouped: dict[tuple[str, str], list[SipCall]] = {}
    for leg in legs:
        grouped.setdefault((leg.device, leg.call_id), []).append(leg)
    parts = []
    for (device, call_id), of_part in list(grouped.items())[:MAX_PARTS]:
        begins = [microseconds(leg.reported_time or leg.time) for leg in of_part]
        shift_us = microseconds(of_part[0].time) - begins[0]
        device_id = evidence_requests.live_probe(connection, device, now)
        if device_id is None:
            parts.append(AskedPart(device, call_id, shift_us, None, now, LadderState.AWAY))
            continue
        question = Question(call_id, min(begins) - _AROUND_US, max(begins) + _AROUND_US)
        request = evidence_requests.ask(connection, device_id, question, now)
        state = LadderState.WAITING
        parts.append(AskedPart(device, call_id, shift_us, request.request_id, request.asked_at, state))
    return parts


def _read_part(connection: Connection, part: AskedPart, now: datetime) -> tuple[LadderState, list[dict[str, Any]], int]:
    """Its state, its messages by our clock, and how many were left out."""
    if part.request is None:
        return part.state, [], 0
    try:
        outcome, ladders = evidence_requests.read_answer(connection, part.request, now)
    except NotFoundError:
        return LadderState.UNANSWERED, [], 0
    if outcome is None:
        is_late = now - part.asked_at >= ANSWERS_WITHIN
        return LadderState.UNANSWERED if is_late else LadderState.WAITING, [], 0
    messages = [
        {**message, "time_us": message["time_us"] + part.shift_us} for one in ladders for message in one["messages"]
    ]
    return _OUTCOMES[EvidenceOutcome(outcome)], messages, sum(one["left_out"] for one in ladders)


def _state_of(asked: AskedLadder, parts: list[AskedPart]) -> LadderState:
    if _is_erased(asked.call, asked.legs):
        return LadderState.ERASED
    states = {part.state for part in parts}
    return next((state for state in LadderState if state in states), LadderState.UNSEEN)
