"""What is wrong or strange in a policy, and that nothing is said of one that is well."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.coverage import decides_all_of, shadowed_by
from ringfence.policy.findings import Surroundings, check_object, check_whole, refuse_errors
from ringfence.policy.patterns import covers, meets
from ringfence.policy.rules import Policy, Rule, parse_policy

MAIN = Site("main", "US", ("+12105550000-+12105559999",))
AROUND = Surroundings((MAIN, Site("berlin", "DE")), {"enum-1": "main"})


def found(text: str) -> list[tuple[str, str, str]]:
    return [(one.severity, one.code, one.words) for one in check_whole(parse_policy(text.encode()), AROUND)]


CASES = {
    "{name: a, destinations: ['+1x'], action: terminate}": ("error", "syntax", "destinations[0]: '+1x'"),
    "{name: a, sources: ['class:rude'], action: terminate}": ("error", "syntax", "the classes are"),
    "{name: a, sites: [moon], action: allow}": ("error", "unknown", "sites: site 'moon' does not exist"),
    "{name: a, devices: [x], action: allow}": ("error", "unknown", "devices: device 'x' is not registered"),
    "{name: a, sites: [berlin], devices: [enum-1], action: allow}": ("warning", "never_matches", "none of them stands"),
    "{name: a, sites: [berlin], direction: inbound, action: allow}": ("warning", "never_matches", "no own ranges"),
    "{name: a, action: terminate}": ("warning", "broad", "refuses every call that no earlier rule allows"),
    "{name: a, destinations: ['+44*'], action: terminate}": ("warning", "broad", "the whole of country code 44"),
    "{name: a, destinations: ['+1210555*'], action: terminate}": ("warning", "own_numbers", "own numbers of site main"),
    "{name: a, destinations: ['+1800555????'], action: terminate}": ("warning", "toll_free", "toll-free numbers of US"),
    "{name: a, destinations: ['+1305*'], action: redirect, target: '+13055550100'}": ("warning", "loop", "for ever"),
    "{name: a, destinations: ['+1900*'], action: allow}, {name: b, destinations: ['+19005*'], action: terminate}": (
        "warning",
        "shadowed",
        "rule 'b': never decides: rule 'a' decides every call that it matches (allow)",
    ),
    "{name: a, destinations: ['+1900*'], action: allow}, {name: b, destinations: ['+1900*'], action: allow}": (
        "warning",
        "duplicate",
        "says the same and comes first",
    ),
}


@pytest.mark.parametrize("rules", CASES)
def test_each_finding_names_rule_and_field(rules: str) -> None:
    severity, code, words = CASES[rules]
    ((its_severity, its_code, its_words), *rest) = found(f"rules: [{rules}]")
    assert (its_severity, its_code) == (severity, code)
    assert words in its_words
    assert rest == []


def test_lists_schedules_and_templates_are_looked_at_too() -> None:
    codes = [
        (one.code, one.kind, one.name)
        for one in check_whole(
            parse_policy(b"""
rules: [{name: a, destinations: ["list:empty"], action: terminate}]
lists: {empty: [], unused: ["+1900*"], wrong: ["1900"], filled: {dynamic: true}}
schedules: {idle: {zone: UTC}}
profiles: {broken: {allow: "!^(.*)$!sip:\\\\1@a b!"}}
"""),
            AROUND,
        )
    ]
    assert ("template", "profile", "broken") in codes
    assert ("syntax", "list", "wrong") in codes
    assert {("empty_list", "list", "empty"), ("unused", "list", "unused"), ("unused", "schedule", "idle")} <= set(codes)
    assert ("never_matches", "rule", "a") in codes


def test_a_sound_policy_has_no_findings() -> None:
    assert found("""
rules:
- {name: vip, sources: ["list:vip"], action: allow}
- {name: premium, destinations: ["+1900*"], action: terminate}
- {name: quiet, destinations: ["+13055550100"], schedule: night, action: redirect, target: "+13055550199"}
lists: {vip: ["+13125550100"]}
schedules: {night: {zone: America/Chicago, from: "22:00", to: "06:00"}}
""") == []  # fmt: skip


def test_errors_refuse_and_warnings_do_not() -> None:
    refuse_errors(check_whole(parse_policy(b"rules: [{name: a, action: terminate}]"), AROUND))
    with pytest.raises(InvalidInputError, match="device 'x' is not registered") as refused:
        refuse_errors(check_whole(parse_policy(b"rules: [{name: a, devices: [x], action: allow}]"), AROUND))
    assert refused.value.detail["findings"][0]["code"] == "unknown"


def test_an_object_is_checked_as_it_is_typed() -> None:
    policy = parse_policy(b"rules: [{name: a, destinations: ['+1900*'], action: allow}]")

    def codes(kind: str, name: str, body: dict[str, object]) -> list[str]:
        return [one.code for one in check_object(policy, kind, name, body, AROUND)]

    assert codes("rule", "b", {"name": "b", "action": "burn"}) == ["syntax"]
    assert codes("rule", "b", {"name": "b", "action": "redirect"}) == ["syntax"]
    assert codes("rule", "b", {"name": "b", "destinations": ["+19005550100"], "action": "terminate"}) == ["shadowed"]
    assert codes("rule", "a", {"name": "a", "destinations": ["list:none"], "action": "allow"}) == ["syntax"]
    assert codes("schedule", "s", {"zone": "Moon/Base"}) == ["syntax"]
    assert codes("profile", "p", {"allow": "hello"}) == ["template"]
    assert codes("rule", "b", {"name": "b", "destinations": ["+1976*"], "action": "terminate"}) == []


DIGITS = st.text("01", min_size=1, max_size=3).map(lambda text: "+1" + text)
PATTERNS = st.one_of(
    DIGITS,
    DIGITS.map(lambda text: text + "*"),
    st.tuples(DIGITS, DIGITS).filter(lambda two: len(two[0]) == len(two[1])).map(lambda two: "-".join(sorted(two))),
    st.text("01?", min_size=1, max_size=3).map(lambda text: "+1" + text),
)  # fmt: skip
ALL = [f"+1{value:0{length}b}" for length in range(1, 6) for value in range(2**length)]


def matches(pattern: str, number: str) -> bool:
    """What a pattern says, told in the plainest way: the oracle."""
    if pattern.endswith("*"):
        return number.startswith(pattern[:-1])
    low, _, high = pattern.partition("-")
    if "?" in pattern:
        return len(pattern) == len(number) and all(p in ("?", n) for p, n in zip(pattern, number, strict=True))
    return len(number) == len(low) and low <= number <= (high or low)


@given(PATTERNS, PATTERNS)
def test_covering_and_meeting_agree_with_the_numbers_themselves(one: str, other: str) -> None:
    inside = [number for number in ALL if matches(other, number)]
    if covers(one, other):
        assert all(matches(one, number) for number in inside)
    if any(matches(one, number) for number in inside):
        assert meets(one, other)


@given(
    st.lists(
        st.tuples(
            st.lists(PATTERNS, max_size=2),
            st.lists(PATTERNS, max_size=2),
            st.sampled_from(["any", "inbound"]),
            st.sampled_from(["enforce", "monitor", "off"]),
        ),
        max_size=8,
    )
)
@example([(["+10"], [], "any", "enforce"), (["+10-+10"], [], "any", "enforce")])
@example([(["+10-+10"], [], "any", "enforce"), (["+10"], [], "any", "enforce")])
def test_the_index_finds_the_first_shadow_that_comparing_all_pairs_finds(
    drawn: list[tuple[list[str], list[str], str, str]],
) -> None:
    rules = Policy.model_validate(
        {
            "rules": [
                {
                    "name": f"r{place}",
                    "sources": s,
                    "destinations": d,
                    "direction": way,
                    "mode": mode,
                    "action": "allow",
                }
                for place, (s, d, way, mode) in enumerate(drawn)
            ]
        }
    ).rules

    def slow(place: int, rule: Rule) -> Rule | None:
        return next((one for one in rules[:place] if rule.mode != "off" and decides_all_of(one, rule)), None)

    expected = {rule.name: shadow for place, rule in enumerate(rules) if (shadow := slow(place, rule)) is not None}
    assert shadowed_by(rules) == expected


def test_ten_thousand_rules_with_shared_sources_are_checked() -> None:
    rules = tuple(
        Rule(name=f"r{n}", sources=("list:vip",), destinations=(f"+1900{n:07d}",), action="terminate")
        for n in range(10_000)
    )
    assert shadowed_by(rules) == {}
    assert set(shadowed_by((Rule(name="all", destinations=("+1900*",), action="allow"), *rules))) == {
        f"r{n}" for n in range(10_000)
    }
