"""draft-kaplan-enum-source-uri and draft-kaplan-dnsext-enum-sip-source-ref-opt-code: the caller in an EDNS0 option.

A zone cannot tell callers apart, so these run against Ringfence alone.
"""

from __future__ import annotations

import dns.message
import pytest
from tests.conformance.targets import ALLOW, TERMINATE, Target, opt, option, query

BLOCKED = "+19005550111"


def regexp(target: Target, options: bytes) -> str:
    wire = target.exchange(query("+12105550123", additional=opt(options, payload=1220)))
    assert wire is not None
    answer = dns.message.from_wire(wire)
    assert len(answer.answer) == 1
    assert answer.answer[0].ttl == 0, "draft-kaplan-enum-source-uri: TTL 0"
    text: bytes = answer.answer[0][0].regexp
    return text.decode()


@pytest.mark.parametrize(
    "uri",
    [
        f"sip:{BLOCKED}@sbc.example",
        f"sips:{BLOCKED}@sbc.example",
        f"SIP:{BLOCKED}@sbc.example;user=phone",
        f"tel:{BLOCKED}",
        f"sip:{BLOCKED};tgrp=trunk-1;trunk-context=sbc.example@sbc.example;user=phone",
        f"tel:{BLOCKED};tgrp=trunk-1;trunk-context=sbc.example",
        "sip:9005550111@sbc.example",
        "sip:19005550111@sbc.example:5070",
    ],
)
@pytest.mark.parametrize("code", [4, 65001])
def test_source_uri_without_version(ringfence_target: Target, code: int, uri: str) -> None:
    assert regexp(ringfence_target, option(code, uri.encode())) == TERMINATE


def test_source_uri_with_version_and_terminator(ringfence_target: Target) -> None:
    assert regexp(ringfence_target, option(4, b"\0\0" + f"sip:{BLOCKED}@sbc.example".encode() + b"\0")) == TERMINATE


def test_other_source_is_not_concerned(ringfence_target: Target) -> None:
    assert regexp(ringfence_target, option(4, b"sip:+13005550000@sbc.example")) == ALLOW


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\x01\x02\x03\x04\x05\x06\x07",
        b"sip:",
        b"sip:@",
        b"sip:anonymous@invalid",
        b"\xff" * 40,
        b"tel:",
    ],
)
def test_data_that_names_no_source_does_no_harm(ringfence_target: Target, data: bytes) -> None:
    assert regexp(ringfence_target, option(4, data)) == ALLOW


def test_unknown_options_beside_the_source_are_ignored(ringfence_target: Target) -> None:
    options = option(10, bytes(8)) + option(4, f"sip:{BLOCKED}@sbc.example".encode()) + option(65002, b"x")

    assert regexp(ringfence_target, options) == TERMINATE


def test_source_in_both_options_is_one_source(ringfence_target: Target) -> None:
    uri = f"sip:{BLOCKED}@sbc.example".encode()

    assert regexp(ringfence_target, option(4, uri) + option(65001, uri)) == TERMINATE
