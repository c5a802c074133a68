"""Static lists: revisions, search, conflicts, and what a committed version keeps of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import versions
from ringfence.policy.explain import explain_call
from ringfence.policy.lists import catalogue, contents, entries
from ringfence.policy.lists.entries import EntryFilter
from ringfence.policy.rules import parse_policy

SITE = Site("main", "US")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = b"""
rules: [{name: bad, destinations: ["list:bad"], action: terminate}]
lists: {bad: {stored: true}}
"""


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.connection() as opened:
        catalogue.create_list(opened, "bad", "static", "ana", NOW)
        yield opened


def add(connection: Connection, *patterns: str, **fields: Any) -> None:
    for pattern in patterns:
        entries.add_entry(connection, SITE, "bad", pattern, "ana", NOW, **fields)


def patterns(connection: Connection, **wanted: Any) -> list[str]:
    return [entry.pattern for entry in entries.find_entries(connection, "bad", EntryFilter(**wanted)).entries]


def test_a_list_is_made_once_and_described_and_deleted(connection: Connection) -> None:
    with pytest.raises(ConflictError, match="exists already"):
        catalogue.create_list(connection, "bad", "static", "ana", NOW)
    with pytest.raises(InvalidInputError, match="name"):
        catalogue.create_list(connection, "../bad", "static", "ana", NOW)
    assert catalogue.describe_list(connection, "bad", "fraud", "bob", NOW).note == "fraud"
    assert [known.name for known in catalogue.all_lists(connection)] == ["bad"]
    catalogue.delete_list(connection, "bad", "ana", NOW)
    assert catalogue.all_lists(connection) == []
    with pytest.raises(NotFoundError, match="list create"):
        entries.find_entries(connection, "bad")
    assert catalogue.create_list(connection, "bad", "static", "ana", NOW).entries == 0


def test_entries_are_canonical_and_each_change_is_a_revision(connection: Connection) -> None:
    add(connection, "+12105550100", "+1210555????", note="first")
    add(connection, "+12105550100", note="first")  # so already
    add(connection, "+12105550100", note="second")
    assert patterns(connection) == ["+12105550000-+12105559999", "+12105550100"]
    change = entries.remove_entries(connection, "bad", ["+1210555????", "+1900*"], "bob", NOW)
    assert (change.revision, change.removed) == (4, 1)
    told = [(r.revision, r.what, r.actor, r.entries) for r in catalogue.list_revisions(connection, "bad")]
    assert told == [(4, "remove", "bob", 1), (3, "edit", "ana", 2), (2, "add", "ana", 2), (1, "add", "ana", 1)]
    assert patterns(connection, revision=2) == ["+12105550000-+12105559999", "+12105550100"]
    before = entries.find_entries(connection, "bad", EntryFilter(revision=2)).entries[1]
    assert before.note == "first"
    with pytest.raises(NotFoundError, match="revision 9"):
        patterns(connection, revision=9)


@pytest.mark.parametrize("number", ["+12105550100", "+19005550100", "+12105551234", "+17775550100", "+442079460000"])
def test_a_search_by_number_finds_every_pattern_that_it_falls_under(connection: Connection, number: str) -> None:
    held = ["+12105550100", "+1900*", "+190*", "+12105551000-+12105551999", "+1???5550100", "+12105550100*"]
    add(connection, *held)
    expected = {
        "+12105550100": {"+12105550100", "+1???5550100", "+12105550100*"},
        "+19005550100": {"+1900*", "+190*", "+1???5550100"},
        "+12105551234": {"+12105551000-+12105551999"},
        "+17775550100": {"+1???5550100"},
        "+442079460000": set(),
    }
    assert set(patterns(connection, number=number)) == expected[number]


def test_search_by_text_and_note_pages_on(connection: Connection) -> None:
    add(connection, *(f"+1210555{place:04}" for place in range(25)), note="Fraud ring")
    add(connection, "+1900*")
    assert patterns(connection, note="fraud", pattern="+121055500") == [f"+1210555{place:04}" for place in range(25)]
    assert patterns(connection, pattern="+19") == ["+1900*"]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = entries.find_entries(connection, "bad", after=after, limit=10)
        seen += [entry.pattern for entry in page.entries]
        after = page.after
    assert seen == patterns(connection)


def test_the_second_editor_is_told_what_the_first_did_and_loses_nothing(connection: Connection) -> None:
    add(connection, "+12105550100")
    seen = catalogue.read_list(connection, "bad").revision
    entries.add_entry(connection, SITE, "bad", "+1900*", "ana", NOW, seen=seen)
    with pytest.raises(ConflictError, match="changed by ana and is at revision 2, not 1") as refused:
        entries.remove_entries(connection, "bad", ["+12105550100"], "bob", NOW, seen=seen)
    assert [change["what"] for change in refused.value.detail["changes"]] == ["add"]
    assert patterns(connection) == ["+12105550100", "+1900*"]


def test_what_may_not_be_on_a_list_is_refused(connection: Connection) -> None:
    for pattern, why in [("12105550100", r"\+"), ("911", "emergency"), ("*", "every number")]:
        with pytest.raises(InvalidInputError, match=why):
            add(connection, pattern)
    with pytest.raises(InvalidInputError, match="past"):
        add(connection, "+1900*", expires_at=NOW - timedelta(seconds=1))
    with pytest.raises(NotFoundError, match="not on list"):
        entries.edit_entry(connection, "bad", "+1900*", "ana", NOW, note="", expires_at=None)
    assert patterns(connection) == []


def test_a_version_keeps_the_entries_that_it_was_committed_with(connection: Connection) -> None:
    add(connection, "+19005550100")
    policy = parse_policy(POLICY)
    first = versions.commit_policy(connection, policy, SITE, "ana").version.version
    assert not versions.commit_policy(connection, policy, SITE, "ana").is_new
    entries.remove_entries(connection, "bad", ["+19005550100"], "ana", NOW)
    add(connection, "+19005550199")
    second = versions.commit_policy(connection, policy, SITE, "ana").version.version
    assert (first, second) == (1, 2)
    decided = {
        (version, number): explain_call(connection, SITE, None, number, NOW, version)["action"]
        for version in (1, 2)
        for number in ("+19005550100", "+19005550199")
    }
    assert decided == {
        (1, "+19005550100"): "terminate",
        (1, "+19005550199"): "allow",
        (2, "+19005550100"): "allow",
        (2, "+19005550199"): "terminate",
    }
    pinned = contents.of_version(connection, 1)["bad"]
    assert pinned.revision == 1
    octets = contents.read_content(connection, pinned.content)
    assert octets == b"ringfence-list 1\n+19005550100\n"
    assert hashlib.sha256(octets).hexdigest() == pinned.content


def test_a_content_can_be_named_itself_and_one_that_nobody_has_is_refused(connection: Connection) -> None:
    add(connection, "+19005550100")
    versions.commit_policy(connection, parse_policy(POLICY), SITE, "ana")
    content = contents.of_version(connection, 1)["bad"].content
    add(connection, "+1800*")
    exact = POLICY.replace(b"stored: true", f"content: {content}".encode())
    number = versions.commit_policy(connection, parse_policy(exact), SITE, "ana").version.version
    assert explain_call(connection, SITE, None, "+18005550100", NOW, number)["action"] == "allow"
    with pytest.raises(InvalidInputError, match="not in this database"):
        versions.commit_policy(connection, parse_policy(exact.replace(content.encode(), b"0" * 64)), SITE, "ana")
    with pytest.raises(InvalidInputError, match="list create"):
        versions.check_policy(connection, parse_policy(POLICY.replace(b"bad", b"good")), SITE)


def test_an_entry_acts_until_its_end_and_is_left_out_of_contents_made_later(connection: Connection) -> None:
    add(connection, "+19005550100", expires_at=NOW + timedelta(hours=1))
    versions.commit_policy(connection, parse_policy(POLICY), SITE, "ana")
    later = datetime.now(UTC)
    if later < NOW + timedelta(hours=1):
        explained = explain_call(connection, SITE, None, "+19005550100", NOW, 1)
        assert (explained["action"], explained["rules"][0]["why"]) == (
            "terminate",
            "any source; destination +19005550100 is in list:bad until 2026-11-22T13:00:00Z",
        )
    assert explain_call(connection, SITE, None, "+19005550100", NOW + timedelta(hours=1), 1)["action"] == "allow"


def test_equal_lists_share_a_content_and_what_nobody_has_is_forgotten(connection: Connection) -> None:
    catalogue.create_list(connection, "same", "static", "ana", NOW)
    add(connection, "+1900*")
    entries.add_entry(connection, SITE, "same", "+1900*", "bob", NOW, note="other")
    hashes = {contents.content_of(connection, catalogue.read_list(connection, name), NOW) for name in ("bad", "same")}
    assert len(hashes) == 1
    add(connection, "+1800*")
    connection.execute("UPDATE policy_content SET created_at = created_at - interval '2 days'")
    assert contents.prune(connection) == 0  # list `same` has it
    catalogue.delete_list(connection, "same", "ana", NOW)
    assert contents.prune(connection) == 0  # its newest revision stays for the versions that might name it


def test_each_change_is_in_the_audit_trail_with_before_and_after(connection: Connection) -> None:
    add(connection, "+1900*", note="a")
    add(connection, "+1900*", note="b")
    newest = audit.list_entries(connection, 1)[0]
    assert (newest.action, newest.subject) == ("list.edit", "bad")
    assert (newest.detail["before"]["note"], newest.detail["after"]["note"]) == ("a", "b")
