"""Installing on all, a site, a device; staged; with a deadline; rolled back (R6, E3)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.policy.conftest import NOW

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.mediation.devices import (
    Heartbeat,
    authenticate_device,
    edit_device,
    list_devices,
    record_heartbeat,
    register_device,
    revoke_device,
)
from ringfence.mediation.sites import add_site, all_sites, edit_site, list_sites, remove_site
from ringfence.mediation.wanted import read_wanted
from ringfence.numbering.dial_plan import Site
from ringfence.policy import installation, versions
from ringfence.policy.documents import read_document_by_hash
from ringfence.policy.installation import Scope
from ringfence.policy.rules import parse_policy

SOON = timedelta(minutes=5)


@pytest.fixture
def committed(estate: Database) -> Database:
    """Three versions; none installed."""
    for number in range(3):
        commit(estate, f"rules: [{{name: r{number}, destinations: ['+1900555010{number}'], action: terminate}}]")
    return estate


def commit(database: Database, text: str) -> int:
    with database.connection() as connection:
        first, *others = all_sites(connection)
        policy = parse_policy(text.encode())
        return versions.commit_policy(connection, policy, first, "ana", other_sites=others).version.version


def install(database: Database, version: int, **where: str | bool) -> None:
    with database.connection() as connection:
        installation.install(connection, version, "ana", NOW, Scope(**where))  # type: ignore[arg-type]


def wanted(database: Database) -> dict[str, int]:
    with database.connection() as connection:
        return {device.name: device.wanted_version for device in list_devices(connection, NOW)}


def test_the_narrowest_target_stands_and_installing_on_all_replaces_the_others(committed: Database) -> None:
    assert wanted(committed) == {"enum-1": 0, "enum-2": 0, "enum-3": 0}
    install(committed, 1)
    install(committed, 2, site="main")
    install(committed, 3, device="enum-2")
    assert wanted(committed) == {"enum-1": 2, "enum-2": 3, "enum-3": 1}
    install(committed, 3, keep_exceptions=True)
    assert wanted(committed) == {"enum-1": 2, "enum-2": 3, "enum-3": 3}
    install(committed, 1, site="main")
    assert wanted(committed) == {"enum-1": 1, "enum-2": 1, "enum-3": 3}
    with committed.connection() as connection:
        installation.follow(connection, "ana", NOW, Scope(site="main"))
    assert wanted(committed) == {"enum-1": 3, "enum-2": 3, "enum-3": 3}
    install(committed, 2, device="enum-3")
    install(committed, 1)
    assert wanted(committed) == {"enum-1": 1, "enum-2": 1, "enum-3": 1}


def test_uninstalling_somewhere_leaves_the_others(committed: Database) -> None:
    install(committed, 1)
    with committed.connection() as connection:
        installation.uninstall(connection, "ana", NOW, Scope(device="enum-1"))
    assert wanted(committed) == {"enum-1": 0, "enum-2": 1, "enum-3": 1}
    with committed.connection() as connection:
        installation.uninstall(connection, "ana", NOW)
    assert wanted(committed) == {"enum-1": 0, "enum-2": 0, "enum-3": 0}
    with committed.connection() as connection:
        assert installation.uninstall(connection, "ana", NOW) is None


def test_unknown_places_and_versions_are_refused(committed: Database) -> None:
    with committed.connection() as connection:
        for version, scope in ((9, Scope()), (1, Scope(site="moon")), (1, Scope(device="enum-9"))):
            with pytest.raises(NotFoundError):
                installation.install(connection, version, "ana", NOW, scope)
        with pytest.raises(InvalidInputError, match="confirm_within"):
            installation.install(connection, 1, "ana", NOW, confirm_within=timedelta(seconds=1))
        with pytest.raises(InvalidInputError, match="device: is missing"):
            installation.install(connection, 1, "ana", NOW, is_staged=True)


def test_rolling_back_undoes_one_installation_after_the_other(committed: Database) -> None:
    install(committed, 1)
    install(committed, 2, device="enum-1")
    install(committed, 3)
    for expected in ({"enum-1": 2, "enum-2": 1, "enum-3": 1}, {"enum-1": 1, "enum-2": 1, "enum-3": 1},
                     {"enum-1": 0, "enum-2": 0, "enum-3": 0}):  # fmt: skip
        with committed.connection() as connection:
            installation.rollback(connection, "bob", NOW)
        assert wanted(committed) == expected
    with committed.connection() as connection, pytest.raises(ConflictError, match="no installation to roll back"):
        installation.rollback(connection, "bob", NOW)
    install(committed, 2)
    with committed.connection() as connection:
        rolled = installation.rollback(connection, "bob", NOW)
        log = installation.list_installations(connection)
        entry = audit.list_entries(connection)[0]
    assert rolled.in_words == "rolled back: all devices: no policy"
    assert [(one.action, one.outcome) for one in log[:2]] == [("rollback", None), ("install", "rolled_back")]
    assert (entry.actor, entry.action, entry.subject) == ("bob", "policy.rollback", "2")


def test_an_unconfirmed_installation_reverts_when_its_time_is_over_and_not_before(committed: Database) -> None:
    install(committed, 1)
    with committed.connection() as connection:
        made = installation.install(connection, 2, "ana", NOW, confirm_within=SOON)
        assert made is not None
        assert made.is_unconfirmed
        assert installation.revert_unconfirmed(connection, NOW + SOON - timedelta(seconds=1)) == []
    assert wanted(committed)["enum-1"] == 2
    with committed.connection() as connection:
        (reverted,) = installation.revert_unconfirmed(connection, NOW + SOON)
        assert installation.revert_unconfirmed(connection, NOW + 2 * SOON) == []
        entry = audit.list_entries(connection)[0]
        with pytest.raises(ConflictError, match="nothing waits"):
            installation.confirm(connection, "ana", NOW)
    assert reverted.in_words == "reverted, not confirmed in time: all devices: version 1"
    assert wanted(committed) == {"enum-1": 1, "enum-2": 1, "enum-3": 1}
    assert (entry.actor, entry.action) == ("commit-confirm", "policy.revert")


def test_a_confirmed_installation_stays(committed: Database) -> None:
    with committed.connection() as connection:
        installation.install(connection, 2, "ana", NOW, confirm_within=SOON)
        assert len(installation.read_state(connection).unconfirmed) == 1
        (confirmed,) = installation.confirm(connection, "bob", NOW + timedelta(minutes=1))
        assert (confirmed.outcome, confirmed.outcome_by) == ("confirmed", "bob")
        assert installation.revert_unconfirmed(connection, NOW + 2 * SOON) == []
        assert installation.read_state(connection).unconfirmed == []
    assert wanted(committed)["enum-1"] == 2


def test_a_revert_leaves_what_others_have_installed_since(committed: Database) -> None:
    install(committed, 1)
    with committed.connection() as connection:
        installation.install(connection, 2, "ana", NOW, confirm_within=SOON)
    install(committed, 3, site="berlin")
    with committed.connection() as connection:
        installation.revert_unconfirmed(connection, NOW + SOON)
    assert wanted(committed) == {"enum-1": 1, "enum-2": 1, "enum-3": 3}
    with committed.connection() as connection:
        installation.install(connection, 2, "ana", NOW, Scope(keep_exceptions=True), confirm_within=SOON)
        installation.install(connection, 3, "bob", NOW, Scope(keep_exceptions=True))
        assert [one.outcome for one in installation.revert_unconfirmed(connection, NOW + SOON)] == ["superseded"]
    assert wanted(committed) == {"enum-1": 3, "enum-2": 3, "enum-3": 3}


def enforce(database: Database, name: str, version: int, credential: str) -> None:
    with database.connection() as connection:
        device = authenticate_device(connection, credential)
        hash_ = read_wanted(connection, is_made=True)[device.device_id].hash
        record_heartbeat(connection, device, Heartbeat(version, hash_, 0), None, NOW)


def test_a_staged_installation_goes_on_once_its_first_device_enforces_it(committed: Database) -> None:
    with committed.connection() as connection:
        _, credential = register_device(connection, "canary", "enum", "main", "ana")
    install(committed, 1)
    with committed.connection() as connection:
        with pytest.raises(ConflictError, match="no staged installation waits"):
            installation.go_on(connection, "ana", NOW)
        installation.install(connection, 2, "ana", NOW, Scope(device="canary"), is_staged=True)
        with pytest.raises(ConflictError, match="device canary is not connected"):
            installation.go_on(connection, "ana", NOW)
    assert wanted(committed) == {"canary": 2, "enum-1": 1, "enum-2": 1, "enum-3": 1}
    enforce(committed, "canary", 1, credential)
    with committed.connection() as connection, pytest.raises(ConflictError, match="enforces version 1, not version 2"):
        installation.go_on(connection, "ana", NOW)
    enforce(committed, "canary", 2, credential)
    with committed.connection() as connection:
        went_on = installation.go_on(connection, "ana", NOW)
        assert went_on.action == "go_on"
        assert installation.read_state(connection).staged is None
    assert set(wanted(committed).values()) == {2}
    with committed.connection() as connection:
        installation.rollback(connection, "ana", NOW)
        log = [(one.action, one.outcome) for one in installation.list_installations(connection)]
    assert set(wanted(committed).values()) == {1}, "one action takes both steps back"
    assert log == [("rollback", None), ("go_on", "rolled_back"), ("install", "rolled_back"), ("install", None)]


def test_pending_and_drift_are_told_apart(committed: Database) -> None:
    with committed.connection() as connection:
        _, credential = register_device(connection, "probe", "enum", "main", "ana")
    install(committed, 1)
    enforce(committed, "probe", 0, credential)

    def status(at: timedelta) -> tuple[bool, int | None, bool]:
        with committed.connection() as connection:
            now = NOW + at
            (device,) = [one for one in list_devices(connection, now) if one.name == "probe"]
            return device.is_current, device.pending_version, device.drift_since(now) is not None

    assert status(timedelta(seconds=2)) == (False, 1, False)
    assert status(timedelta(seconds=10)) == (False, 1, True)
    assert status(timedelta(seconds=30)) == (False, 1, False)  # away: not known to drift
    enforce(committed, "probe", 1, credential)
    assert status(timedelta(seconds=2)) == (True, None, False)


def names_at(database: Database) -> dict[str, list[str]]:
    """Device → rules of the very bytes that it gets."""
    with database.connection() as connection:
        ids = {device.device_id: device.name for device in list_devices(connection)}
        return {
            ids[device_id]: [rule["name"] for rule in json.loads(read_document_by_hash(connection, one.hash))["rules"]]
            for device_id, one in read_wanted(connection, is_made=True).items()
        }


SCOPED = """
rules:
- {name: everywhere, destinations: ["+1900*"], action: terminate}
- {name: berlin only, sites: [berlin], destinations: ["+49900*"], action: terminate}
- {name: second only, devices: [enum-2], destinations: ["+1976*"], action: terminate}
"""


def test_a_rule_for_some_sites_or_devices_is_compiled_for_those_only(estate: Database) -> None:
    install(estate, commit(estate, SCOPED))
    assert names_at(estate) == {
        "enum-1": ["everywhere"],
        "enum-2": ["everywhere", "second only"],
        "enum-3": ["everywhere", "berlin only"],
    }
    with estate.connection() as connection:
        edit_device(connection, "enum-2", "ana", site="berlin")
        register_device(connection, "enum-4", "enum", "berlin", "ana")
    assert names_at(estate)["enum-2"] == ["everywhere", "berlin only", "second only"]
    assert names_at(estate)["enum-4"] == ["everywhere", "berlin only"]


def test_a_rule_that_only_one_device_has_must_compile_at_commit(estate: Database) -> None:
    with pytest.raises(InvalidInputError, match="rule 'a': destinations"):
        commit(estate, "rules: [{name: a, devices: [enum-2], destinations: ['+1x'], action: allow}]")


def test_each_site_gets_its_own_dial_plan_and_later_sites_too(estate: Database) -> None:
    install(estate, commit(estate, SCOPED))
    with estate.connection() as connection:
        add_site(connection, Site("paris", "FR"), "ana")
        register_device(connection, "enum-5", "enum", "paris", "ana")
        edit_site(connection, "berlin", {"national_prefix": "9", "extension_lengths": [3]}, "ana")
        by_id = {device.device_id: device.name for device in list_devices(connection)}
        sites = {
            by_id[device_id]: json.loads(read_document_by_hash(connection, one.hash))["site"]
            for device_id, one in read_wanted(connection, is_made=True).items()
        }
    assert {name: site["country"] for name, site in sites.items()} == {
        "enum-1": "US", "enum-2": "US", "enum-3": "DE", "enum-5": "FR"
    }  # fmt: skip
    assert sites["enum-3"]["national_prefix"] == "0"  # as when it was committed
    version = commit(estate, SCOPED)
    assert version == 2  # the same rules for another plan
    install(estate, version)
    with estate.connection() as connection:
        berlin = next(d for d in list_devices(connection) if d.name == "enum-3")
        document = json.loads(read_document_by_hash(connection, read_wanted(connection)[berlin.device_id].hash))
    assert (document["site"]["national_prefix"], document["site"]["extension_lengths"]) == ("9", [3])


def test_sites_come_change_and_go(estate: Database) -> None:
    with estate.connection() as connection:
        for wrong, said in (
            (Site("a/b", "US"), "name: 'a/b' is not a name"),
            (Site("x", "XX"), "country: 'XX' is not known"),
            (Site("x", "US", ("210",)), r"own_ranges\[0\]"),
            (Site("x", "US", extension_lengths=(99,)), "extension_lengths"),
        ):
            with pytest.raises(InvalidInputError, match=said):
                add_site(connection, wrong, "ana")
        with pytest.raises(ConflictError, match="exists already"):
            add_site(connection, Site("berlin", "DE"), "ana")
        with pytest.raises(ConflictError, match=r"has devices \(enum-3\)"):
            remove_site(connection, "berlin", "ana")
        edit_device(connection, "enum-3", "ana", site="main", note="moved")
        remove_site(connection, "berlin", "ana")
        with pytest.raises(ConflictError, match="is the only one"):
            remove_site(connection, "main", "ana")
        assert [(one.site.name, one.devices) for one in list_sites(connection)] == [("main", 3)]
        assert next(d for d in list_devices(connection) if d.name == "enum-3").note == "moved"


def test_a_revoked_device_leaves_no_exception_behind(committed: Database) -> None:
    install(committed, 1)
    install(committed, 2, device="enum-1")
    with committed.connection() as connection:
        revoke_device(connection, "enum-1", "ana")
        register_device(connection, "enum-1", "enum", "main", "ana")
    assert wanted(committed)["enum-1"] == 1
