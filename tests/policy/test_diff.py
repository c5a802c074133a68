"""Differences between policies: in words, and exact enough to be applied again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.policy.diff import changes_between, export, move_of, patched, yaml_diff
from ringfence.policy.edits import Place, move
from ringfence.policy.rules import Policy, parse_policy

NAMES = [f"rule-{letter}" for letter in "abcdefgh"]
LISTS = ["bad", "good"]
MATCHERS = st.sampled_from(["+1900*", "+12105550100", "class:anonymous", "list:bad", "list:good"])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules: list[dict[str, Any]] = [
        {
            "name": name,
            "mode": draw(st.sampled_from(["enforce", "monitor", "off"])),
            "sources": draw(st.lists(MATCHERS, max_size=2, unique=True)),
            "action": draw(st.sampled_from(["allow", "terminate"])),
            "note": draw(st.sampled_from(["", "why"])),
        }
        for name in draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    ]
    lists = {name: draw(st.lists(st.sampled_from(["+1900*", "+44*"]), max_size=2, unique=True)) for name in LISTS}
    schedules = {"night": {"zone": draw(st.sampled_from(["UTC", "Europe/Berlin"]))}} if draw(st.booleans()) else {}
    protected = draw(st.lists(st.sampled_from(["911", "112", "+12105550111"]), unique=True, max_size=2))
    return Policy.model_validate(
        {"rules": rules, "lists": lists, "schedules": schedules, "protected": sorted(protected)}
    )


@given(policies(), policies())
def test_the_difference_applied_gives_the_other(before: Policy, after: Policy) -> None:
    changes = changes_between(before, after)
    again = patched(before, changes)
    assert changes_between(again, after) == ()
    assert [rule.name for rule in again.rules] == [rule.name for rule in after.rules]
    assert (changes == ()) == (export(before) == export(after))


@given(policies())
def test_what_is_exported_reads_to_the_same_policy(policy: Policy) -> None:
    assert changes_between(policy, parse_policy(export(policy).encode())) == ()
    assert export(parse_policy(export(policy).encode())) == export(policy)


@given(policies(), st.data())
def test_a_move_keeps_the_set_of_rules_and_moves_only_one(policy: Policy, data: st.DataObject) -> None:
    names = [rule.name for rule in policy.rules]
    if len(names) < 2:
        return
    name, anchor = data.draw(st.permutations(names))[:2]
    is_before = data.draw(st.booleans())
    after = move(name, Place(before=anchor) if is_before else Place(after=anchor)).apply(policy)
    moved = [rule.name for rule in after.rules]
    assert sorted(moved) == sorted(names)
    assert [one for one in moved if one != name] == [one for one in names if one != name]
    assert moved.index(anchor) - moved.index(name) == (1 if is_before else -1)
    assert len(changes_between(policy, after)) <= 1
    assert [one.name for one in move_of(name, policy, after)] == ([name] if moved != names else [])


def test_words_name_what_changed() -> None:
    before = parse_policy(b"""
rules:
- {name: premium, mode: monitor, destinations: ["+1900*", "list:bad"], action: terminate}
- {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
- {name: gone, action: allow}
lists: {bad: ["+12105550100"]}
""")
    after = parse_policy(b"""
rules:
- {name: fresh, sources: ["class:anonymous"], action: terminate}
- {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550198"}
- {name: premium, destinations: ["+1900*", "+1976*"], action: terminate, note: never}
lists: {bad: ["+12105550100", "+12105550101"]}
protected: ["933"]
""")
    assert [change.in_words for change in changes_between(before, after)] == [
        "rule 'gone' removed",
        "rule 'fresh' added at place 1, before 'moved': terminate, sources class:anonymous",
        "rule 'moved': target +12105550199 → +12105550198",
        "rule 'premium': mode monitor → enforce; destinations: added +1976*, removed list:bad; note set to never",
        "rule 'moved' moved to place 2, before 'premium'",
        "list 'bad': entries: added +12105550101",
        "protected number '933' added",
    ]
    assert "-- name: gone" in yaml_diff(before, after, "version 1", "draft")
