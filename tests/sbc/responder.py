"""A tiny ENUM server with a fixed table, to test the SBC itself. Not a model of Ringfence."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Decide = Callable[[str, str | None], str | None]


@dataclass
class Responder:
    """Answers NAPTR questions with the regexp that `decide(destination, source URI)` gives; None: no record."""

    decide: Decide
    rcode: int = 0
    silent: bool = False
    distort: Callable[[bytes], bytes] = bytes
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: tuple[str, int] = ("", 0)

    def answer(self, wire: bytes) -> bytes:
        """Answer to one query, which is noted in `asked`."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name
        digits = [label.decode() for label in name.labels if len(label) == 1]
        destination = "+" + "".join(reversed(digits))
        sources = [option for option in query.options if option.otype == 4]
        source = (sources[0].to_wire() or b"").decode() if sources else None
        self.asked.append((destination, source))
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode(self.rcode))
        regexp = self.decide(destination, source)
        if regexp and not self.rcode:
            text = regexp.replace("\\", "\\\\")
            record = dns.rrset.from_text(name, 0, "IN", "NAPTR", f'100 10 "u" "E2U+sip" "{text}" .')
            response.answer.append(record)
        return self.distort(response.to_wire())


@contextlib.contextmanager
def running(decide: Decide, address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Responder]:
    """Run a Responder on `address` (port 0: a free one) for the time of a `with`."""
    responder = Responder(decide)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        responder.address = channel.getsockname()
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                wire, peer = channel.recvfrom(4096)
                if stop.is_set():
                    return
                answer = responder.answer(wire)
                if not responder.silent:
                    channel.sendto(answer, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield responder
        finally:
            stop.set()
            channel.sendto(b"", channel.getsockname())  # wakes the thread
            thread.join(5)
