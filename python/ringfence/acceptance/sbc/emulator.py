"""The SBC emulator: the pure state machine with a socket for each question. It drives case B without a real SBC.

call(source, destination) → begin_call → ask server → answered | failed → … → route → Call: all that the SBC saw
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ringfence.acceptance.sbc import distribution
from ringfence.acceptance.sbc.answers import Routed, route
from ringfence.acceptance.sbc.presets import Preset
from ringfence.acceptance.sbc.wire import (
    Answer,
    MalformedAnswerError,
    decode_answer,
    encode_query,
    encode_question,
    enum_name,
    is_terminal_sip,
)
from ringfence.errors import InvalidInputError

Address = tuple[str, int]
Result = Literal["answer", "no record", "fault", "silent", "not there"]
_MAX_ANSWER = 4096


@dataclass(frozen=True)
class Attempt:
    """One server asked for one call. `sent`: how often the question went out; `regexp` and `ttl` of its answer."""

    server: int
    address: str
    result: Result
    took_ms: float
    sent: int
    rcode: int | None = None
    regexp: str | None = None
    ttl: int | None = None


@dataclass(frozen=True)
class Call:
    """One call as the SBC saw it."""

    source: str
    destination: str
    action: str
    number: str
    uri: str | None
    why: str
    at: float
    attempts: tuple[Attempt, ...]
    conditions: tuple[str, ...]

    @property
    def server(self) -> int | None:
        """Which server decided; None when none answered."""
        decided = [attempt.server for attempt in self.attempts if attempt.result in ("answer", "no record")]
        return decided[0] if decided else None

    @property
    def took_ms(self) -> float:
        """What the ENUM dip added to the call."""
        return sum(attempt.took_ms for attempt in self.attempts)

    def as_json(self) -> dict[str, Any]:
        """Every field and what follows from them."""
        return asdict(self) | {"server": self.server, "took_ms": round(self.took_ms, 3)}


class SbcEmulator:
    """One SBC. Calls may come from several threads; its memory of the servers is one."""

    def __init__(
        self,
        servers: Sequence[Address],
        apex: str,
        preset: Preset,
        *,
        bind: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`bind`: the SBC's own address, for servers that answer only those they know."""
        if not servers:
            raise InvalidInputError("servers: none is named; expected ADDRESS:PORT of each ENUM server")
        self.servers = tuple(servers)
        self.preset = preset
        self._apex = apex
        self._bind = bind
        self._clock = clock
        self._state = distribution.initial(len(self.servers))
        self._lock = threading.Lock()

    def conditions(self) -> tuple[str, ...]:
        """What it thinks of each server now."""
        with self._lock:
            self._state = distribution.at(self._state, self.preset, self._clock())
            return tuple(server.condition for server in self._state.servers)

    def call(self, source: str, destination: str) -> Call:
        """Ask for one call and say what becomes of it; takes as long as the preset's patience."""
        with self._lock:
            began = self._clock()
            self._state, order = distribution.begin_call(self._state, self.preset, began)
        attempts: list[Attempt] = []
        routed: Routed | None = None
        for server in order:
            attempt = self._ask(server, source, destination)
            attempts.append(attempt)
            is_good = attempt.result in ("answer", "no record")
            with self._lock:
                if is_good:
                    self._state = distribution.answered(self._state, self.preset, server)
                else:
                    self._state = distribution.failed(self._state, self.preset, server, self._clock())
            if is_good:
                routed = route(attempt.regexp, destination)
                break
        if routed is None:
            action: Literal["proceed", "fail"] = self.preset.all_down
            routed = Routed(action, destination if action == "proceed" else "", why="no ENUM server answered")
        return Call(source, destination, routed.action, routed.number, routed.uri, routed.why, began,
                    tuple(attempts), self.conditions())  # fmt: skip

    def _ask(self, server: int, source: str, destination: str) -> Attempt:
        address = self.servers[server]
        shown = f"{address[0]}:{address[1]}"
        began = time.perf_counter()
        answer, sent, is_there = self._exchange(address, destination, source)
        took_ms = round((time.perf_counter() - began) * 1000, 3)
        if answer is None:
            return Attempt(server, shown, "silent" if is_there else "not there", took_ms, sent)
        if answer.rcode in self.preset.faults:
            return Attempt(server, shown, "fault", took_ms, sent, answer.rcode)
        usable = [naptr for naptr in answer.naptrs if is_terminal_sip(naptr)]
        if not usable:
            return Attempt(server, shown, "no record", took_ms, sent, answer.rcode)
        best = min(usable, key=lambda naptr: (naptr.order, naptr.preference))
        return Attempt(server, shown, "answer", took_ms, sent, answer.rcode, best.regexp, best.ttl)

    def _exchange(self, address: Address, destination: str, source: str) -> tuple[Answer | None, int, bool]:
        """(answer, times sent, whether anything is there). A machine without the port answers at once (ICMP)."""
        identifier = secrets.randbelow(1 << 16)
        name = enum_name(destination, self._apex)
        uri = source if ":" in source else f"sip:{source}@{self._bind or 'sbc.invalid'};user=phone"
        query = encode_query(identifier, name, uri if source else None)
        question = encode_question(name)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sent = 0
        # A socket for each question, connected: a late answer to an earlier one cannot arrive here.
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            try:
                if self._bind:
                    channel.bind((self._bind, 0))
                channel.connect(address)
                for wait_s in self.preset.waits():
                    channel.send(query)
                    sent += 1
                    if (answer := _await(channel, wait_s, identifier, question)) is not None:
                        return answer, sent, True
            except OSError:
                return None, sent, False
        return None, sent, True


def _await(channel: socket.socket, wait_s: float, identifier: int, question: bytes) -> Answer | None:
    deadline = time.monotonic() + wait_s
    while (left := deadline - time.monotonic()) > 0:
        channel.settimeout(left)
        try:
            answer = decode_answer(channel.recv(_MAX_ANSWER))
        except MalformedAnswerError:
            continue
        except TimeoutError:
            return None
        if answer.identifier == identifier and answer.question == question:
            return answer
    return None
