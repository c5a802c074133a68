"""The SIP of played calls, as an SBC's HEP agent shows it to a probe: INVITE … BYE with carrier and SBC as ends.

carrier 192.0.2.10 ──INVITE, ACK, BYE──► SBC 192.0.2.1     inbound; outbound calls the other way round
                   ◄──100, 180, 200 | 4xx, 6xx──           (documentation addresses: nothing is sent to them)
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import NamedTuple

from ringfence.detection.attacks.call import ANONYMOUS, ModelCall
from ringfence.edge.hep import Endpoint, Kind, Sender, hep3_octets
from ringfence.vocabulary import CallResult

CARRIER = (IPv4Address("192.0.2.10"), 5060)
SBC = (IPv4Address("192.0.2.1"), 5060)
RING_S = 0.1  # as heard in life, seconds become a tenth
_STATUS = {
    CallResult.BUSY: "486 Busy Here",
    CallResult.NO_ANSWER: "480 Temporarily Unavailable",
    CallResult.CANCELLED: "487 Request Terminated",
    CallResult.FAILED: "503 Service Unavailable",
}
_SDP = "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


class Message(NamedTuple):
    """One SIP message to come; ordered by when it is due (seconds of the player's clock), then by its place."""

    due_s: float
    order: int
    ends: tuple[Endpoint, Endpoint]
    text: str


class SipLine:
    """HEP to one probe's listener."""

    def __init__(self, probe: tuple[str, int], key: str | None = None) -> None:
        self._sender = Sender(2002, "ringfence-demo", key)
        self._order = itertools.count()
        self._run = f"{time.time_ns():x}"
        family = socket.AF_INET6 if ":" in probe[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.connect(probe)

    def messages(self, call: ModelCall, now_s: float) -> Iterator[Message]:
        """All SIP of one call that begins now."""
        legs = (CARRIER, SBC) if call.is_from_trunk else (SBC, CARRIER)
        dialog = _Dialog(call, f"{self._run}-{next(self._order)}@demo", *(str(leg[0]) for leg in legs))
        for after_s, is_from_caller, text in dialog.messages():
            yield Message(now_s + after_s, next(self._order), legs if is_from_caller else legs[::-1], text)

    def send(self, message: Message) -> None:
        """One packet, as seen now; a probe that is not there is the outcome's matter, not a failure."""
        packet = hep3_octets(self._sender, Kind.SIP, time.time_ns() // 1000, "udp", message.ends, message.text.encode())
        if packet is not None:
            with suppress(OSError):
                self._socket.send(packet)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class _Dialog:
    """The texts of one call (RFC 3261, chapter 24)."""

    def __init__(self, call: ModelCall, call_id: str, caller: str, called: str) -> None:
        self._call = call
        self._call_id = call_id
        self._caller = caller
        self._called = called
        source = "anonymous@anonymous.invalid" if call.source == ANONYMOUS else f"{call.source}@{caller}"
        self._from = f"<sip:{source}>;tag=a{call_id[:-5]}"
        self._uri = f"sip:{call.destination}@{called}"

    def messages(self) -> Iterator[tuple[float, bool, str]]:
        """Seconds after the INVITE, whether from the caller, text."""
        call, at = self._call, RING_S
        yield 0.0, True, self._request("INVITE", 1, "i", self._caller)
        yield 0.001, False, self._status("100 Trying", "1 INVITE", "i")
        yield 0.01, False, self._status("180 Ringing", "1 INVITE", "i")
        if not call.answered:
            if call.result is CallResult.CANCELLED:
                yield at, True, self._request("CANCEL", 1, "i")
                yield at + 0.001, False, self._status("200 OK", "1 CANCEL", "i")
            status = _STATUS.get(call.result, "480 Temporarily Unavailable")
            yield at + 0.002, False, self._status(status, "1 INVITE", "i")
            yield at + 0.003, True, self._request("ACK", 1, "i", is_within=True)
            return
        yield at, False, self._status("200 OK", "1 INVITE", "i", self._called)
        yield at + 0.001, True, self._request("ACK", 1, "a", is_within=True)
        end = at + max(call.duration_s, 0.01)
        yield end, True, self._request("BYE", 2, "b", is_within=True)
        yield end + 0.001, False, self._status("200 OK", "2 BYE", "b")

    def _request(self, method: str, sequence: int, branch: str, host: str = "", *, is_within: bool = False) -> str:
        to = f"<{self._uri}>" + (f";tag=b{self._call_id[:-5]}" if is_within else "")
        return self._message(f"{method} {self._uri} SIP/2.0", to, f"{sequence} {method}", branch, host)

    def _status(self, status: str, sequence: str, branch: str, host: str = "") -> str:
        tag = "" if status.startswith("100") else f";tag=b{self._call_id[:-5]}"
        return self._message(f"SIP/2.0 {status}", f"<{self._uri}>{tag}", sequence, branch, host)

    def _message(self, first: str, to: str, sequence: str, branch: str, host: str) -> str:
        """`host`: whose media description goes along; empty: none."""
        body = _SDP.format(host=host) if host else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{first}\r\nVia: SIP/2.0/UDP {self._caller}:5060;branch=z9hG4bK{branch}{self._call_id[:-5]}\r\n"
            f"Max-Forwards: 70\r\nFrom: {self._from}\r\nTo: {to}\r\nCall-ID: {self._call_id}\r\nCSeq: {sequence}\r\n"
            f"Contact: <sip:{self._caller}:5060>\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
