"""What records say of a call's signalling, as marks of a ladder: where its messages are not at hand. Pure.

A record has the moments that count (INVITE, ringing, answer, end), not each message between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from ringfence.analytics.enum_calls import Call
from ringfence.analytics.sip_calls import SipCall
from ringfence.capture.ladder import Ladder, Mark, build_ladder
from ringfence.vocabulary import CallFlag, CallResult, CallSide

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_START_MISSED = CallFlag.START_MISSED.name


def record_ladder(legs: Sequence[SipCall], decisions: Iterable[Call]) -> Ladder:
    """The milestones of all legs, and the decisions between them."""
    marks = [mark for leg in legs for mark in leg_marks(leg)]
    return build_ladder((), marks=[*marks, *decision_marks(decisions)])


def leg_marks(leg: SipCall) -> list[Mark]:
    """INVITE, ringing, answer or refusal, and who hung up: as far as the record has them."""
    start = microseconds(leg.time)

    def there(after_ms: int, label: str, note: str = "") -> Mark:
        return Mark(start + after_ms * 1000, leg.source_peer, leg.destination_peer, label, note)

    def back(after_ms: int, label: str, note: str = "", *, is_request: bool = False) -> Mark:
        return Mark(start + after_ms * 1000, leg.destination_peer, leg.source_peer, label, note, is_request)

    marks = [] if _is_start_missed(leg) else [there(0, "INVITE")]
    if leg.pdd_ms is not None and (leg.answer_ms is None or leg.pdd_ms < leg.answer_ms):
        marks.append(back(leg.pdd_ms, "18x", "ringing"))
    if leg.answer_ms is not None:
        marks.append(back(leg.answer_ms, str(leg.status or "2xx"), "answered"))
        if leg.duration_ms is not None:
            end_ms = leg.answer_ms + leg.duration_ms
            if leg.released_by == CallSide.SOURCE.word:
                marks.append(there(end_ms, "BYE"))
            elif leg.released_by == CallSide.DESTINATION.word:
                marks.append(back(end_ms, "BYE", is_request=True))
    elif leg.status:
        if leg.result == CallResult.CANCELLED.word:
            marks.append(there(leg.total_ms, "CANCEL"))
        marks.append(back(leg.total_ms, str(leg.status), leg.result.replace("_", " ")))
    return marks


def decision_marks(decisions: Iterable[Call]) -> list[Mark]:
    """An SBC's question, by its address, and what was decided."""
    return [
        Mark(
            microseconds(decision.time),
            decision.peer.rpartition(":")[0].strip("[]"),
            decision.device,
            f"ENUM {decision.action}",
            f"rule {decision.rule}" if decision.rule else decision.reason.replace("_", " "),
        )
        for decision in decisions
    ]


def microseconds(time: datetime) -> int:
    """Since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _is_start_missed(leg: SipCall) -> bool:
    return _START_MISSED is not None and _START_MISSED.lower() in leg.flags
