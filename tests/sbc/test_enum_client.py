"""The SBC's ENUM client: its hand-made DNS against dnspython, and its choice of server over time."""

from __future__ import annotations

from contextlib import suppress

import dns.edns
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sbc.responder import running

from ringfence.acceptance.lab.kamailio.enum_client import EnumClient, PrivateState
from ringfence.acceptance.sbc.wire import MalformedAnswerError, decode_answer, encode_query, enum_name

DIGITS = st.text("0123456789", min_size=1, max_size=15)


@given(st.integers(0, 65535), DIGITS, st.text(min_size=1, max_size=60))
def test_query_is_read_by_dnspython(identifier: int, digits: str, source: str) -> None:
    query = dns.message.from_wire(encode_query(identifier, enum_name(f"+{digits}", "e164.internal"), source))

    assert query.id == identifier
    assert query.question[0].name == dns.name.from_text(".".join(reversed(digits)) + ".e164.internal.")
    assert query.question[0].rdtype == dns.rdatatype.NAPTR
    assert query.payload == 1232
    assert [(int(option.otype), option.to_wire()) for option in query.options] == [(4, source.encode())]


def test_answer_of_dnspython_is_read() -> None:
    query = dns.message.from_wire(encode_query(7, "1.2.e164.internal", "sip:+1@host"))
    response = dns.message.make_response(query)
    response.answer.append(
        dns.rrset.from_text(
            "1.2.e164.internal.", 0, "IN", "NAPTR", '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@allow.host!" .'
        )
    )

    answer = decode_answer(response.to_wire())

    assert (answer.identifier, answer.rcode) == (7, 0)
    assert [naptr.regexp for naptr in answer.naptrs] == [r"!^(.*)$!sip:\1@allow.host!"]


@given(st.binary(max_size=200))
def test_any_datagram_is_an_answer_or_malformed(datagram: bytes) -> None:
    with suppress(MalformedAnswerError):
        decode_answer(datagram)


def test_answer_to_another_question_is_not_taken() -> None:
    with running(lambda destination, source: "!^.*$!sip:x@y!") as server:
        server.distort = lambda wire: bytes([wire[0] ^ 0xFF]) + wire[1:]
        client = EnumClient([server.address], "e164.internal", PrivateState(), timeout_s=0.1)

        assert client.ask("+12105550123", None).status == "down"


@pytest.mark.parametrize("failures", [1, 3])
def test_server_is_out_of_service_after_failures_in_a_row(failures: int) -> None:
    now = 0.0
    with running(lambda destination, source: None) as server:
        server.rcode = 2
        client = EnumClient(
            [server.address],
            "e164.internal",
            PrivateState(),
            failures=failures,
            out_of_service_s=600,
            clock=lambda: now,
        )
        for _ in range(failures + 5):
            assert client.ask("+12105550123", None).status == "down"
        assert len(server.asked) == failures

        server.rcode = 0
        now = 599.0
        assert client.ask("+12105550123", None).status == "down"
        now = 600.0
        assert client.ask("+12105550123", None).status == "none"


def test_server_rests_after_one_failure() -> None:
    now = 0.0
    with running(lambda destination, source: None) as server:
        server.rcode = 5
        client = EnumClient([server.address], "e164.internal", PrivateState(), rest_s=30, clock=lambda: now)

        assert client.ask("+12105550123", None).status == "down"
        server.rcode = 0
        assert client.ask("+12105550123", None).status == "down"
        now = 30.0
        assert client.ask("+12105550123", None).status == "none"
        assert len(server.asked) == 2
