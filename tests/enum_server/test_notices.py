"""What the data plane tells a person (docs/contracts.md 5, `notices`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.targets import opt, option, query
from tests.enum_server.exchange import NUMBER, Server

RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
NOBODY = 65534


def test_an_unknown_option_is_told_once_for_each_client(start: Callable[..., Server]) -> None:
    server = start(workers=2)
    server.notices()
    wire = query(NUMBER, additional=opt(option(65002, bytes(range(100))) + option(4, b"sip:+12105550199@sbc")))
    for _ in range(5):
        server.ask(wire, "127.0.0.1")
        server.ask(wire, "127.0.0.2")

    found = server.notices()

    assert sorted(notice["peer"] for notice in found) == ["127.0.0.1", "127.0.0.2"]
    assert {(notice["notice"], notice["code"], notice["length"]) for notice in found} == {
        ("unknown_option", 65002, 100)
    }
    assert found[0]["data"] == bytes(range(64)).hex()
    assert server.notices() == []
    assert server.counter("options_unknown") == 10, "each is counted all the same"


def test_what_is_told_is_bounded(start: Callable[..., Server]) -> None:
    server = start()
    server.notices()
    for first in range(0, 3000, 100):
        server.ask(query(NUMBER, additional=opt(b"".join(option(20000 + first + code, b"") for code in range(100)))))

    found = server.notices()

    assert len(found) == 1025
    assert found[-1] == {"notice": "unknown_options_full", "told": 1024}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give up its privileges")
def test_a_receive_buffer_that_the_system_cuts_is_told_of() -> None:
    limit = int(RMEM_MAX.read_text())
    asked = 2 * limit
    if asked > 512 << 20:
        pytest.skip("net.core.rmem_max is above what may be asked for")
    configuration = {"listen": ["127.0.0.1:0"], "apex": ["e164.internal"], "receive_buffer_bytes": asked}
    # Without privileges the limit holds; the library is opened before they go.
    program = (
        "import os, sys; from ringfence._native import EnumServer\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "server = EnumServer(sys.argv[1]); print(server.addresses[0]); print(server.notices()); server.stop()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(configuration)], capture_output=True, text=True, check=True
    )

    address, notices = done.stdout.splitlines()
    assert json.loads(notices) == [
        {
            "notice": "receive_buffer",
            "address": address,
            "asked": asked,
            "granted": limit,
            "setting": "net.core.rmem_max",
        }
    ]
