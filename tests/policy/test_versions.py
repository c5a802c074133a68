"""Versions: numbered, immutable, installed, rolled back."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import versions
from ringfence.policy.explain import explain_call
from ringfence.policy.rules import parse_policy
from ringfence.policy.versions import UNINSTALLED, Commit

SITE = Site("main", "US")


def rule(name: str, number: str = "+19005550100", **extra: str) -> str:
    fields = "".join(f", {field}: {value}" for field, value in extra.items())
    return f'{{name: {name}, destinations: ["{number}"], action: terminate{fields}}}'


def commit(database: Database, *rules: str, site: Site = SITE) -> Commit:
    with database.connection() as connection:
        return versions.commit_policy(
            connection, parse_policy(f"rules: [{', '.join(rules)}]".encode()), site, "ana", "because"
        )


def install(database: Database, version: int) -> None:
    with database.connection() as connection:
        versions.install_version(connection, version, "ana")


def test_each_content_gets_the_next_number_and_keeps_its_bytes(database: Database) -> None:
    first, second = commit(database, rule("a")), commit(database, rule("b"))
    assert [c.version.version for c in (first, second)] == [1, 2]
    with database.connection() as connection:
        document = versions.read_document(connection, 2)
    assert json.loads(document)["version"] == 2
    assert hashlib.sha256(document).hexdigest() == second.version.hash
    assert (second.version.author, second.version.message, second.version.rules) == ("ana", "because", 1)


def test_identical_content_makes_no_new_version(database: Database) -> None:
    commit(database, rule("a"))
    commit(database, rule("b"))
    again = commit(database, rule("a"))
    assert (again.version.version, again.is_new) == (1, False)


@pytest.mark.parametrize("change", ["note", "site"])
def test_another_note_or_another_dial_plan_is_another_version(database: Database, change: str) -> None:
    commit(database, rule("a"))
    if change == "note":
        other = commit(database, rule("a", note="why"))
    else:
        other = commit(database, rule("a"), site=Site("main", "US", ("+1210555*",)))
    assert (other.version.version, other.is_new) == (2, True)


def test_a_rule_keeps_its_id_for_life(database: Database) -> None:
    commit(database, rule("a"), rule("b"))
    commit(database, rule("c"), rule("b", "+1900*"))
    with database.connection() as connection:
        ids = [
            {r["name"]: r["id"] for r in json.loads(versions.read_document(connection, number))["rules"]}
            for number in (1, 2)
        ]
    assert ids == [{"a": 1, "b": 2}, {"c": 3, "b": 2}]


def test_what_does_not_compile_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(InvalidInputError, match="rule 'a': destinations"):
        commit(database, rule("a", "+1x"))
    assert commit(database, rule("b")).version.version == 1
    with database.connection() as connection:
        assert connection.execute("SELECT name FROM policy_rule").fetchall() == [("b",)]


def test_a_dry_run_checks_and_writes_nothing(database: Database) -> None:
    commit(database, rule("a"))
    with database.connection() as connection:
        versions.check_policy(connection, parse_policy(f"rules: [{rule('z')}, {rule('a')}]".encode()), SITE)
        with pytest.raises(InvalidInputError, match="rule 'y'"):
            versions.check_policy(connection, parse_policy(f"rules: [{rule('y', '+1x')}]".encode()), SITE)
    with database.connection() as connection:
        assert [v.version for v in versions.list_versions(connection)] == [1]
        assert connection.execute("SELECT count(*) FROM policy_rule").fetchone() == (1,)


def test_versions_committed_at_once_have_no_gaps(database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda number: commit(database, rule(f"r{number}")), range(6)))
    assert sorted(c.version.version for c in made) == [1, 2, 3, 4, 5, 6]


def test_installing_an_older_version_rolls_back(database: Database) -> None:
    first, _ = commit(database, rule("a")), commit(database, rule("b"))
    with database.connection() as connection:
        assert versions.installed_everywhere(connection) == UNINSTALLED
    install(database, 2)
    install(database, 1)
    with database.connection() as connection:
        assert versions.installed_everywhere(connection) == versions.Installed(1, first.version.hash)
        assert [(v.version, v.is_installed) for v in versions.list_versions(connection)] == [(2, False), (1, True)]
        versions.uninstall(connection, "ana")
        assert versions.installed_everywhere(connection) == UNINSTALLED
        entries = [(entry.action, entry.subject) for entry in audit.list_entries(connection)][::-1]
    assert entries == [
        ("policy.commit", "1"),
        ("policy.commit", "2"),
        ("policy.install", "2"),
        ("policy.install", "1"),
        ("policy.uninstall", "1"),
    ]


def test_unknown_versions_are_not_found(database: Database) -> None:
    with database.connection() as connection:
        for ask in (versions.read_version, versions.read_document, versions.read_source):
            with pytest.raises(NotFoundError, match="policy version 9 does not exist"):
                ask(connection, 9)
        with pytest.raises(NotFoundError):
            versions.install_version(connection, 9, "ana")


def test_installing_notifies_at_commit_and_only_when_something_changes(database: Database) -> None:
    commit(database, rule("a"))
    with psycopg.connect(database.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {versions.CHANNEL}")
        for _ in range(2):
            install(database, 1)
        with database.connection() as connection:
            versions.uninstall(connection, "ana")
            versions.uninstall(connection, "ana")
        heard = [notification.payload for notification in listener.notifies(timeout=5, stop_after=2)]
        heard += [notification.payload for notification in listener.notifies(timeout=0.2)]
    assert heard == ["1", "0"]


def test_explain_asks_the_installed_version_or_another(database: Database) -> None:
    now = datetime.now(UTC)
    with database.connection() as connection:
        before = explain_call(connection, SITE, "2105550123", "+19005550100", now)
    assert (before["action"], before["reason"], before["source"]) == ("allow", "no_policy", "+12105550123")
    commit(database, rule("a"))
    commit(database, rule("b", "+1210*"))
    install(database, 1)
    with database.connection() as connection:
        installed = explain_call(connection, SITE, None, "1 900 555 0100", now)
        other = explain_call(connection, SITE, None, "19005550100", now, version=2)
        with pytest.raises(InvalidInputError, match="destination: has 300 characters"):
            explain_call(connection, SITE, None, "1" * 300, now)
        with pytest.raises(InvalidInputError, match="source: is not UTF-8"):
            explain_call(connection, SITE, "\ud800", "1", now)
    assert (installed["action"], installed["rule"], installed["policy_version"]) == ("terminate", "a", 1)
    assert (other["action"], other["reason"], other["policy_version"]) == ("allow", "default", 2)
