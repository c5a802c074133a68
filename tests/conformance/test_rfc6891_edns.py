"""RFC 6891: extension mechanisms for DNS."""

from __future__ import annotations

import dns.edns
import dns.message
import dns.rcode
import pytest
from tests.conformance.targets import Target, opt, option, query

FORMERR = 1


def ask(target: Target, additional: bytes, **how: object) -> dns.message.Message:
    wire = target.exchange(query("+12105550123", additional=additional, **how))
    assert wire is not None, "no answer"
    return dns.message.from_wire(wire)


def test_rfc6891_7_answer_has_opt_when_the_query_had(target: Target) -> None:
    answer = ask(target, opt())

    assert answer.edns == 0
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.payload >= 512


def test_rfc6891_7_answer_has_no_opt_when_the_query_had_none(target: Target) -> None:
    assert ask(target, b"").edns == -1


def test_rfc6891_6_1_3_higher_version_is_bad_version(target: Target) -> None:
    answer = ask(target, opt(version=1))

    assert answer.rcode() == dns.rcode.BADVERS
    assert answer.edns == 0, "tells the version it has"
    assert not answer.answer


def test_rfc6891_6_1_1_two_opt_records_are_a_format_error(target: Target) -> None:
    wire = target.exchange(query("+12105550123", additional=opt() + opt(), counts=(1, 0, 0, 2)))

    assert wire is not None
    assert wire[3] & 0xF == FORMERR


@pytest.mark.parametrize("code", [0, 3, 9, 14, 20292, 65534])
def test_rfc6891_6_1_2_unknown_option_is_ignored(target: Target, code: int) -> None:
    answer = ask(target, opt(option(code, b"\x01\x02\x03")))

    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 1
    assert code not in {int(found.otype) for found in answer.options}


def test_rfc6891_6_2_3_payload_below_512_means_512(target: Target) -> None:
    answer = ask(target, opt(payload=100))

    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 1


def test_rfc6891_6_1_2_option_longer_than_its_record_is_a_format_error(target: Target) -> None:
    broken = opt(b"\0\4\0\xff" + b"sip:")

    wire = target.exchange(query("+12105550123", additional=broken))

    assert wire is not None
    assert wire[3] & 0xF == FORMERR


def test_rfc6891_6_1_2_opt_with_a_name_is_a_format_error(target: Target) -> None:
    wire = target.exchange(query("+12105550123", additional=opt(name=b"\1x\0")))

    assert wire is not None
    assert wire[3] & 0xF == FORMERR
