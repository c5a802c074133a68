"""Numbers in the query name, in the layouts that are configured (docs/contracts.md 5: `query_names`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.targets import encode_name, message, opt, option
from tests.enum_server.exchange import Server, naptr, policy

TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
BLOCKED = "19005550111"
CALLED = "3.2.1.0.5.5.5.0.1.2.1"


def regexp(server: Server, labels: str, additional: bytes = b"") -> str:
    """What the name in front of the apex is answered with."""
    return naptr(server.ask(message(encode_name(f"{labels}.e164.internal"), additional=additional)))[1]


@pytest.mark.parametrize(
    ("layout", "labels"),
    [
        (None, f"{CALLED}.s{BLOCKED}"),
        (None, f"{CALLED}.SRC.{'.'.join(reversed(BLOCKED))}"),
        (None, f"{CALLED}.s+{BLOCKED}"),
        ("{destination:reversed}.{source}", f"{CALLED}.{BLOCKED}"),
        ("{destination:reversed}.{source}.*", f"{CALLED}.{BLOCKED}.trunk-7"),
        ("{source}-calls-{destination}", f"{BLOCKED}-calls-+12105550123"),
        ("from.{source:reversed}", "from." + ".".join(reversed(BLOCKED))),
    ],
)
def test_the_caller_in_the_name_decides(start: Callable[..., Server], layout: str | None, labels: str) -> None:
    server = start() if layout is None else start(query_names=[layout])
    server.native.install(policy())

    assert regexp(server, labels) == TERMINATE
    assert regexp(server, labels.replace(BLOCKED, "12105550124").replace("1.1.1.0", "4.2.1.0")) == ALLOW


def test_the_first_layout_that_fits_counts_and_an_option_counts_before_the_name(start: Callable[..., Server]) -> None:
    server = start(query_names=["{destination:reversed}.*", "{destination:reversed}.s{source}"])
    server.native.install(policy())
    wire = opt(option(4, f"sip:+{BLOCKED}@sbc.example".encode()))

    assert regexp(server, f"{CALLED}.s{BLOCKED}") == ALLOW
    assert regexp(server, f"{CALLED}.s12105550124", additional=wire) == TERMINATE


def test_a_layout_that_cannot_be_read_is_named(start: Callable[..., Server]) -> None:
    with pytest.raises(ValueError, match=r"^query_names\[1\]: .*two reversed numbers"):
        start(query_names=["{destination}", "{destination:reversed}.{source:reversed}"])
