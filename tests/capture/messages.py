"""SIP messages of one call, for tests that need a capture file of their own."""

from __future__ import annotations

from typing import Any

CALLER, CALLED = "192.0.2.1:5060", "192.0.2.2:5060"
START_US = 1_763_840_000_000_000


def one_call(call_id: str = "a84b4c76e66710@192.0.2.1", user: str = "+442079460000") -> list[dict[str, Any]]:
    """A call of 2 s that is answered after 500 ms, with a display name that is hostile."""
    common = (
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\n"
        f'From: "<script>alert(1)</script>" <sip:{user}@192.0.2.1>;tag=a\r\n'
        "To: <sip:+12105550123@192.0.2.2>{tag}\r\n"
        f"Call-ID: {call_id}\r\n"
        "CSeq: {cseq}\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    script = [
        (0, True, "INVITE sip:+12105550123@192.0.2.2 SIP/2.0", "1 INVITE", ""),
        (100_000, False, "SIP/2.0 180 Ringing", "1 INVITE", ";tag=b"),
        (500_000, False, "SIP/2.0 200 OK", "1 INVITE", ";tag=b"),
        (510_000, True, "ACK sip:+12105550123@192.0.2.2 SIP/2.0", "1 ACK", ";tag=b"),
        (2_500_000, False, "BYE sip:caller@192.0.2.1 SIP/2.0", "7 BYE", ";tag=b"),
        (2_510_000, True, "SIP/2.0 200 OK", "7 BYE", ";tag=b"),
    ]
    return [
        {
            "time_us": START_US + at,
            "source": CALLER if is_callers else CALLED,
            "destination": CALLED if is_callers else CALLER,
            "text": f"{line}\r\n{_turned(common, line)}".format(branch=f"{call_id}{cseq[:1]}", tag=tag, cseq=cseq),
        }
        for at, is_callers, line, cseq, tag in script
    ]


def _turned(common: str, line: str) -> str:
    """A BYE of the called side has From and To the other way round; its answer repeats them."""
    if not line.startswith("BYE"):
        return common
    return (
        common.replace("From: ", "X: ").replace("To: ", "From: ").replace("X: ", "To: ").replace("{tag}", ";tag=b", 1)
    )
