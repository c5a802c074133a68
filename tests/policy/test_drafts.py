"""The shared draft: edits merge or conflict, nothing is lost, a commit takes what is there (E3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from tests.policy.conftest import NOW

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.mediation.sites import first_site
from ringfence.policy import drafts, edits, versions
from ringfence.policy.drafts import By, Edited
from ringfence.policy.edits import Edit, Place
from ringfence.policy.rules import parse_policy

PREMIUM = {"destinations": ["+1900*"], "action": "terminate"}


def by(actor: str = "ana", seen: int | None = None) -> By:
    return By(actor, NOW, seen)


def do(database: Database, edit: Edit, who: By) -> Edited:
    with database.connection() as connection:
        return drafts.apply_edit(connection, edit, who)


def commit(database: Database, message: str = "", who: By | None = None) -> int:
    with database.connection() as connection:
        return drafts.commit_draft(connection, message, who or by()).version.version


def rules(database: Database) -> list[str]:
    with database.connection() as connection:
        return [rule.name for rule in drafts.read_draft(connection).policy.rules]


def test_a_draft_begins_as_the_newest_version_and_is_committed_as_the_next(estate: Database) -> None:
    with estate.connection() as connection:
        assert drafts.read_draft(connection).revision == 0
    edited = do(estate, edits.add("rule", "premium", PREMIUM), by(seen=0))
    assert (edited.draft.revision, [one.in_words for one in edited.changes]) == (
        1,
        ["rule 'premium' added at place 1, last: terminate, destinations +1900*"],
    )
    assert commit(estate, "first") == 1
    with estate.connection() as connection:
        assert drafts.pending_changes(connection) == ()
        assert drafts.read_draft(connection).base_version == 1
        assert versions.read_source(connection, 1)["rules"] == [{"name": "premium", **PREMIUM}]


def test_rules_are_added_moved_copied_edited_and_removed(estate: Database) -> None:
    for name, place in (("a", Place()), ("c", Place()), ("b", Place(before="c")), ("z", Place(is_first=True))):
        do(estate, edits.add("rule", name, {**PREMIUM, "destinations": [f"+1900555010{len(name)}"]}, place), by())
    assert rules(estate) == ["z", "a", "b", "c"]
    do(estate, edits.move("z", Place(after="c")), by())
    do(estate, edits.copy("rule", "a", "a2"), by())
    assert rules(estate) == ["a", "a2", "b", "c", "z"]
    changed = do(estate, edits.change("rule", "b", {"mode": "off", "note": "later"}), by())
    assert changed.changes[0].in_words == "rule 'b': mode enforce → off; note set to later"
    assert do(estate, edits.change("rule", "b", {"mode": None}), by()).changes[0].after == {
        "name": "b",
        "destinations": ["+19005550101"],
        "action": "terminate",
        "note": "later",
    }
    do(estate, edits.remove("rule", "a"), by())
    assert rules(estate) == ["a2", "b", "c", "z"]
    for wrong in (edits.remove("rule", "a"), edits.move("b", Place(before="a")), edits.copy("rule", "a", "b")):
        with pytest.raises(NotFoundError, match="rule 'a' does not exist"):
            do(estate, wrong, by())
    with pytest.raises(ConflictError, match="rule 'b' exists already"):
        do(estate, edits.add("rule", "b", PREMIUM), by())


def test_every_kind_of_object_is_edited_and_references_hold(estate: Database) -> None:
    do(estate, edits.add("schedule", "night", {"zone": "UTC"}), by())
    do(estate, edits.add("list", "bad", {"entries": ["+19005550100"]}), by())
    do(estate, edits.add("profile", "own", {"service": "sip+E2U"}), by())
    do(estate, edits.add("sbc", "edge-1", {"network": "192.0.2.1", "profile": "own"}), by())
    do(estate, edits.add("protected", "933", {}), by())
    do(estate, edits.put("answers", "default", {"host": "sbc.example"}), by())
    do(estate, edits.add("rule", "a", {"sources": ["list:bad"], "schedule": "night", "action": "terminate"}), by())
    for kind, name in (("schedule", "night"), ("list", "bad"), ("profile", "own")):
        with pytest.raises(InvalidInputError, match=name):
            do(estate, edits.remove(kind, name), by())
    for kind, name in (("rule", "a"), ("sbc", "edge-1"), ("schedule", "night"), ("list", "bad"), ("profile", "own"),
                       ("protected", "933"), ("answers", "default")):  # fmt: skip
        do(estate, edits.remove(kind, name), by())
    with estate.connection() as connection:
        assert drafts.read_draft(connection).policy.as_source() == {}


def test_what_cannot_be_is_refused_and_changes_nothing(estate: Database) -> None:
    for body, said in (
        ({"destinations": ["+1x"], "action": "terminate"}, r"destinations\[0\]"),
        ({"action": "redirect"}, "target: is missing"),
        ({"action": "allow", "schedule": "none"}, "not defined under schedules"),
        ({"action": "allow", "colour": "red"}, "colour: no such field"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            do(estate, edits.add("rule", "a", body), by())
    with estate.connection() as connection:
        assert drafts.read_draft(connection).revision == 0


def test_edits_of_different_objects_merge_by_themselves(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    do(estate, edits.add("rule", "b", {**PREMIUM, "destinations": ["+1976*"]}), by())
    do(estate, edits.change("rule", "a", {"mode": "monitor"}), by("ana", seen=2))
    do(estate, edits.change("rule", "b", {"mode": "off"}), by("bob", seen=2))
    do(estate, edits.move("a", Place(after="b")), by("eve", seen=2))  # another's edit of its content is kept
    do(estate, edits.add("rule", "c", {**PREMIUM, "destinations": ["+44906*"]}), by("bob", seen=2))
    with estate.connection() as connection:
        source = drafts.read_draft(connection).policy.as_source()["rules"]
    assert [(rule["name"], rule.get("mode")) for rule in source] == [("b", "off"), ("a", "monitor"), ("c", None)]


def test_two_edits_of_one_object_conflict_and_the_second_learns_what_the_first_did(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    do(estate, edits.change("rule", "a", {"mode": "monitor"}), by("ana", seen=1))
    for second in (edits.change("rule", "a", {"note": "mine"}), edits.remove("rule", "a")):
        with pytest.raises(ConflictError, match="ana at 12:00:00 UTC: rule 'a': mode enforce → monitor") as refused:
            do(estate, second, by("bob", seen=1))
        assert refused.value.code == "conflict.draft"
        assert refused.value.detail["current"]["mode"] == "monitor"
        assert (refused.value.detail["seen"], refused.value.detail["revision"]) == (1, 2)
    do(estate, edits.change("rule", "a", {"note": "mine"}), by("bob", seen=2))
    do(estate, edits.move("a", Place(is_first=True)), by("bob", seen=3))
    with pytest.raises(ConflictError, match="revision: 99 is not known"):
        do(estate, edits.remove("rule", "a"), by("bob", seen=99))


def test_of_many_who_edit_one_object_at_once_exactly_one_gets_through(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    together = Barrier(6)

    def attempt(number: int) -> str:
        together.wait(30)
        try:
            do(estate, edits.change("rule", "a", {"note": f"n{number}"}), by(f"person-{number}", seen=1))
        except ConflictError:
            return "conflict"
        return f"n{number}"

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(attempt, range(6)))
    (winner,) = [result for result in results if result != "conflict"]
    with estate.connection() as connection:
        draft = drafts.read_draft(connection)
    assert (draft.revision, draft.policy.rules[0].note) == (2, winner)


def test_many_who_edit_different_objects_at_once_all_get_through(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: do(estate, edits.add("protected", f"93{n}", {}), by(f"person-{n}", seen=1)), range(6)))
    with estate.connection() as connection:
        assert sorted(drafts.read_draft(connection).policy.protected) == [f"93{n}" for n in range(6)]


def test_a_commit_of_what_was_not_seen_is_refused(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by("ana"))
    do(estate, edits.change("rule", "a", {"note": "more"}), by("bob"))
    with pytest.raises(ConflictError, match="bob at 12:00:00 UTC: rule 'a': note set to more"):
        commit(estate, "", by("ana", seen=1))
    assert commit(estate, "", by("ana", seen=2)) == 1


def test_errors_refuse_the_commit_and_warnings_do_not(estate: Database) -> None:
    do(estate, edits.add("rule", "a", {"action": "terminate", "devices": ["enum-9"]}), by())
    with pytest.raises(InvalidInputError, match="device 'enum-9' is not registered"):
        commit(estate)
    do(estate, edits.change("rule", "a", {"devices": None}), by())
    with estate.connection() as connection:
        assert [one.code for one in drafts.check_draft(connection)] == ["broad"]
    assert commit(estate) == 1


def test_a_version_that_came_meanwhile_is_merged_unless_both_changed_the_same(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    commit(estate)
    do(estate, edits.add("rule", "mine", {**PREMIUM, "destinations": ["+1976*"]}), by())
    elsewhere = (
        b'rules: [{name: theirs, action: allow, sources: ["+1305*"]},'
        b' {name: a, destinations: ["+1900*"], action: terminate}]'
    )
    with estate.connection() as connection:
        versions.commit_policy(connection, parse_policy(elsewhere), first_site(connection), "git")
    assert rules(estate) == ["theirs", "mine", "a"]
    do(estate, edits.change("rule", "a", {"note": "mine"}), by())
    clash = elsewhere.replace(b"name: a,", b"name: a, note: theirs,")
    with estate.connection() as connection:
        versions.commit_policy(connection, parse_policy(clash), first_site(connection), "git")
    with estate.connection() as connection:
        assert [one.code for one in drafts.check_draft(connection)] == ["overlap"]
    with pytest.raises(ConflictError, match="version 3, committed meanwhile, has: rule 'a': note"):
        commit(estate)
    with estate.connection() as connection:
        made = drafts.commit_draft(connection, "", by(), overwrites=True)
        assert versions.read_source(connection, made.version.version)["rules"][-1]["note"] == "mine"


def test_discarding_and_loading_a_version_are_edits_too(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by())
    commit(estate)
    do(estate, edits.remove("rule", "a"), by())
    do(estate, edits.add("rule", "b", PREMIUM), by())
    commit(estate)
    with estate.connection() as connection:
        loaded = drafts.load_version(connection, 1, by(seen=3))
    assert loaded.changes[0].in_words == "rule 'b' removed"
    assert rules(estate) == ["a"]
    with estate.connection() as connection:
        drafts.discard(connection, by())
        assert drafts.read_changes(connection)[0].operation == "discard"
        with pytest.raises(NotFoundError):
            drafts.load_version(connection, 9, by())
    assert rules(estate) == ["b"]


def test_every_edit_is_in_the_audit_trail_with_before_and_after(estate: Database) -> None:
    do(estate, edits.add("rule", "a", PREMIUM), by("ana"))
    do(estate, edits.change("rule", "a", {"mode": "off"}), By("bob", NOW + timedelta(minutes=1)))
    with estate.connection() as connection:
        entry = audit.list_entries(connection)[0]
    assert (entry.actor, entry.action, entry.subject) == ("bob", "draft.rule.edit", "a")
    assert (entry.detail["before"], entry.detail["after"]["mode"]) == ({"name": "a", **PREMIUM}, "off")
