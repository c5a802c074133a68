"""Hits of rules, over all devices and time; hits of list entries, from the entries that the deciding version had."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.mediation.recording import decided, engine_of, record
from tests.mediation_server import RunningMediation
from typer.testing import CliRunner

from ringfence.analytics.hits import rule_hits
from ringfence.cli.main import build
from ringfence.database.connection import Database
from ringfence.errors import NotFoundError
from ringfence.mediation import entry_hits, usage
from ringfence.mediation.devices import register_device
from ringfence.mediation.ingest.hits import KEPT_HOURS, KEPT_MINUTES, purge_hits
from ringfence.mediation.jobs import Progress
from ringfence.mediation.sites import ensure_first_site, first_site
from ringfence.policy import versions
from ringfence.policy.rules import parse_policy
from ringfence.settings import Settings

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
START = NOW - timedelta(hours=3)
FIRST = b"""
rules:
  - {name: premium, destinations: ["+1900*"], action: terminate}
  - {name: bad, sources: ["list:bad"], action: terminate}
  - {name: watch, destinations: ["list:bad"], action: terminate, mode: monitor}
  - {name: idle, destinations: ["+19005550100"], action: redirect, target: "+12105550199"}
lists: {bad: ["+13125550100", "+1312555*", "+16465550000-+16465550099"]}
"""
SECOND = FIRST.replace(b'"+1312555*", ', b"").replace(b'"+16465550000-', b'"+17735550???", "+16465550000-')


def commit(database: Database, text: bytes) -> int:
    with database.connection() as connection:
        made = versions.commit_policy(connection, parse_policy(text), first_site(connection), "ann").version
        versions.install_version(connection, made.version, "ann")
        return made.version


@pytest.fixture
def site(database: Database) -> Database:
    """A database with a site."""
    with database.connection() as connection:
        ensure_first_site(connection, Settings().site)
    return database


def add_calls(database: Database, version: int, device: str, calls: list[tuple[str, str, int]], at: datetime) -> None:
    """(source, destination, how often), a second apart."""
    with database.connection() as connection:
        engine = engine_of(connection, version)
        device_id = register_device(connection, device, "enum", None, "test")[0].device_id
    each = [(source, destination) for source, destination, count in calls for _ in range(count)]
    events = [decided(engine, *pair, at + timedelta(seconds=place)) for place, pair in enumerate(each)]
    record(database, device_id, events, NOW)


def count(database: Database, name: str = "bad", **how: Any) -> dict[str, Any]:
    with database.connection() as connection:
        prepared = entry_hits.prepare(connection, name, START, NOW, NOW)
    return entry_hits.count(database, prepared, Progress(), **how)


def test_rules_are_counted_over_devices_and_time(site: Database) -> None:
    version = commit(site, FIRST)
    calls = [("+12105550123", "+19005550100", 3), ("+13125550100", "+12105550100", 2), ("+1210", "+13125550177", 4)]
    add_calls(site, version, "a", calls, START + timedelta(minutes=10))
    add_calls(site, version, "b", calls[:1], START + timedelta(minutes=70))
    with site.connection() as connection:
        report = rule_hits(connection, START, NOW, now=NOW)
        alone = rule_hits(connection, START, NOW, device="b", now=NOW)
        used = usage.rule_usage(connection, START, NOW)
        later = usage.rule_usage(connection, START + timedelta(minutes=60), NOW)
    found = {rule.name: (rule.hits, rule.monitored) for rule in report.rules}
    assert found == {"premium": (6, 0), "bad": (2, 0), "watch": (0, 4)}
    assert {rule.name: rule.hits for rule in alone.rules} == {"premium": 3}
    premium = next(rule for rule in report.rules if rule.name == "premium")
    assert report.resolution == "minute"
    assert [hits for hits, _ in premium.series if hits] == [3, 3]
    assert report.buckets[[hits for hits, _ in premium.series].index(3)] == START + timedelta(minutes=10)
    assert premium.last_at == START + timedelta(minutes=70, seconds=2)
    assert used["unused"] == ["idle"]
    assert {rule["name"]: rule["shadowed_by"] for rule in used["rules"] if rule["shadowed_by"]} == {"idle": "premium"}
    assert set(later["unused"]) >= {"bad", "watch", "idle"}
    assert [rule["name"] for rule in used["rules"]] == ["premium", "bad", "watch", "idle"]


def test_a_long_period_is_answered_by_the_hour_and_old_counts_go(site: Database) -> None:
    version = commit(site, FIRST)
    add_calls(site, version, "a", [("+12105550123", "+19005550100", 3)], START)
    with site.connection() as connection:
        weeks = rule_hits(connection, NOW - timedelta(days=14), NOW, now=NOW)
        assert (weeks.resolution, weeks.rules[0].hits, len(weeks.buckets)) == ("hour", 3, 14 * 24 + (NOW.minute > 0))
        purge_hits(connection, START + KEPT_MINUTES + timedelta(minutes=1))
        assert rule_hits(connection, START, NOW, now=NOW).rules[0].hits == 0
        assert rule_hits(connection, NOW - timedelta(days=14), NOW, now=NOW).rules[0].hits == 3
        purge_hits(connection, START + KEPT_HOURS + timedelta(hours=1))
        assert rule_hits(connection, START, NOW, now=NOW).rules == ()


def test_entries_are_counted_by_what_the_deciding_version_had(site: Database) -> None:
    first = commit(site, FIRST)
    calls = [("+13125550100", "+12105550100", 2), ("+13125550177", "+12105550100", 3), ("+1210", "+16465550007", 1)]
    add_calls(site, first, "a", calls, START + timedelta(minutes=5))
    second = commit(site, SECOND)
    # Under the second version +13125550177 is on no list: the call is allowed, and no hit of anything.
    add_calls(site, second, "b", [*calls, ("+17735550123", "+12105550100", 4)], START + timedelta(minutes=95))
    report = count(site)
    assert {entry["pattern"]: entry["hits"] for entry in report["entries"]} == {
        "+17735550???": 4,
        "+13125550100": 4,
        "+16465550000-+16465550099": 2,
    }
    assert report["entries"][0]["hits"] >= report["entries"][-1]["hits"]
    assert (report["version"], report["entries_total"], report["entries_unused"]) == (second, 3, 0)
    last = next(entry for entry in report["entries"] if entry["pattern"] == "+17735550???")["last_at"]
    assert datetime.fromisoformat(last) == START + timedelta(minutes=95, seconds=9)
    with site.connection() as connection:
        versions.install_version(connection, first, "ann")
    report = count(site)
    by_pattern = {entry["pattern"]: entry["hits"] for entry in report["entries"]}
    assert by_pattern == {"+13125550100": 4, "+1312555*": 5, "+16465550000-+16465550099": 2}
    assert count(site, unused=True)["entries"] == []
    with pytest.raises(NotFoundError, match="'none' is in none"):
        count(site, "none")


def test_a_dynamic_entry_counts_from_when_it_was_added(site: Database) -> None:
    version = commit(
        site, b"rules: [{name: d, sources: [list:d, '+1773*'], action: terminate}]\nlists: {d: {dynamic: true}}"
    )
    add_calls(site, version, "a", [("+17735550123", "+12105550100", 6)], START)
    with site.connection() as connection:
        connection.execute(
            "INSERT INTO dynamic_entry (list, pattern, note, origin, added_at)"
            " VALUES ('d', '+17735550123', 'why', 'ann', %s), ('d', '+1646*', '', 'ann', %s)",
            (START + timedelta(seconds=4), START),
        )
    entries = {entry["pattern"]: entry for entry in count(site, "d")["entries"]}
    assert (entries["+17735550123"]["hits"], entries["+17735550123"]["note"]) == (2, "why")
    assert entries["+1646*"]["last_at"] is None
    assert [entry["pattern"] for entry in count(site, "d", unused=True)["entries"]] == ["+1646*"]


def test_by_command(mediation: RunningMediation) -> None:
    version = commit(mediation.database, FIRST)
    calls = [("+13125550100", "+12105550100", 2), ("+12105550123", "+19005550100", 3)]
    add_calls(mediation.database, version, "a", calls, START)
    common = ["--data", str(mediation.settings.data)]
    runner, app = CliRunner(), build()
    rules = json.loads(runner.invoke(app, ["hits", "rules", "--json", *common]).stdout)
    assert {rule["name"]: rule["hits"] for rule in rules["rules"]} == {"premium": 3, "bad": 2, "watch": 0, "idle": 0}
    shown = runner.invoke(app, ["hits", "rules", "--unused", *common]).stdout
    assert [line.split()[0] for line in shown.splitlines()[1:3]] == ["watch", "idle"]
    entries = runner.invoke(app, ["hits", "list", "bad", *common])
    assert entries.exit_code == 0, entries.output
    assert "2 of 3 entries had hits in 2 calls of its rules" in entries.stdout
    unknown = runner.invoke(app, ["hits", "list", "none", *common])
    assert unknown.exit_code != 0
