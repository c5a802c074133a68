"""Dynamic entries in the database: what is accepted, what each change tells an edge, and what is tidied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import dynamic, versions
from ringfence.policy.explain import explain_call
from ringfence.policy.rules import parse_policy

SITE = Site("main", "US")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = b"""
protected: ["+12105550911"]
lists:
  attackers: {dynamic: true}
  refused: {dynamic: true, entries: ["+19005550100"]}
  fixed: ["+19005550101"]
rules:
  - {name: attack, sources: ["list:attackers"], action: terminate}
  - {name: refused, destinations: ["list:refused", "list:fixed"], action: terminate}
"""


@pytest.fixture(autouse=True)
def policy(database: Database) -> None:
    with database.connection() as connection:
        commit = versions.commit_policy(connection, parse_policy(POLICY), SITE, "ana")
        versions.install_version(connection, commit.version.version, "ana")


def add(database: Database, pattern: str, name: str = "attackers", now: datetime = NOW, **how: Any) -> dynamic.Outcome:
    with database.connection() as connection:
        return dynamic.add_entry(connection, SITE, name, pattern, "ana", now, **how)


def remove(database: Database, pattern: str, now: datetime = NOW) -> bool:
    with database.connection() as connection:
        return dynamic.remove_entry(connection, "attackers", pattern, "ana", now)


def since(database: Database, have: int, now: datetime = NOW) -> dict[str, Any]:
    with database.connection() as connection:
        return dynamic.changes_since(connection, have, now)


def actions(database: Database) -> list[str]:
    with database.connection() as connection:
        return [entry.action for entry in audit.list_entries(connection) if entry.action.startswith("list.")]


def test_adding_twice_changes_nothing_the_second_time(database: Database) -> None:
    first = add(database, "+1210555????", note="flood", lasts=timedelta(hours=2))
    again = add(database, "+12105550000-+12105559999", note="flood", lasts=timedelta(hours=2))
    assert (first.is_changed, again.is_changed, again.entry) == (True, False, first.entry)
    assert add(database, "+1210555????", lasts=timedelta(hours=3)).is_changed
    with database.connection() as connection:
        (entry,) = dynamic.list_entries(connection, "attackers", NOW)
    assert (entry.pattern, entry.expires_at) == ("+12105550000-+12105559999", NOW + timedelta(hours=3))
    assert remove(database, "+1210555????")
    assert not remove(database, "+1210555????")
    assert actions(database) == ["list.remove", "list.add", "list.add"]


@pytest.mark.parametrize("name", ["fixed", "nobody"])
def test_a_list_that_is_not_declared_dynamic_is_refused_by_name(database: Database, name: str) -> None:
    with pytest.raises(
        NotFoundError, match=rf"list '{name}' is not a dynamic list of policy version 1; it declares att"
    ):
        add(database, "+12105550100", name)
    with database.connection() as connection:
        versions.uninstall(connection, "ana")
    with pytest.raises(NotFoundError, match="none is installed"):
        add(database, "+12105550100")


@pytest.mark.parametrize("pattern", ["911", "+911", "112", "988", "+1911", "+12105550911"])
def test_protected_destinations_are_refused_with_the_reason_e6(database: Database, pattern: str) -> None:
    with pytest.raises(InvalidInputError, match="emergency number or another protected destination"):
        add(database, pattern)
    assert actions(database) == []


@pytest.mark.parametrize(
    ("pattern", "how", "why"),
    [
        ("2105550100", {}, r"pattern: '2105550100': must start with \+"),
        ("*", {}, "every number"),
        ("+12105550100", {"note": "x" * 1001}, "note: has 1001"),
        ("+12105550100", {"lasts": timedelta(0)}, "expires"),
    ],
)
def test_faults_are_named(database: Database, pattern: str, how: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        add(database, pattern, **how)


def test_an_edge_is_told_what_it_lacks(database: Database) -> None:
    assert since(database, 0)["since"] is None
    add(database, "+12105550100", lasts=timedelta(hours=1))
    add(database, "+1900*")
    whole = since(database, 0)
    end_us = int((NOW + timedelta(hours=1)).timestamp() * 1_000_000)
    assert (whole["since"], whole["lists"]) == (None, {"attackers": {"+12105550100": end_us, "+1900*": None}})
    have = whole["change"]
    assert since(database, have) == {"format": 1, "change": have, "since": have, "lists": {}, "removed": {}}
    remove(database, "+1900*")
    add(database, "+44*", "refused")
    add(database, "+12105550100")
    delta = since(database, have)
    assert delta["since"] == have
    assert delta["lists"] == {"attackers": {"+12105550100": None}, "refused": {"+44*": None}}
    assert delta["removed"] == {"attackers": ["+1900*"]}
    assert delta["change"] > have


def test_an_edge_with_a_change_of_another_history_is_told_everything(database: Database) -> None:
    add(database, "+12105550100")
    have = since(database, 0)["change"]
    for unknown in (have - 1, have + 1, 7):
        assert since(database, unknown)["since"] is None


def test_change_numbers_grow_though_the_clock_is_set_back(database: Database) -> None:
    add(database, "+12105550100")
    have = since(database, 0)["change"]
    add(database, "+12105550101", now=NOW - timedelta(hours=5))
    delta = since(database, have)
    assert (delta["since"], delta["change"]) == (have, have + 1)


def test_entries_that_have_ended_act_nowhere_and_are_tidied(database: Database) -> None:
    add(database, "+12105550100", lasts=timedelta(minutes=1))
    add(database, "+12105550101")
    have = since(database, 0)["change"]
    later = NOW + timedelta(minutes=1)
    assert since(database, 0, later)["lists"] == {"attackers": {"+12105550101": None}}
    with database.connection() as connection:
        assert len(dynamic.list_entries(connection, "attackers", later)) == 1
        assert dynamic.expire(connection, later) == 1
        assert dynamic.expire(connection, later + timedelta(days=3)) == 0
        rows = connection.execute("SELECT count(*) FROM dynamic_change").fetchone()
    assert rows == (1,)
    assert since(database, have, later)["since"] == have


def test_more_entries_than_the_most_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic, "MAX_ENTRIES", 2)
    add(database, "+12105550100", lasts=timedelta(minutes=1))
    add(database, "+12105550101")
    with pytest.raises(ConflictError, match="hold 2 entries, the most"):
        add(database, "+12105550102")
    assert add(database, "+12105550101", note="still there").is_changed
    assert add(database, "+12105550102", now=NOW + timedelta(minutes=1)).is_changed


def test_explain_shows_the_entry_and_its_end(database: Database) -> None:
    def why(now: datetime) -> tuple[str, str]:
        with database.connection() as connection:
            answer = explain_call(connection, SITE, "+12105550100", "+12105550199", now)
        return answer["action"], answer["rules"][0]["why"]

    assert why(NOW)[0] == "allow"
    add(database, "+12105550100", lasts=timedelta(hours=1))
    assert why(NOW) == (
        "terminate",
        "source +12105550100 is in list:attackers by a dynamic entry, until 2026-03-01T13:00:00Z; any destination",
    )
    assert why(NOW + timedelta(hours=1))[0] == "allow"
