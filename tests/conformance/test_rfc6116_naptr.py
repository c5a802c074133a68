"""RFC 3403 and 3402 (NAPTR and its expression), 6116 (ENUM): the one record that carries the decision."""

from __future__ import annotations

import re

import dns.message
import dns.name
import dns.rrset
import pytest
from tests.conformance.targets import ALLOW, REDIRECT, TERMINATE, Target, encode_name, enum_name, message, query

DECISIONS = [("+12105550123", ALLOW), ("+19005550100", TERMINATE), ("+12105550100", REDIRECT)]


def naptrs(target: Target, number: str) -> dns.rrset.RRset:
    wire = target.exchange(query(number))
    assert wire is not None
    answer = dns.message.from_wire(wire)
    assert len(answer.answer) == 1
    return answer.answer[0]


@pytest.mark.parametrize(("number", "regexp"), DECISIONS)
def test_rfc3403_4_1_record_has_its_fields(target: Target, number: str, regexp: str) -> None:
    (record,) = naptrs(target, number)

    assert (record.order, record.preference) == (100, 10)
    assert (record.flags, record.service) == (b"u", b"E2U+sip")
    assert record.regexp.decode() == regexp
    assert record.replacement == dns.name.root


@pytest.mark.parametrize(("number", "regexp"), DECISIONS)
def test_rfc3402_3_2_expression_makes_the_uri(target: Target, number: str, regexp: str) -> None:
    (record,) = naptrs(target, number)
    before, expression, replacement, flags = record.regexp.decode().split("!")

    assert (before, flags) == ("", "")
    uri = re.sub(expression, replacement, number, count=1)
    assert (
        uri
        == {
            ALLOW: f"sip:{number}@allow.e164.internal",
            TERMINATE: f"sip:{number}@terminate.e164.internal",
            REDIRECT: "sip:+12105550199@redirect.e164.internal",
        }[regexp]
    )


def test_rfc6116_3_2_owner_is_the_name_asked(target: Target) -> None:
    rrset = naptrs(target, "+12105550123")

    assert rrset.name == dns.name.from_text(enum_name("+12105550123") + ".")


def test_decisions_are_not_cached(target: Target) -> None:
    assert all(naptrs(target, number).ttl == 0 for number, _ in DECISIONS)


def test_answer_fits_the_smallest_datagram(target: Target) -> None:
    answer = target.exchange(query("+123456789012345"))

    assert answer is not None
    assert len(answer) <= 512
    assert answer[2] & 0x02 == 0, "not truncated"


@pytest.mark.parametrize("name", ["x.y.z.e164.internal", "12.34.e164.internal", "*.e164.internal"])
def test_name_that_is_no_number_is_answered(target: Target, name: str) -> None:
    answer = target.exchange(message(encode_name(name)))

    assert answer is not None
    assert answer[3] & 0xF in {0, 3}
