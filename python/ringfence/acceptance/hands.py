"""Who does what a machine cannot do from afar: a person who is asked, or the lab, which has its hands on the processes.

case ── "stop enum-1" ──► Hands ── person: asked, answers "done" │ lab: stops the process
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ringfence.acceptance.record import Verdict
from ringfence.errors import RingfenceError


class NobodyThereError(RingfenceError):
    """A step needs a person, and none answers in this run: the case cannot be judged."""

    code = "unavailable.person"


@dataclass(frozen=True)
class Answer:
    """What somebody said. `verdict` is None where only `done` was asked."""

    verdict: Verdict | None
    comment: str
    by: str


@dataclass(frozen=True)
class Question:
    """What a person is asked: to do something (`done`), or to judge (`verdict`)."""

    case: str
    subject: str
    words: str
    wants: str  # "done" or "verdict"


Ask = Callable[[Question], Answer]


class Hands(Protocol):
    """What a run needs done at a site. Raises NobodyThereError where nobody does it."""

    def stop_server(self, case: str, server: str) -> None:
        """Stop an ENUM server's service; returns when it is stopped."""

    def start_server(self, case: str, server: str) -> None:
        """Start it again."""

    def log_errors(self, case: str, device: str) -> list[str] | None:
        """Critical lines of a device's log since the run began; None: judge the log yourself."""

    def judge(self, case: str, subject: str, words: str) -> Answer:
        """A verdict on what only a person can see."""


class AskedHands:
    """A person at each site, asked one thing after the other."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def stop_server(self, case: str, server: str) -> None:
        """Ask for `systemctl stop`."""
        words = f"Stop the ENUM service of {server} (`systemctl stop ringfence-enum` there), then say that it is done."
        self._ask(Question(case, server, words, "done"))

    def start_server(self, case: str, server: str) -> None:
        """Ask for `systemctl start`."""
        words = f"Start the ENUM service of {server} (`systemctl start ringfence-enum` there), then say it is done."
        self._ask(Question(case, server, words, "done"))

    def log_errors(self, case: str, device: str) -> list[str] | None:
        """Nothing of a far machine's log is seen from here."""
        return None

    def judge(self, case: str, subject: str, words: str) -> Answer:
        """Ask for a verdict."""
        return self._ask(Question(case, subject, words, "verdict"))


def nobody(question: Question) -> Answer:
    """An `Ask` of a run that nobody attends."""
    raise NobodyThereError(f"this step needs a person, and nobody attends this run: {question.words}")
