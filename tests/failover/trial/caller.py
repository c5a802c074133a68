"""On an ENUM server's machine: a query every half second to it, and a call every two seconds past its probe.

Until its standard input ends; then it says in one line of JSON how many there were.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

import dns.message
import dns.query
from tests.capture.messages import one_call
from tests.edge.test_probe import fresh, hep3_of

EVERY_S = 0.5
CALL_EVERY = 4  # queries


def main(name: str, enum_port: int, hep_port: int) -> None:
    """Ask and call until told to stop."""
    asked, unanswered, calls, slowest_s = 0, 0, 0, 0.0
    query = dns.message.make_query("0.0.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            asked += 1
            began = time.monotonic()
            try:
                dns.query.udp(query, "127.0.0.1", port=enum_port, timeout=5)
            except Exception:
                unanswered += 1
            slowest_s = max(slowest_s, time.monotonic() - began)
            if asked % CALL_EVERY == 0:
                calls += 1
                for message in fresh(one_call(f"{time.time_ns()}@{name}")):
                    line.sendto(hep3_of(message), ("127.0.0.1", hep_port))
    print(json.dumps({"asked": asked, "unanswered": unanswered, "calls": calls, "slowest_ms": round(slowest_s * 1000)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
