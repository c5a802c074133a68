"""SIP of the emulator's calls, for probes to see: a caller and a called party on loopback speak through two sockets.

caller 127.x.0.10 ──INVITE, ACK, BYE──► SBC 127.x.0.1        what the carrier's side of an SBC looks like
       ◄──100, 180, 200 | 603────
"""

from __future__ import annotations

import secrets
import socket
import time

PORT = 5060
RING_S, TALK_S = 0.02, 0.05
_SDP = "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


class CallLegs:
    """Plays the carrier's leg of a call. `caller` and `sbc` are loopback addresses of the site."""

    def __init__(self, caller: str, sbc: str) -> None:
        self._caller = caller
        self._sbc = sbc

    def __call__(self, action: str, source: str, number: str) -> None:
        """One call as the SBC decided it: refused with 603 or 503, else answered and hung up by the caller."""
        call_id, tag, branch = (secrets.token_hex(8) for _ in range(3))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sbc,
        ):
            caller.bind((self._caller, 0))
            sbc.bind((self._sbc, 0))
            caller.settimeout(5)
            sbc.settimeout(5)
            here, there = caller.getsockname(), sbc.getsockname()

            def request(method: str, sequence: int, of: str, to_tag: str = "") -> None:
                body = _SDP.format(host=self._caller) if method == "INVITE" else ""
                head = _head(method, number, source, self._caller, self._sbc, here[1], call_id, tag, to_tag, of,
                             sequence)  # fmt: skip
                caller.sendto(_message(head, body), there)
                sbc.recv(4096)

            def answer(status: str, sequence: str, of: str, body: str = "") -> None:
                head = (
                    f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {self._caller}:{here[1]};branch=z9hG4bK{of}\r\n"
                    f"From: <sip:{source}@{self._caller}>;tag={tag}\r\nTo: <sip:{number}@{self._sbc}>;tag=b{tag}\r\n"
                    f"Call-ID: {call_id}\r\nCSeq: {sequence}\r\nContact: <sip:{self._sbc}:{there[1]}>\r\n"
                )
                sbc.sendto(_message(head, body), here)
                caller.recv(4096)

            request("INVITE", 1, branch)
            answer("100 Trying", "1 INVITE", branch)
            if action in ("terminate", "fail"):
                answer("603 Decline" if action == "terminate" else "503 Service Unavailable", "1 INVITE", branch)
                request("ACK", 1, branch, f"b{tag}")
                return
            answer("180 Ringing", "1 INVITE", branch)
            time.sleep(RING_S)
            answer("200 OK", "1 INVITE", branch, _SDP.format(host=self._sbc))
            request("ACK", 1, f"{branch}a", f"b{tag}")
            time.sleep(TALK_S)
            request("BYE", 2, f"{branch}b", f"b{tag}")
            answer("200 OK", "2 BYE", f"{branch}b")


def _head(
    method: str, number: str, source: str, caller: str, sbc: str, port: int, call_id: str, tag: str, to_tag: str,
    branch: str, sequence: int,
) -> str:  # fmt: skip
    to = f"<sip:{number}@{sbc}>" + (f";tag={to_tag}" if to_tag else "")
    return (
        f"{method} sip:{number}@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {caller}:{port};branch=z9hG4bK{branch}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:{source}@{caller}>;tag={tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {sequence} {method}\r\nContact: <sip:{source}@{caller}:{port}>\r\n"
    )


def _message(head: str, body: str) -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()
