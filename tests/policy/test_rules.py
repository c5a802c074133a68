"""The policy as written: what is accepted, and faults that name rule and field."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import InvalidInputError
from ringfence.policy.rules import Policy, parse_policy, policy_from, render_policy

EXAMPLE = b"""
rules:
  - {name: premium, destinations: ["+19005550100"], action: terminate}
  - name: moved
    mode: off
    direction: inbound
    destinations: [+12105550100, list:bad]
    action: redirect
    target: +12105550199
    schedule: office
    rate: {limit: 10, window_s: 60, key: pair}
    track: alert
    note: moved in May
lists:
  bad: ["+1900*", "+12105550100-+12105550199"]
  noted: {entries: ["+1210555????"], note: from the carrier}
schedules:
  office: {zone: America/Chicago, days: [mon, tue], from: 08:00, to: 18:00}
protected: [911, "000"]
answers: {host: sbc.example}
"""


def test_reads_every_field_unquoted_as_people_write_it() -> None:
    policy = parse_policy(EXAMPLE)
    moved = policy.rules[1]
    assert (moved.mode, moved.target, moved.destinations) == ("off", "+12105550199", ("+12105550100", "list:bad"))
    assert policy.schedules["office"].start == "08:00"
    assert policy.schedules["office"].end == "18:00"
    assert policy.protected == ("911", "000")
    assert policy.lists["noted"].note == "from the carrier"


def test_what_is_shown_reads_back_to_the_same_policy() -> None:
    policy = parse_policy(EXAMPLE)
    assert parse_policy(render_policy(policy.as_source()).encode()) == policy
    assert policy_from(json.loads(json.dumps(policy.as_source()))) == policy


def test_json_is_taken_too() -> None:
    assert parse_policy(json.dumps(parse_policy(EXAMPLE).as_source()).encode()) == parse_policy(EXAMPLE)


def test_the_empty_policy_is_one() -> None:
    assert parse_policy(b"rules: []") == Policy()


FAULTS = {
    "rules: [{name: a, action: deny}]": "rule 'a': action: must be 'allow', 'terminate' or 'redirect', got 'deny'",
    "rules: [{name: a, action: allow, destination: [x]}]": "rule 'a': destination: no such field",
    "rules: [{action: allow}]": "rule 1: name: is missing",
    "rules: [3]": "rule 1: must be a mapping, got 3",
    "rules: {a: 1}": "rules: must be a list, got {'a': 1}",
    "rules: [{name: a!, action: allow}]": "rule 'a!': name: must be a name of 1 to 64 letters, digits, spaces",
    "rules: [{name: a, action: redirect}]": "rule 'a': target: is missing; a redirect needs one",
    "rules: [{name: a, action: allow, target: +12}]": "rule 'a': target: is for redirect only, the action is allow",
    "rules: [{name: a, action: redirect, target: '99'}]": "rule 'a': target: must be a number such as",
    "rules: [{name: a, action: allow}, {name: a, action: allow}]": "rule 'a': name: is taken by an earlier rule",
    "rules: [{name: a, action: allow, sources: ['list:x']}]": "rule 'a': sources[0]: 'list:x' is not defined under",
    "rules: [{name: a, action: allow, schedule: x}]": "rule 'a': schedule: 'x' is not defined under schedules",
    "rules: [{name: a, action: allow, rate: {limit: 0, window_s: 5, key: source}}]": "rule 'a': rate.limit: must be",
    "schedules: {o: {zone: Mars}}": "schedules.o.zone: 'Mars' is not a time zone; expected a name such as",
    "schedules: {o: {zone: Europe/Berlin, from: 8}}": "schedules.o.from: must be",
    "lists: {'b/d': []}": "lists.b/d: must be a name",
    "lists: {l: {entries: ['+1'], foo: 1}}": "lists.l.foo: no such field",
    "xx: 1": "xx: no such field",
    "1: 1": "1: no such field",
    "- 1": "expected a mapping with rules",
    "": "expected a mapping with rules",
    "[1": "not YAML: line 2, column 1",
    "rules: []\nrules: []": "not YAML: line 2, column 1: 'rules' stands twice",
    "a: &x [1]\nb: *x": "not YAML: line 1, column 4: aliases are not allowed",
    "? [a]\n: 1": "not YAML: line 1, column 3: a key must be plain text",
    "!!python/object:os.system {}": "not YAML: line 1, column 1: could not determine a constructor",
    "\x00": "not YAML: unacceptable character",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_names_rule_and_field_and_what_would_be_right(text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_policy(text.encode())
    assert FAULTS[text] in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.code == "invalid.policy"


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_policy(b"rules: [{nme: a, action: x}]\nfoo: 1\nbar: 2")
    assert len(refused.value.detail["faults"]) == 5
    assert refused.value.message.count(";") == 2
    assert refused.value.message.endswith("(and 2 more)")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with suppress(InvalidInputError):
        parse_policy(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rules", "name", "action", "lists", "rate", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_tree_is_read_or_refused(tree: object) -> None:
    with suppress(InvalidInputError):
        policy_from(tree)
