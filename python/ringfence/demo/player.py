"""The clock: calls at their times, answers as they come, until all is said. The only loop of a demonstration."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ringfence.demo.enum_line import MAX_UNDER_WAY, EnumLine
from ringfence.demo.outcome import REFUSING, Outcome
from ringfence.demo.sip_line import Message, SipLine
from ringfence.detection.attacks.call import ModelCall

Progress = Callable[[float, Outcome], None]
# How long to wait at most before looking at the clock and telling progress.
_TICK_S = 0.05


class Lines(NamedTuple):
    """Where calls are asked about, and where their SIP is shown if anywhere."""

    enum: EnumLine
    sip: SipLine | None = None


def play(calls: Iterable[ModelCall], lines: Lines, progress: Progress | None = None) -> Outcome:
    """Play all calls in real time; returns when each has an answer or none is to be expected.

    A call that the server refuses does not flow: a probe sees SIP of the others only. Who still speaks at the end is
    hung up.
    """
    outcome = Outcome()
    pending = iter(calls)
    upcoming = next(pending, None)
    messages: list[Message] = []  # heap: the next one first
    began = time.monotonic()
    while upcoming is not None or lines.enum.under_way or messages:
        now_s = time.monotonic() - began
        while upcoming is not None and upcoming.at <= now_s and lines.enum.under_way < MAX_UNDER_WAY:
            lines.enum.ask(upcoming, now_s)
            outcome.sent += 1
            upcoming = next(pending, None)
        for asked, action in lines.enum.answers():
            now_s = time.monotonic() - began
            outcome.answered(asked.call, asked.asked_s, action, now_s)
            if lines.sip is not None and action not in REFUSING:
                for message in lines.sip.messages(asked.call, now_s):
                    heapq.heappush(messages, message)
        for asked in lines.enum.given_up(now_s):
            outcome.unanswered(asked.call, asked.asked_s)
        is_over = upcoming is None and not lines.enum.under_way
        while lines.sip is not None and messages and (is_over or messages[0].due_s <= now_s):
            lines.sip.send(heapq.heappop(messages))
            outcome.sip_messages += 1
        if progress is not None:
            progress(now_s, outcome)
        _wait(lines.enum, _next_s(upcoming, messages), time.monotonic() - began)
    return outcome


def _next_s(upcoming: ModelCall | None, messages: list[Message]) -> float | None:
    times = [call.at for call in (upcoming,) if call is not None] + [message.due_s for message in messages[:1]]
    return min(times, default=None)


def _wait(line: EnumLine, next_s: float | None, now_s: float) -> None:
    """Until an answer comes or the next moment has come."""
    left_s = _TICK_S if next_s is None else min(max(next_s - now_s, 0.0), _TICK_S)
    if line.under_way:
        select.select([line.socket], [], [], left_s)
    elif left_s:
        time.sleep(left_s)
