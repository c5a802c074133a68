"""RFC 4892: what a server says of itself in class CHAOS. Ours says nothing."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest
from tests.conformance.targets import Target, encode_name, message

TXT = 16
CHAOS = 3


@pytest.mark.parametrize("name", ["version.bind", "id.server", "hostname.bind", "version.server", "authors.bind"])
def test_rfc4892_3_identity_is_refused(ringfence_target: Target, name: str) -> None:
    wire = ringfence_target.exchange(message(encode_name(name), kind=TXT, klass=CHAOS))

    assert wire is not None
    answer = dns.message.from_wire(wire)
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.answer
    assert not answer.additional
