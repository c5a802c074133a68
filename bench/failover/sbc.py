"""A crowd of SBCs: calls at a steady pace, each asked of the next ENUM server in turn, as round-robin does.

A call whose server says nothing within `EnumLine`'s patience (2 s) is asked of the next one; each question is kept by
who was asked and who answered, for every one of them is an event, and none may be missing or there twice.
"""

from __future__ import annotations

import select
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ringfence.demo.enum_line import EnumLine
from ringfence.detection.attacks.call import ORDINARY, ModelCall
from ringfence.vocabulary import CallResult, Direction

# Numbers that no other call of the bench goes to: +1 415, and seven digits by which a call is known again.
FIRST = 14_155_000_000
LAST = FIRST + 4_999_999
_TICK_S = 0.002
# Who was not let run for a while does not make up for it in one burst, which would flood what an SBC never floods.
_BURST = 20.0
_UNDER_WAY = 1000  # questions to one server; `EnumLine` tells no more than 2^15 apart
_SOURCE = "+12105550123"


@dataclass
class Asked:
    """Questions and answers as the SBCs saw them: (ENUM server, call). Times are the monotonic clock's."""

    asked: set[tuple[int, int]] = field(default_factory=set)
    answered: set[tuple[int, int]] = field(default_factory=set)
    unanswered: Counter[int] = field(default_factory=Counter)  # by server
    calls: int = 0
    given_up: int = 0  # calls that no server answered


class Sbcs:
    """Ask while the block of `calling` lasts; `rate` is in calls a second and may be changed meanwhile.

    Calls are numbered from `first`: what was asked before is not asked again.
    """

    def __init__(self, servers: list[tuple[str, int]], rate: float, first: int = 0) -> None:
        self.rate = rate
        self.first = first
        self.seen = Asked()
        self._lines = [EnumLine(server, "e164.internal") for server in servers]
        self._tries: Counter[int] = Counter()  # of calls that were asked again
        self._stop = threading.Event()
        self._failed: BaseException | None = None

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Calls go on; at the end of the block what is under way is waited for."""
        thread = threading.Thread(target=self._run, name="sbcs")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            for line in self._lines:
                line.close()
        if self._failed is not None:
            raise self._failed

    def wait_for(self, calls: int) -> None:
        """Until so many calls have been made."""
        while self.seen.calls < calls:
            if self._failed is not None:
                raise self._failed
            time.sleep(0.05)

    def _run(self) -> None:
        try:
            before, credit = time.monotonic(), 0.0
            while not self._stop.is_set() or any(line.under_way for line in self._lines):
                now = time.monotonic()
                credit = min(_BURST, credit + (now - before) * self.rate)
                before = now
                if self._stop.is_set() or any(line.under_way >= _UNDER_WAY for line in self._lines):
                    credit = 0.0
                while credit >= 1:
                    self._ask(self.seen.calls % len(self._lines), self.first + self.seen.calls, now)
                    self.seen.calls += 1
                    credit -= 1
                select.select([line.socket for line in self._lines], [], [], _TICK_S)
                self._hear(time.monotonic())
        except BaseException as error:
            self._failed = error

    def _ask(self, server: int, call: int, now: float) -> None:
        self.seen.asked.add((server, call))
        self._lines[server].ask(_call(call), now)

    def _hear(self, now: float) -> None:
        for server, line in enumerate(self._lines):
            for question, _ in line.answers():
                self.seen.answered.add((server, _number(question.call)))
        for server, line in enumerate(self._lines):
            for question in line.given_up(now):
                self._ask_the_next(server, _number(question.call), now)

    def _ask_the_next(self, server: int, call: int, now: float) -> None:
        self.seen.unanswered[server] += 1
        self._tries[call] += 1
        if self._tries[call] < len(self._lines):
            self._ask((server + 1) % len(self._lines), call, now)
        else:
            self.seen.given_up += 1


def _call(number: int) -> ModelCall:
    destination = f"+{FIRST + number}"
    return ModelCall(
        0, _SOURCE, destination, Direction.OUTBOUND, "", "", False, 0, CallResult.NO_ANSWER, ORDINARY
    )  # fmt: skip


def _number(call: ModelCall) -> int:
    return int(call.destination[1:]) - FIRST
