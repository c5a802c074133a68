"""Questions to the ENUM server as an SBC asks them, many under way at once, over one socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

from ringfence.acceptance.sbc.answers import route
from ringfence.acceptance.sbc.wire import (
    MalformedAnswerError,
    decode_answer,
    encode_query,
    encode_question,
    enum_name,
    is_terminal_sip,
)
from ringfence.detection.attacks.call import ModelCall

# An SBC waits seconds for an answer; who answers at all on loopback does so in milliseconds.
TIMEOUT_S = 2.0
# Identifiers of DNS are 16 bits; half of them keeps a late answer from meeting a younger question.
MAX_UNDER_WAY = 1 << 15
_LARGEST = 4096
_RECEIVE_BUFFER = 4 << 20


class Question(NamedTuple):
    """A call that was asked about, and when (seconds of the player's clock)."""

    call: ModelCall
    asked_s: float
    question: bytes


class EnumLine:
    """One SBC's socket to one ENUM server. `apex`: the zone that it asks in."""

    def __init__(self, server: tuple[str, int], apex: str) -> None:
        self._apex = apex
        self._under_way: dict[int, Question] = {}  # in the order of asking
        self._next = 0
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.socket.connect(server)

    @property
    def under_way(self) -> int:
        """How many questions have neither answer nor timed out."""
        return len(self._under_way)

    def ask(self, call: ModelCall, now_s: float) -> None:
        """Ask about one call; a server that is not there is found by its silence."""
        self._next = (self._next + 1) % (1 << 16)
        name = enum_name(call.destination, self._apex)
        uri = f"sip:{call.source}@127.0.0.1" if call.source else None
        self._under_way[self._next] = Question(call, now_s, encode_question(name))
        try:
            self.socket.send(encode_query(self._next, name, uri))
        except OSError:
            return  # nobody listens, or the buffer is full: as on a wire, the question is lost

    def answers(self) -> Iterator[tuple[Question, str]]:
        """What has come since: question → `allow`, `terminate`, `redirect`, or `proceed` (no opinion)."""
        while True:
            try:
                message = self.socket.recv(_LARGEST)
            except OSError:
                return  # nothing more, or the port is closed
            try:
                answer = decode_answer(message)
            except MalformedAnswerError:
                continue
            asked = self._under_way.get(answer.identifier)
            if asked is None or asked.question != answer.question:
                continue
            del self._under_way[answer.identifier]
            usable = [naptr for naptr in answer.naptrs if is_terminal_sip(naptr)]
            best = min(usable, key=lambda naptr: (naptr.order, naptr.preference), default=None)
            yield asked, route(best.regexp if best else None, asked.call.destination).action

    def given_up(self, now_s: float) -> Iterator[Question]:
        """Questions older than the timeout."""
        for identifier, asked in list(self._under_way.items()):
            if asked.asked_s + TIMEOUT_S > now_s:
                return
            del self._under_way[identifier]
            yield asked

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
