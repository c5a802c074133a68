"""SBCs: each call asks one ENUM server after the other until one answers, at a bounded rate, on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.campaign.line import LoopThread
from tests.system.test_kill import query_bytes

RATE_PER_S = 12
# An SBC waits about so long for one server.
TRY_S = 2.0
FIRST_NUMBER = 1_212_300_0000


@dataclass(frozen=True)
class Attempt:
    """One query to one server; times of the monotonic clock."""

    server: str
    began_s: float
    ended_s: float
    is_answered: bool

    def __str__(self) -> str:
        outcome = "answered" if self.is_answered else "nothing"
        return f"{self.server} {self.began_s:.2f} to {self.ended_s:.2f} {outcome}"


@dataclass
class Call:
    """A number of its own."""

    number: int
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answered_by(self) -> str | None:
        """The server that answered."""
        return next((attempt.server for attempt in self.attempts if attempt.is_answered), None)

    def __str__(self) -> str:
        return f"{self.number}: {'; '.join(map(str, self.attempts))}"


class _Query(asyncio.DatagramProtocol):
    def __init__(self, identity: int, answered: asyncio.Future[bool]) -> None:
        self._identity = identity.to_bytes(2, "big")
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._identity and not self._answered.done():
            self._answered.set_result(True)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_result(False)


async def ask(port: int, number: int, patience_s: float = TRY_S) -> bool:
    """Whether an ENUM server answers a query for a number; an ICMP error ends the wait."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bool] = loop.create_future()
    identity = number % 65536
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Query(identity, answered), remote_addr=("127.0.0.1", port)
    )
    try:
        transport.sendto(query_bytes(identity, number))
        with suppress(TimeoutError):
            return await asyncio.wait_for(answered, patience_s)
        return False
    finally:
        transport.close()


class Callers:
    """Calls that go on between `begin` and `end`; all that were ever placed are kept."""

    def __init__(self, thread: LoopThread, ports: Callable[[], dict[str, int]]) -> None:
        """`ports` of the servers, by name."""
        self._thread = thread
        self._ports = ports
        self.calls: list[Call] = []
        self._numbers = FIRST_NUMBER
        self._is_calling = False
        self._placing: asyncio.Task[None] | None = None

    def next_number(self) -> int:
        """That nobody has called."""
        self._numbers += 1
        return self._numbers

    def begin(self) -> None:
        """Place calls from now on."""

        async def start() -> None:
            self._is_calling = True
            self._placing = asyncio.create_task(self._place())

        self._thread.run(start())

    def end(self) -> None:
        """Place no more; returns when the last has its outcome."""

        async def finish() -> None:
            self._is_calling = False
            if self._placing is not None:
                await self._placing

        self._thread.run(finish())

    async def _place(self) -> None:
        async with asyncio.TaskGroup() as under_way:
            due = time.monotonic()
            while self._is_calling:
                call = Call(self.next_number())
                self.calls.append(call)
                under_way.create_task(self._run(call))
                # A machine that stalled makes up for nothing: the rate stays bounded.
                due = max(due + 1 / RATE_PER_S, time.monotonic())
                await asyncio.sleep(due - time.monotonic())

    async def _run(self, call: Call) -> None:
        servers = list(self._ports().items())
        first = call.number % len(servers)
        for name, port in servers[first:] + servers[:first]:
            began = time.monotonic()
            is_answered = await ask(port, call.number)
            call.attempts.append(Attempt(name, began, time.monotonic(), is_answered))
            if is_answered:
                return
