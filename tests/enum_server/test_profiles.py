"""An SBC's address picks how it is answered (docs/contracts.md 4: `profiles`, `clients`)."""

from __future__ import annotations

from collections.abc import Callable

import dns.rcode
import dns.rdatatype
import pytest
from tests.conformance.targets import encode_name, message, query
from tests.enum_server.exchange import NUMBER, Server, naptr, policy

from ringfence._native import PolicyError

PROFILES = {
    "cisco": {"allow": r"!^(.*)$!sip:\1@cube.example!", "service": "sip+E2U", "no_opinion": "nxdomain"},
    "house": {
        "allow": "!^.*$!sip:{destination}@{host};from={source};rule={rule}!",
        "terminate": "!^.*$!sip:{destination}@stop.{host};rule={rule}!",
        "host": "house.example",
        "no_opinion": "allow",
    },
}
CLIENTS = [
    {"network": "127.1.0.0/16", "profile": "house", "name": "lab"},
    {"network": "127.1.0.7", "profile": "cisco", "name": "edge-1"},
]


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    server = start()
    server.native.install(policy(profiles=PROFILES, clients=CLIENTS))
    return server


def test_the_longest_network_picks_the_profile_and_others_have_the_default(server: Server) -> None:
    assert naptr(server.ask(query(NUMBER), "127.0.0.1")) == ("E2U+sip", r"!^(.*)$!sip:\1@allow.e164.internal!")
    assert naptr(server.ask(query(NUMBER), "127.1.0.7")) == ("sip+E2U", r"!^(.*)$!sip:\1@cube.example!")
    assert naptr(server.ask(query(NUMBER), "127.1.0.8")) == (
        "E2U+sip",
        "!^.*$!sip:+12105550123@house.example;from=anonymous;rule=0!",
    )


def test_the_deciding_rule_can_stand_in_the_answer(server: Server) -> None:
    answer = server.ask(query("+19005550100"), "127.1.0.8")

    assert naptr(answer)[1] == "!^.*$!sip:+19005550100@stop.house.example;rule=1!"


def test_no_opinion_is_said_as_the_profile_asks(server: Server) -> None:
    wire = message(encode_name("alice.e164.internal"))

    nodata, nxdomain, allowed = (server.ask(wire, client) for client in ("127.0.0.1", "127.1.0.7", "127.1.0.8"))

    assert (nodata.rcode(), nodata.answer) == (dns.rcode.NOERROR, [])
    assert (nxdomain.rcode(), nxdomain.answer) == (dns.rcode.NXDOMAIN, [])
    assert nxdomain.authority[0].rdtype == dns.rdatatype.SOA
    assert naptr(allowed)[1] == "!^.*$!sip:unknown@house.example;from=anonymous;rule=0!"
    assert server.counter("rcode_3") == 1


def test_a_template_that_sbcs_cannot_read_leaves_the_running_policy(server: Server) -> None:
    for template in ("!^.*$!sip:a b@c!", "!^.*$!sip:a!b@c!", r"!^(.*)$!sip:\2@c!", "!^.*$!sip:a@b", "!^.*$!sip:ä@b!"):
        with pytest.raises(PolicyError, match=r"^profiles\.house\.redirect: "):
            server.native.install(policy(profiles={"house": {"redirect": template}}, version=2))

    assert server.native.policy_version == 1
