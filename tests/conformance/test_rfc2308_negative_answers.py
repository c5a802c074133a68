"""RFC 2308 and 8020 (negative answers), 8482 (ANY), and what stands at the apex."""

from __future__ import annotations

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from tests.conformance.targets import APEX, Target, encode_name, enum_name, message

A, NS, SOA, MX, TXT, AAAA, NAPTR, ANY = 1, 2, 6, 15, 16, 28, 35, 255


def ask(target: Target, name: str, kind: int) -> dns.message.Message:
    wire = target.exchange(message(encode_name(name), kind=kind))
    assert wire is not None, "no answer"
    return dns.message.from_wire(wire)


@pytest.mark.parametrize("kind", [A, NS, MX, TXT, AAAA, 33, 65280])
def test_rfc2308_2_2_other_types_at_a_number_have_no_data(target: Target, kind: int) -> None:
    answer = ask(target, enum_name("+12105550123"), kind)

    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.answer
    assert [rrset.rdtype for rrset in answer.authority] == [dns.rdatatype.SOA]
    assert answer.authority[0].name == dns.name.from_text(APEX + ".")


def test_rfc2308_5_negative_answers_are_not_cached(target: Target) -> None:
    answer = ask(target, enum_name("+12105550123"), A)

    soa = answer.authority[0]
    assert min(soa.ttl, soa[0].minimum) == 0


@pytest.mark.parametrize("digits", ["1", "12", "1210555"])
def test_rfc8020_2_name_above_numbers_is_never_denied(target: Target, digits: str) -> None:
    assert ask(target, enum_name(digits), NAPTR).rcode() == dns.rcode.NOERROR


def test_rfc1034_4_2_1_soa_stands_at_the_apex(target: Target) -> None:
    answer = ask(target, APEX, SOA)

    assert answer.rcode() == dns.rcode.NOERROR
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.SOA]


def test_rfc1034_4_2_1_ns_stands_at_the_apex(target: Target) -> None:
    answer = ask(target, APEX, NS)

    assert answer.rcode() == dns.rcode.NOERROR
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.NS]


def test_rfc8482_4_any_is_answered_small(target: Target) -> None:
    answer = ask(target, enum_name("+12105550123"), ANY)

    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 1
    assert answer.answer[0].rdtype in {dns.rdatatype.HINFO, dns.rdatatype.NAPTR}


def test_health_name_is_allowed(target: Target) -> None:
    answer = ask(target, f"health.{APEX}", NAPTR)

    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 1
