"""RFC 7873 and RFC 9018: DNS cookies. Ours answers whatever cookie a client has; NSD has cookies off by default."""

from __future__ import annotations

import dns.edns
import dns.message
import dns.rcode
import pytest
from tests.conformance.targets import Target, opt, option, query

COOKIE = 10
FORMERR = 1
CLIENT = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57"


def ask(target: Target, cookie: bytes) -> tuple[dns.message.Message, bytes]:
    """The answer to a query with this cookie option, and the answer's."""
    wire = target.exchange(query("+12105550123", additional=opt(option(COOKIE, cookie))))
    assert wire is not None, "no answer"
    answer = dns.message.from_wire(wire)
    found = [one.to_wire() or b"" for one in answer.options if int(one.otype) == COOKIE]
    assert len(found) == 1
    return answer, found[0]


def test_rfc7873_5_2_3_client_cookie_is_answered_and_returned(ringfence_target: Target) -> None:
    answer, cookie = ask(ringfence_target, CLIENT)

    assert answer.rcode() == dns.rcode.NOERROR, "never BADCOOKIE to a client that has none yet"
    assert len(answer.answer) == 1
    assert cookie.startswith(CLIENT)


def test_rfc9018_4_server_cookie_has_version_1_and_16_octets(ringfence_target: Target) -> None:
    _, cookie = ask(ringfence_target, CLIENT)

    assert len(cookie) == 24
    assert cookie[8:12] == b"\x01\0\0\0"


def test_rfc9018_4_3_fresh_server_cookie_is_kept(ringfence_target: Target) -> None:
    _, first = ask(ringfence_target, CLIENT)

    answer, second = ask(ringfence_target, first)

    assert second == first
    assert answer.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("length", [8, 9, 16, 32])
def test_rfc7873_5_2_4_invalid_server_cookie_is_answered_with_a_new_one(ringfence_target: Target, length: int) -> None:
    forged = CLIENT + b"\x01" * length

    answer, cookie = ask(ringfence_target, forged)

    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 1
    assert cookie.startswith(CLIENT)
    assert cookie != forged


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 41])
def test_rfc7873_5_2_2_illegal_length_is_a_format_error(ringfence_target: Target, length: int) -> None:
    wire = ringfence_target.exchange(query("+12105550123", additional=opt(option(COOKIE, b"x" * length))))

    assert wire is not None
    assert wire[3] & 0xF == FORMERR


def test_rfc7873_5_2_of_several_cookies_the_first_counts(ringfence_target: Target) -> None:
    wire = ringfence_target.exchange(
        query("+12105550123", additional=opt(option(COOKIE, CLIENT) + option(COOKIE, b"other123")))
    )

    assert wire is not None
    cookies = [one.to_wire() or b"" for one in dns.message.from_wire(wire).options if int(one.otype) == COOKIE]
    assert [cookie[:8] for cookie in cookies] == [CLIENT]


def test_rfc7873_5_2_1_no_cookie_is_sent_to_who_has_none(target: Target) -> None:
    wire = target.exchange(query("+12105550123", additional=opt()))

    assert wire is not None
    assert dns.message.from_wire(wire).options == ()
