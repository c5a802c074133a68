"""RFC 1035 (messages), 4343 (case), 5936 and 1996 (not offered), 9619 (one question): what every DNS server must do."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.targets import APEX, Target, encode_name, enum_name, message, query

FORMERR, NOTIMP, REFUSED = 1, 4, 5


def rcode(answer: bytes | None) -> int:
    assert answer is not None, "no answer"
    return answer[3] & 0xF


@pytest.mark.parametrize("identifier", [0, 1, 0x8000, 0xFFFF])
def test_rfc1035_4_1_1_identifier_is_copied(target: Target, identifier: int) -> None:
    answer = target.exchange(query("+12105550123", identifier=identifier))

    assert answer is not None
    assert int.from_bytes(answer[:2], "big") == identifier


@pytest.mark.parametrize("recursion_desired", [0, 0x0100])
def test_rfc1035_4_1_1_flags_of_an_answer(target: Target, recursion_desired: int) -> None:
    answer = target.exchange(query("+12105550123", flags=recursion_desired))

    assert answer is not None
    # QR and AA set, RD copied, opcode, TC, RA, Z and RCODE nought.
    assert int.from_bytes(answer[2:4], "big") == 0x8400 | recursion_desired


def test_rfc1035_4_1_1_reserved_bit_is_not_copied(target: Target) -> None:
    answer = target.exchange(query("+12105550123", flags=0x0140))

    assert answer is not None
    assert answer[3] & 0x40 == 0


def test_rfc1035_4_1_1_answer_sent_as_query_is_dropped(target: Target) -> None:
    assert target.is_silent(query("+12105550123", flags=0x8100))


@pytest.mark.parametrize("opcode", [1, 2, 3, 6, 15])
def test_rfc1035_4_1_1_other_opcodes_are_not_implemented(target: Target, opcode: int) -> None:
    assert rcode(target.exchange(query("+12105550123", flags=opcode << 11))) == NOTIMP


def test_rfc1996_notify_is_turned_away(target: Target) -> None:
    answer = target.exchange(message(encode_name(APEX), kind=6, flags=4 << 11))

    assert rcode(answer) in {NOTIMP, REFUSED}


def test_rfc2136_update_is_turned_away(target: Target) -> None:
    answer = target.exchange(message(encode_name(APEX), kind=6, flags=5 << 11))

    assert rcode(answer) in {NOTIMP, REFUSED}


@pytest.mark.parametrize("length", range(12))
def test_rfc1035_4_1_1_less_than_a_header_is_dropped(target: Target, length: int) -> None:
    assert target.is_silent(query("+12105550123")[:length])


def test_rfc1035_4_1_2_question_comes_back_as_asked(target: Target) -> None:
    asked = message(encode_name("3.2.1.0.5.5.5.0.1.2.1.E164.iNTERNAL"))

    answer = target.exchange(asked)

    assert answer is not None
    assert answer[12 : len(asked)] == asked[12:]
    assert answer[7] == 1


def test_rfc4343_3_names_are_equal_whatever_their_case(target: Target) -> None:
    lower = target.exchange(message(encode_name(enum_name("+19005550100"))))
    mixed = target.exchange(message(encode_name(enum_name("+19005550100", "e164.InTerNaL"))))

    assert lower is not None
    assert mixed is not None
    assert dns.message.from_wire(lower).answer[0][0] == dns.message.from_wire(mixed).answer[0][0]


def test_rfc9619_2_two_questions_are_a_format_error(target: Target) -> None:
    question = query("+12105550123")[12:]
    two = message(encode_name(enum_name("+12105550123")), counts=(2, 0, 0, 0)) + question

    assert rcode(target.exchange(two)) == FORMERR


def test_rfc9619_2_no_question_is_a_format_error(target: Target) -> None:
    header_only = query("+12105550123", counts=(0, 0, 0, 0))[:12]

    assert rcode(target.exchange(header_only)) == FORMERR


def test_rfc1035_4_1_records_that_are_not_there_are_a_format_error(target: Target) -> None:
    answer = target.exchange(query("+12105550123", counts=(1, 0, 0, 1)), 0.5)

    assert answer is None or rcode(answer) == FORMERR


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",
        b"\x01\x31\xc0\x0c",
        b"\xc0\xff",
        b"\x40" + b"a" * 64 + b"\0",
        b"\x3f" + b"a" * 10,
        (b"\x3f" + b"a" * 63) * 4 + b"\0",
        b"\x01",
    ],
    ids=["points to itself", "loop", "points behind the end", "label of 64", "cut short", "name of 257", "no end"],
)
def test_rfc1035_4_1_4_impossible_name_is_refused_or_dropped(target: Target, name: bytes) -> None:
    answer = target.exchange(message(name), 0.3)

    assert answer is None or rcode(answer) in {FORMERR, REFUSED}


def test_rfc1035_2_3_4_longest_name_is_answered(target: Target) -> None:
    longest = "1." * ((255 - len(encode_name(APEX))) // 2) + APEX
    assert len(encode_name(longest)) in {254, 255}

    assert rcode(target.exchange(message(encode_name(longest)))) in {0, 3}


@pytest.mark.parametrize("klass", [3, 4, 254, 0])
def test_rfc1035_3_2_4_other_classes_are_refused(target: Target, klass: int) -> None:
    assert rcode(target.exchange(query("+12105550123", klass=klass))) == REFUSED


@pytest.mark.parametrize("name", ["3.2.1.e164.arpa", "internal", "xe164.internal", "example", ""])
def test_rfc1034_4_3_2_names_of_others_are_refused(target: Target, name: str) -> None:
    answer = target.exchange(message(encode_name(name)))

    assert rcode(answer) == REFUSED
    assert answer is not None
    assert answer[2] & 0x04 == 0, "not authoritative for it"


@pytest.mark.parametrize("kind", [251, 252], ids=["IXFR", "AXFR"])
def test_rfc5936_transfer_is_turned_away(target: Target, kind: int) -> None:
    assert rcode(target.exchange(message(encode_name(APEX), kind=kind))) in {FORMERR, NOTIMP, REFUSED}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_datagram_leaves_the_server_answering(ringfence_target: Target, noise: bytes) -> None:
    ringfence_target.exchange(noise, 0.001)
    assert ringfence_target.is_alive()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 80), st.integers(0, 255))
def test_query_with_any_octet_changed_leaves_the_server_answering(
    ringfence_target: Target, position: int, value: int
) -> None:
    wire = bytearray(query("+12105550123", additional=b"\0\0\x29\x04\xd0\0\0\0\0\0\x0f\0\4\0\x0bsip:+1@host"))
    wire[position % len(wire)] = value
    ringfence_target.exchange(bytes(wire), 0.001)
    assert ringfence_target.is_alive()
