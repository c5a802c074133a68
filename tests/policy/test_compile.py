"""The document: canonical, complete, and accepted by the compiler that runs on the wire."""

from __future__ import annotations

import json

import pytest

from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.compile import build_document, canonical_bytes, compile_document, document_hash
from ringfence.policy.profiles import BUILT_IN
from ringfence.policy.rules import parse_policy

SITE = Site("main", "US", ("+12105550000-+12105559999",))
POLICY = b"""
rules:
  - {name: premium, sources: ["class:anonymous"], destinations: ["+1900*", "list:bad"], action: terminate, note: why}
  - {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199", schedule: office,
     rate: {limit: 10, window_s: 60, key: source}}
lists: {bad: {entries: ["+12105550100-+12105550199", "+1210555????"], note: bad ones}}
schedules: {office: {zone: America/Chicago, days: [mon], from: "08:00", to: "18:00"}}
protected: ["933"]
answers: {host: sbc.example}
"""


def document(text: bytes = POLICY) -> bytes:
    policy = parse_policy(text)
    ids = {rule.name: 10 + index for index, rule in enumerate(policy.rules)}
    return canonical_bytes(build_document(policy, SITE, 7, ids))


def test_the_document_is_the_contracted_one() -> None:
    assert json.loads(document()) == {
        "format": 1,
        "version": 7,
        "site": {
            "country": "US",
            "country_code": "1",
            "national_prefix": "1",
            "international_prefixes": ["011"],
            "national_lengths": [10],
            "local_prefix": "",
            "local_lengths": [],
            "extension_lengths": [],
            "own_ranges": ["+12105550000-+12105559999"],
        },
        "protected": ["112", "911", "933", "988"],
        "answers": {
            "allow": r"!^(.*)$!sip:\1@allow.{host}!",
            "terminate": r"!^(.*)$!sip:\1@terminate.{host}!",
            "redirect": "!^.*$!sip:{target}@redirect.{host}!",
            "service": "E2U+sip",
            "host": "sbc.example",
            "no_opinion": "nodata",
        },
        "profiles": {},
        "clients": [],
        "lists": {"bad": {"entries": ["+12105550100-+12105550199", "+1210555????"]}},
        "schedules": {"office": {"zone": "America/Chicago", "days": ["mon"], "from": "08:00", "to": "18:00"}},
        "rules": [
            {
                "id": 10,
                "name": "premium",
                "mode": "enforce",
                "direction": "any",
                "sources": ["class:anonymous"],
                "destinations": ["+1900*", "list:bad"],
                "action": "terminate",
                "target": None,
                "schedule": None,
                "rate": None,
            },
            {
                "id": 11,
                "name": "moved",
                "mode": "enforce",
                "direction": "any",
                "sources": [],
                "destinations": ["+12105550100"],
                "action": "redirect",
                "target": "+12105550199",
                "schedule": "office",
                "rate": {"limit": 10, "window_s": 60, "key": "source"},
            },
        ],
    }


def test_equal_documents_are_equal_bytes() -> None:
    tree = json.loads(document())
    shuffled = dict(reversed(tree.items()))
    assert canonical_bytes(shuffled) == document()
    assert b": " not in document()
    assert len(document_hash(document())) == 64


def test_the_compiler_takes_it() -> None:
    assert compile_document(document()).version == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [("destinations", "+1x"), ("sources", "class:foo"), ("destinations", "+12105-+12104"), ("sources", "5")],
)
def test_a_pattern_that_the_compiler_refuses_names_rule_and_field(field: str, value: str) -> None:
    text = f"rules: [{{name: ok, action: allow}}, {{name: bad one, action: allow, {field}: ['+1', '{value}']}}]"
    with pytest.raises(InvalidInputError, match=rf"^rule 'bad one': {field}\[1\]: ") as refused:
        compile_document(document(text.encode()), ["ok", "bad one"])
    assert " line " not in refused.value.message


def test_an_sbc_brings_its_profile_into_the_document() -> None:
    found = json.loads(
        document(
            b"""
rules: []
answers: {host: sbc.example}
profiles: {house: {allow: "!^(.*)$!sip:\\\\1@{host};rule={rule}!", host: house.example, no_opinion: allow}}
sbcs:
  - {name: edge-1, network: 192.0.2.1, profile: cisco}
  - {name: edge-2, network: "2001:db8::/32", profile: house}
"""
        )
    )

    assert found["clients"] == [
        {"network": "192.0.2.1/32", "profile": "cisco", "name": "edge-1"},
        {"network": "2001:db8::/32", "profile": "house", "name": "edge-2"},
    ]
    assert found["profiles"].keys() == {"cisco", "house"}
    assert found["profiles"]["cisco"]["service"] == "sip+E2U"
    assert found["profiles"]["house"]["allow"] == r"!^(.*)$!sip:\1@{host};rule={rule}!"
    assert found["profiles"]["house"]["redirect"] == found["answers"]["redirect"]
    assert found["profiles"]["house"]["no_opinion"] == "allow"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_profile_compiles(name: str) -> None:
    text = f"rules: []\nsbcs: [{{name: edge, network: 192.0.2.1, profile: {name}}}]".encode()

    assert compile_document(document(text)).version == 7


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sbcs: [{name: a, network: 192.0.2.1/24, profile: oracle}]", "network"),
        ("sbcs: [{name: a, network: 192.0.2.1, profile: acme}]", "'acme' is none of"),
        (
            "sbcs: [{name: a, network: 192.0.2.1, profile: oracle}, {name: a, network: 192.0.2.2, profile: oracle}]",
            "name: is taken",
        ),
        (
            "sbcs: [{name: a, network: 192.0.2.1, profile: oracle}, {name: b, network: 192.0.2.1, profile: oracle}]",
            "192.0.2.1/32 is taken",
        ),
        ("profiles: {p: {no_opinion: servfail}}", "no_opinion"),
    ],
)
def test_a_fault_of_an_sbc_is_named(text: str, fault: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_policy(f"rules: []\n{text}".encode())

    assert fault in str(raised.value)


def test_a_template_that_an_sbc_cannot_read_is_refused_with_its_field() -> None:
    text = b"rules: []\nprofiles: {house: {allow: '!^.*$!sip:a b@c!'}}"

    with pytest.raises(InvalidInputError, match=r"profiles\.house\.allow: .*spaces"):
        compile_document(document(text))
