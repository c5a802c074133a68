"""Containment decided: what speaks against an entry wins, caps hold, and what is held back is said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ringfence.database.connection import Database
from ringfence.detection.catalogue import catalogue
from ringfence.detection.containment import Candidate, Cap, Room, Standing, candidates, decide
from ringfence.detection.definition import Contain
from ringfence.detection.standing import Standings, is_protected
from ringfence.detection.surroundings import Surroundings, read_surroundings
from ringfence.mediation.sites import ensure_first_site, first_site
from ringfence.numbering.dial_plan import Site
from ringfence.policy import dynamic, versions
from ringfence.policy.lists import entries
from ringfence.policy.lists.catalogue import create_list
from ringfence.policy.rules import Policy, parse_policy
from ringfence.settings import SiteSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

CONTAIN = Contain(sources="attackers", destinations="under-attack", max_entries=3, max_per_minute=2, max_share=0.1)
FREE = Room(is_stopped=False, of_firing=0, in_minute=0)
CALLER = Candidate("attackers", "+13105550001", "source")
CALLED = Candidate("under-attack", "+12105550100", "destination")


def test_the_number_under_attack_comes_first_then_callers_as_often_as_they_called() -> None:
    wanted = candidates(CONTAIN, {"destination": "+12105550100"}, ["+13105550001", "+13105550002"])
    assert [one.pattern for one in wanted] == ["+12105550100", "+13105550001", "+13105550002"]
    assert candidates(CONTAIN, {"source": "+13105550001", "destination": "+12105550100"}, ["+1"])[1:] == [CALLER]
    (prefix,) = candidates(Contain(sources="x"), {"source_prefix": "+4412345"}, [])
    assert prefix.pattern == "+4412345*"


AGAINST = {
    Cap.PROTECTED: Standing(is_protected=True, is_own=True),
    Cap.OWN: Standing(is_own=True, is_listed=True),
    Cap.ALLOWED: Standing(is_allowed=True),
    Cap.NEVER: Standing(is_excepted=True),
    Cap.RELEASED: Standing(is_released=True),
    Cap.SHARE: Standing(calls=10, share=0.11),
}


@pytest.mark.parametrize("cap", AGAINST)
def test_whatever_speaks_against_an_entry_wins(cap: Cap) -> None:
    plan = decide(CONTAIN, [CALLER], {CALLER: AGAINST[cap]}, FREE)
    assert (plan.listings, plan.held_back) == ((), ((CALLER, cap),))


def test_an_own_number_is_listed_as_the_one_under_attack_alone() -> None:
    own = Standing(is_own=True)
    assert decide(CONTAIN, [CALLED], {CALLED: own}, FREE).listings == (CALLED,)


def test_few_calls_are_no_share() -> None:
    assert decide(CONTAIN, [CALLER], {CALLER: Standing(calls=9, share=1.0)}, FREE).listings == (CALLER,)


def test_caps_hold_over_firings_and_minutes() -> None:
    callers = [Candidate("attackers", f"+1310555000{number}", "source") for number in range(5)]
    plan = decide(CONTAIN, callers, {}, FREE)
    assert plan.listings == tuple(callers[:2])
    assert [cap for _, cap in plan.held_back] == [Cap.RATE] * 3
    plan = decide(CONTAIN, callers, {}, Room(is_stopped=False, of_firing=3, in_minute=0))
    assert [cap for _, cap in plan.held_back] == [Cap.ENTRIES] * 5
    # What is listed already needs no room.
    known = {callers[4]: Standing(is_listed=True)}
    plan = decide(CONTAIN, callers[4:], known, Room(is_stopped=False, of_firing=3, in_minute=2))
    assert (plan.known, plan.held_back) == ((callers[4],), ())
    stopped = decide(CONTAIN, callers, {}, Room(is_stopped=True, of_firing=0, in_minute=0))
    assert {cap for _, cap in stopped.held_back} == {Cap.ALL_STOP}


def test_who_is_on_a_list_that_a_rule_allows_is_not_listed_whatever_kind_of_list(database: Database) -> None:
    policy = b"""
    rules:
      - {name: all, direction: inbound, action: allow}
      - {name: friends, sources: [list:kept, list:written, list:changing, "+15125550???"], action: allow}
      - {name: off, mode: "off", sources: ["+14155550100"], action: allow}
    lists: {kept: {stored: true}, written: ["+12145550100"], changing: {dynamic: true}}
    """
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings())
        site = first_site(connection)
        create_list(connection, "kept", "static", "ada", NOW)
        for pattern in ("+13105550000-+13105550099", "+44*"):
            entries.add_entry(connection, site, "kept", pattern, "ada", NOW)
        made = versions.commit_policy(connection, parse_policy(policy), site, "ada")
        versions.install_version(connection, made.version.version, "ada")
        dynamic.add_entry(connection, site, "changing", "+17135550100", "ada", NOW)
        standings = Standings(connection, catalogue()["harassing-caller"], read_surroundings(connection), NOW, NOW)
        allowed = {
            pattern: standings.of(Candidate("x", pattern, "source")).is_allowed
            for pattern in (
                "+13105550050", "+13105550100", "+442079460000", "+4420*", "+13105550*", "+12145550100", "+17135550100",
                "+15125550123", "+14155550100",
            )
        }  # fmt: skip
    assert [pattern for pattern, is_allowed in allowed.items() if not is_allowed] == ["+13105550100", "+14155550100"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("+911", True), ("+1911", True), ("+112", True), ("+49112", True), ("+12105550111", True),
        ("+1210555011?", True), ("+12105550112", False), ("+13105550100", False),
    ],
)  # fmt: skip
def test_emergency_and_protected_numbers_of_every_site_are_known(pattern: str, expected: bool) -> None:
    policy = Policy(protected=("+12105550111",))
    around = Surroundings((), (Site("main", "US"), Site("far", "DE")), policy)
    assert is_protected(pattern, around) is expected
