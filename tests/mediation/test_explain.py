"""Explain: one answer for API, CLI and console; where, as which SBC, by which entries; and of recorded calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.mediation.recording import decided, engine_of, record
from tests.mediation_server import RunningMediation
from typer.testing import CliRunner

from ringfence.cli.main import build
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.devices import Heartbeat, record_heartbeat, register_device
from ringfence.mediation.sites import ensure_first_site, first_site
from ringfence.policy import drafts, versions
from ringfence.policy.drafts import By
from ringfence.policy.explain import Question, explain
from ringfence.policy.explain_event import explain_event
from ringfence.policy.lists import catalogue, entries
from ringfence.policy.rules import parse_policy
from ringfence.settings import Settings
from ringfence.vocabulary import Role

NOW = datetime.now(UTC)
POLICY = b"""
rules:
  - {name: flood, action: terminate, rate: {limit: 10, window_s: 60, key: source}}
  - {name: night, sources: ["list:bad"], action: terminate, schedule: night}
  - {name: there, devices: [enum-2], sources: ["list:bad"], action: redirect, target: "+12105550199"}
  - {name: bad, sources: ["list:bad", "list:kept", "list:now"], action: terminate}
lists:
  bad: ["+1312555*", "+13125550100-+13125550199", "+13125550200"]
  kept: {stored: true}
  now: {dynamic: true}
schedules: {night: {zone: UTC, days: [mon], from: "01:00", to: "02:00"}}
sbcs:
  - {name: net, network: 192.0.2.0/24, profile: oracle}
  - {name: edge, network: 192.0.2.7, profile: cisco}
"""
TUESDAY = datetime(2026, 11, 17, 1, 30, tzinfo=UTC)


@pytest.fixture
def site(database: Database) -> Database:
    """A database with a site, two devices, a stored list with one entry, and the policy installed."""
    with database.connection() as connection:
        ensure_first_site(connection, Settings().site)
        for name in ("enum-1", "enum-2"):
            device, _ = register_device(connection, name, "enum", None, "test")
            heartbeat = Heartbeat(1, "", int(NOW.timestamp() * 1e6), {"apex": [f"{name}.e164.example"]})
            record_heartbeat(connection, device, heartbeat, None, NOW)
        catalogue.create_list(connection, "kept", "static", "ann", NOW)
        entries.add_entry(connection, first_site(connection), "kept", "+1646555????", "ann", NOW, note="robocalls")
        commit = versions.commit_policy(connection, parse_policy(POLICY), first_site(connection), "ann")
        versions.install_version(connection, commit.version.version, "ann")
    return database


def ask(database: Database, source: str | None = "+13125550142", **how: Any) -> dict[str, Any]:
    question = Question(source, how.pop("destination", "+12105550100"), how.pop("time", NOW), **how)
    with database.connection() as connection:
        return explain(connection, question, NOW)


def test_it_says_what_decides_and_what_each_other_rule_lacked(site: Database) -> None:
    answer = ask(site, time=TUESDAY)
    assert (answer["action"], answer["rule"]) == ("terminate", "bad")
    verdicts = {rule["name"]: (rule["verdict"], rule["condition"]) for rule in answer["rules"]}
    assert verdicts == {
        "flood": ("depends_on_rate", None),
        "night": ("passed_over", "schedule"),
        "bad": ("decides", None),
    }
    assert answer["rules"][0]["rate"] == {"limit": 10, "window_s": 60, "key": "source"}
    assert "'flood': only the devices know" in answer["cautions"][0]
    assert "dynamic lists are taken as they are now" in answer["cautions"][1]
    assert ask(site, time=TUESDAY - timedelta(days=1))["rule"] == "night"


def test_the_entries_that_matched_are_named(site: Database) -> None:
    static = {(entry["list"], entry["pattern"], entry["side"], entry["kind"]) for entry in ask(site)["entries"]}
    assert static == {
        ("bad", "+1312555*", "source", "policy"),
        ("bad", "+13125550100-+13125550199", "source", "policy"),
    }
    (stored,) = ask(site, "+16465550001")["entries"]
    assert (stored["list"], stored["kind"], stored["note"], stored["origin"]) == (
        "kept",
        "stored",
        "robocalls",
        "by hand",
    )
    with site.connection() as connection:
        entries.remove_entries(connection, "kept", ["+1646555????"], "ann", NOW)
        connection.execute(
            "INSERT INTO dynamic_entry (list, pattern, note, origin, expires_at)"
            " VALUES ('now', '+1773*', 'why', 'bob', %s)",
            (NOW + timedelta(hours=1),),
        )
        connection.execute("INSERT INTO dynamic_change VALUES (1, 'now', '+1773*')")
    # As the version has the list, whatever became of it since.
    assert ask(site, "+16465550001")["entries"] == [stored]
    (acting,) = ask(site, "+17735550001")["entries"]
    assert (acting["kind"], acting["note"], acting["origin"]) == ("dynamic", "why", "bob")
    assert acting["expires_at"] == (NOW + timedelta(hours=1)).isoformat()
    assert acting["rules"] == ["bad"]


def test_the_answer_is_the_one_that_this_sbc_gets(site: Database) -> None:
    plain = ask(site, device="enum-1")
    assert plain["place"] == {
        "site": "main", "device": "enum-1", "client": None, "sbc": None, "apex": "enum-1.e164.example"
    }  # fmt: skip
    assert plain["answer"].endswith("@terminate.enum-1.e164.example!")
    assert plain["record"] == '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@terminate.enum-1.e164.example!" .'
    assert "{host}" not in ask(site)["answer"]
    edge = ask(site, client="192.0.2.7")
    assert edge["place"]["sbc"] == {"name": "edge", "profile": "cisco"}
    assert ask(site, client="192.0.2.8")["place"]["sbc"]["name"] == "net"
    assert ask(site, client="198.51.100.1")["place"]["sbc"] is None


def test_it_asks_what_the_device_the_version_or_the_draft_says(site: Database) -> None:
    there = ask(site, device="enum-2")
    assert (there["action"], there["rule"], there["target"]) == ("redirect", "there", "+12105550199")
    assert there["policy"] == {"kind": "installed", "version": 1, "title": "what is installed (version 1)"}
    assert [rule["name"] for rule in ask(site, device="enum-1")["rules"]] == ["flood", "night", "bad"]
    with site.connection() as connection:
        drafts.replace(connection, parse_policy(b"rules: []"), "apply", By("ann", NOW))
    draft = ask(site, draft=True)
    assert (draft["action"], draft["policy"]["kind"], draft["policy_version"]) == ("allow", "draft", 0)
    assert ask(site, version=1)["policy"]["title"] == "version 1"
    with site.connection() as connection:
        versions.uninstall(connection, "ann")
    assert ask(site)["reason"] == "no_policy"


def test_mistakes_name_the_field(site: Database) -> None:
    for how, said in (
        ({"client": "sbc-1"}, "client: 'sbc-1' is not an IP address"),
        ({"version": 1, "draft": True}, "only one of them"),
        ({"time": NOW.replace(tzinfo=None)}, "time: .* has no time zone"),
        ({"destination": "1" * 300}, "destination: has 300 characters"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            ask(site, **how)
    for how in ({"device": "x"}, {"site": "x"}, {"version": 9}):
        with pytest.raises(NotFoundError):
            ask(site, **how)


def test_a_recorded_call_is_explained_where_and_as_it_was_decided(site: Database) -> None:
    with site.connection() as connection:
        engine = engine_of(connection, 1)
        row = connection.execute("SELECT device_id FROM device WHERE name = 'enum-1'").fetchone()
    assert row is not None
    calls = [("+13125550142", "+19005550100"), (None, "911"), ("anonymous", "+12105550100")]
    events = [decided(engine, *call, NOW - timedelta(minutes=1)) for call in calls]
    # One that a rate decided: nothing but the devices' counts could tell.
    events.append(events[2] | {"action": 2, "reason": 1, "rule_id": 1})
    record(site, row[0], events, NOW)
    with site.connection() as connection:
        versions.uninstall(connection, "ann")
        found = [explain_event(connection, f"enum-1/5/0/{sequence}", NOW) for sequence in range(1, 5)]
        (stream,) = connection.execute("SELECT stream_id FROM device_stream").fetchone() or (0,)
        again = explain_event(connection, f"{stream}/1", NOW)
        for wrong in (f"{stream}/99", "enum-1/6/0/1", "enum-9/5/0/1"):
            with pytest.raises(NotFoundError):
                explain_event(connection, wrong, NOW)
        with pytest.raises(InvalidInputError, match="neither"):
            explain_event(connection, "1", NOW)
    assert again == found[0]
    assert [answer["agrees"] for answer in found] == [True, True, True, False]
    assert [(answer["action"], answer["reason"]) for answer in found] == [
        ("terminate", "rule"), ("allow", "protected"), ("allow", "default"), ("allow", "default")
    ]  # fmt: skip
    assert found[0]["call"]["rule"] == found[0]["rule"] == "bad"
    assert (found[0]["policy_version"], found[0]["place"]["client"]) == (1, "192.0.2.7")
    assert found[0]["place"]["sbc"] == {"name": "edge", "profile": "cisco"}
    assert "recorded was terminate by 'flood', explained is allow" in found[3]["cautions"][-1]


def test_over_http_and_by_command_the_same_answer(mediation: RunningMediation) -> None:
    policy = b"rules: [{name: premium, destinations: ['list:bad'], action: terminate}]\nlists: {bad: ['+1900*']}"
    mediation.client(Role.EDITOR).post("policy", content=policy).raise_for_status()
    device = mediation.device("enum-1")
    device.post("edge/heartbeat", json={"now_us": 1, "apex": ["e164.example"]}).raise_for_status()
    time = "2026-11-20T12:00:00+00:00"
    call = {"source": "+12105550123", "destination": "+19005550100"}
    how = {"device": "enum-1", "client": "192.0.2.7", "time": time}
    viewer = mediation.client(Role.VIEWER)
    answer = viewer.get("explain", params=call | how).json()
    assert (answer["action"], answer["place"]["apex"]) == ("terminate", "e164.example")
    arguments = ["explain", *call.values(), "--device", "enum-1", "--client", "192.0.2.7", "--at", time]
    common = ["--data", str(mediation.settings.data)]
    runner, app = CliRunner(), build()
    assert json.loads(runner.invoke(app, [*arguments, "--json", *common]).stdout) == answer
    shown = runner.invoke(app, [*arguments, *common]).stdout
    assert "@terminate.e164.example!" in shown
    assert "+1900*" in shown
    with mediation.database.connection() as connection:
        event = decided(engine_of(connection, 1), call["source"], call["destination"], NOW)
    record(mediation.database, 1, [event], NOW)
    recorded = viewer.get("explain/event", params={"event": "enum-1/5/0/1"}).json()
    assert recorded["agrees"]
    done = runner.invoke(app, ["explain", "--event", "enum-1/5/0/1", "--json", *common])
    assert json.loads(done.stdout) == recorded
    assert runner.invoke(app, ["explain", "+12105550123", *common]).exit_code != 0
