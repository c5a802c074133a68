"""Simulation over a real database: the recorded decisions come out again, and changes are told."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from tests.ingest import samples
from tests.mediation.recording import decided, engine_of, record
from tests.mediation_server import RunningMediation, wait_until
from typer.testing import CliRunner

from ringfence.cli.main import build
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.devices import register_device
from ringfence.mediation.jobs import Cancelled, Progress
from ringfence.mediation.simulation import SimulationRequest, bucket_s, prepare, simulate
from ringfence.mediation.sites import ensure_first_site, first_site
from ringfence.policy import engines, versions
from ringfence.policy.documents import Place
from ringfence.policy.rules import parse_policy
from ringfence.settings import Settings
from ringfence.vocabulary import Role

# Half past two in Chicago (an hour later in summer) on the day before: what the office's schedule blocks is among it.
NOW = (datetime.now(UTC) - timedelta(days=1)).replace(hour=20, minute=30, second=0, microsecond=0)
START = NOW - timedelta(hours=5)
PATIENCE_S = 30

OLD = b"""
rules:
  - {name: premium, destinations: ["+1900*"], action: terminate}
  - {name: desk, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
  - {name: hidden, sources: ["class:anonymous"], action: terminate, mode: monitor}
  - {name: bad, sources: ["list:bad"], action: terminate, schedule: office}
lists: {bad: ["+13125550100-+13125550199", "+1646555????"]}
schedules: {office: {zone: America/Chicago, from: "06:00", to: "18:00"}}
"""
NEW = b"""
rules:
  - {name: premium, destinations: ["+1900*"], action: terminate, mode: monitor}
  - {name: desk, destinations: ["+12105550100"], action: redirect, target: "+12105550188"}
  - {name: hidden, sources: ["class:anonymous"], action: terminate}
  - {name: far, destinations: ["+44*"], action: redirect, target: "+12105550177"}
"""


def install(database: Database, text: bytes) -> int:
    with database.connection() as connection:
        commit = versions.commit_policy(connection, parse_policy(text), first_site(connection), "ann")
        versions.install_version(connection, commit.version.version, "ann")
        return commit.version.version


def traffic(count: int, seed: int = 1) -> list[tuple[str | None, str, datetime]]:
    random = Random(seed)
    sources = [None, "anonymous", "+12105550123", "+13125550142", "+13125550250", "+16465550001", "1001"]
    destinations = ["+19005550100", "+12105550100", "+12105550101", "+442071838750", "911", "+13125550199"]
    times = sorted(START + timedelta(seconds=random.uniform(0, 4 * 3600)) for _ in range(count))
    return [(random.choice(sources), random.choice(destinations), time) for time in times]


def record_traffic(database: Database, version: int, count: int = 400) -> list[dict[str, Any]]:
    with database.connection() as connection:
        engine = engine_of(connection, version)
        device = register_device(connection, f"enum-{version}", "enum", None, "test")[0]
    events = [decided(engine, *call) for call in traffic(count, version)]
    record(database, device.device_id, events, NOW)
    return events


def run(database: Database, request: SimulationRequest) -> dict[str, Any]:
    with database.connection() as connection:
        prepared = prepare(connection, request, NOW)
    return simulate(database, prepared, Progress())


@pytest.fixture
def site(database: Database) -> Database:
    """A database with a site."""
    with database.connection() as connection:
        ensure_first_site(connection, Settings().site)
    return database


def test_replaying_under_the_version_that_decided_gives_what_was_recorded(site: Database) -> None:
    version = install(site, OLD)
    events = record_traffic(site, version)
    report = run(site, SimulationRequest(START, NOW, version=version))
    assert (report["calls"], report["changed"], report["cautions"]) == (len(events), 0, [])
    assert report["actions"]["before"] == report["actions"]["after"]
    assert report["actions"]["before"]["terminate"] == sum(event["action"] == 2 for event in events) > 0
    hidden = next(rule for rule in report["rules"] if rule["name"] == "hidden")
    assert hidden["monitored"] == sum(hidden["id"] in event["monitored"] for event in events) > 0


def test_what_would_change_is_told_by_kind_rule_number_time_and_sample(site: Database) -> None:
    version = install(site, OLD)
    events = record_traffic(site, version)
    report = run(site, SimulationRequest(START, NOW, policy=parse_policy(NEW)))
    by_rule = {rule["name"]: rule for rule in report["rules"]}
    # What each call gets under the new policy, by the plain walk of explain.
    with site.connection() as connection:
        place = Place(first_site(connection))
        candidate = engines.policy_candidate(connection, parse_policy(NEW), [place])
        engine = candidate.places[place.site.name, ""].engine
    would = [decided(engine, *call) for call in traffic(len(events), version)]
    pairs = list(zip(events, would, strict=True))
    assert report["kinds"] == {
        "newly_blocked": sum(a["action"] == 2 != b["action"] for b, a in pairs),
        "newly_redirected": sum(a["action"] == 3 != b["action"] for b, a in pairs),
        "changed_target": sum(a["action"] == 3 == b["action"] and a["target"] != b["target"] for b, a in pairs),
        "newly_allowed": sum(a["action"] == 1 and b["action"] in (2, 3) for b, a in pairs),
    }
    assert all(report["kinds"].values())
    assert by_rule["far"]["newly_redirected"] == by_rule["far"]["after"] - sum(
        a["rule_id"] == by_rule["far"]["id"] and b["action"] == 3 for b, a in pairs
    )
    assert by_rule["premium"]["mode"] == "monitor"
    assert by_rule["premium"]["monitored"] > 0
    assert sum(by_rule["bad"][kind] for kind in report["kinds"]) == by_rule["bad"]["newly_allowed"] > 0
    assert report["top"]["destination"][0]["calls"] >= report["top"]["destination"][-1]["calls"] > 0
    sample = report["samples"]["newly_blocked"][0]
    assert (sample["after"]["rule"], sample["after"]["action"], sample["source"]) == (
        "hidden",
        "terminate",
        "anonymous",
    )
    assert (sample["device"], sample["before"]["action"]) == (f"enum-{version}", "allow")
    calls_after = sum(sum(calls) for calls in report["over_time"]["after"].values())
    assert calls_after == report["calls"] == len(events)


def test_against_another_version_what_was_recorded_does_not_count(site: Database) -> None:
    old = install(site, OLD)
    record_traffic(site, old)
    new = install(site, NEW)
    assert run(site, SimulationRequest(START, NOW, against="installed"))["changed"] == 0
    recorded = run(site, SimulationRequest(START, NOW, version=new))
    compared = run(site, SimulationRequest(START, NOW, version=new, against=str(old)))
    assert recorded["kinds"] == compared["kinds"]
    assert compared["against"] == {"kind": "version", "version": old, "title": f"version {old}"}


def test_a_rate_counts_in_order_of_time_and_for_each_device(site: Database) -> None:
    limited = b"rules: [{name: many, action: terminate, rate: {limit: 3, window_s: 60, key: source}}]"
    with site.connection() as connection:
        devices = [register_device(connection, f"enum-{n}", "enum", None, "test")[0] for n in (1, 2)]
    burst = samples.every_second(5, START, destination=12105550999, destination_raw="12105550999", policy_version=0)
    # Two streams whose sequences do not follow time; each device sees five calls, two above the rate.
    for device in devices:
        record(site, device.device_id, burst[::2], NOW)
        record(site, device.device_id, burst[1::2], NOW, stream=1)
    report = run(site, SimulationRequest(START, NOW, policy=parse_policy(limited)))
    assert report["kinds"]["newly_blocked"] == 4
    assert any("rate conditions" in caution for caution in report["cautions"])


def test_one_site_or_device_and_the_period_limit_the_calls(site: Database) -> None:
    version = install(site, OLD)
    events = record_traffic(site, version)
    with site.connection() as connection:
        register_device(connection, "silent", "enum", None, "test")
    assert run(site, SimulationRequest(START, NOW, device="silent"))["calls"] == 0
    half = START + timedelta(hours=1, minutes=17)
    first, second = (
        run(site, SimulationRequest(*period, device=f"enum-{version}"))["calls"]
        for period in ((START, half), (half, NOW))
    )
    assert first + second == len(events)
    with pytest.raises(NotFoundError, match="no device is known for device 'nobody'"):
        run(site, SimulationRequest(START, NOW, device="nobody"))
    with pytest.raises(InvalidInputError, match="before end"):
        run(site, SimulationRequest(NOW, START))


def test_calls_that_are_kept_no_more_are_told(site: Database) -> None:
    version = install(site, OLD)
    record_traffic(site, version, 50)
    with site.connection() as connection:
        lost = connection.execute("DELETE FROM enum_event WHERE sequence <= 20").rowcount
    report = run(site, SimulationRequest(START - timedelta(hours=1), NOW))
    assert report["calls"] == 50 - lost
    assert sum(hour["counted"] - hour["recorded"] for hour in report["missing"]) == lost
    assert "20 calls" in report["cautions"][0]


def test_dynamic_entries_of_today_are_told(site: Database) -> None:
    dynamic_policy = b"rules: [{name: d, sources: [list:d], action: terminate}]\nlists: {d: {dynamic: true}}"
    version = install(site, dynamic_policy)
    events = record_traffic(site, version)
    with site.connection() as connection:
        connection.execute("INSERT INTO dynamic_entry (list, pattern, origin) VALUES ('d', '+13125550142', 'ann')")
    report = run(site, SimulationRequest(START, NOW))
    expected = sum(event["source"] == 13125550142 and event["reason"] != 3 for event in events)
    assert report["kinds"]["newly_blocked"] == expected > 0
    assert "1 dynamic entries" in report["cautions"][0]


def test_a_cancelled_simulation_ends(site: Database) -> None:
    version = install(site, OLD)
    record_traffic(site, version, 50)
    progress = Progress()
    with site.connection() as connection:
        prepared = prepare(connection, SimulationRequest(START, NOW), NOW)
    progress.cancel()
    with pytest.raises(Cancelled):
        simulate(site, prepared, progress)


def test_buckets_are_neither_too_many_nor_too_coarse() -> None:
    assert [bucket_s(START, START + timedelta(hours=hours)) for hours in (1, 24, 24 * 7, 24 * 400)] == [
        60, 900, 3600, 86_400
    ]  # fmt: skip


def test_over_http_and_by_command_the_same_report(mediation: RunningMediation) -> None:
    version = install(mediation.database, OLD)
    record_traffic(mediation.database, version)
    client = mediation.client(Role.ANALYST)
    body = {"start": START.isoformat(), "end": NOW.isoformat(), "policy": NEW.decode()}
    started = client.post("simulate", json=body)
    assert started.status_code == 202
    path = f"jobs/{started.json()['id']}"
    job = wait_until(lambda: (found := client.get(path).json())["state"] == "done" and found, PATIENCE_S)
    assert (job["share"], job["done"]) == (1.0, job["result"]["calls"])

    policy = mediation.settings.data / "new.yaml"
    policy.write_bytes(NEW)
    period = ["--since", START.isoformat(), "--until", NOW.isoformat()]
    common = ["--data", str(mediation.settings.data)]
    result = CliRunner().invoke(build(), ["simulate", "--file", str(policy), *period, "--json", *common])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told | {"took_s": 0} == job["result"] | {"took_s": 0}

    shown = CliRunner().invoke(build(), ["simulate", "--file", str(policy), *period, *common])
    assert "newly blocked, the last of them" in shown.stdout
    assert f"{told['changed']:,} of {told['calls']:,} calls would change" in shown.stdout


def test_mistakes_are_told_at_once_and_jobs_can_be_cancelled(mediation: RunningMediation) -> None:
    client = mediation.client(Role.ANALYST)
    start = {"start": START.isoformat()}
    assert client.post("simulate", json=start | {"version": 9}).status_code == 404
    assert client.post("simulate", json=start | {"version": 1, "draft": True}).status_code == 400
    assert client.post("simulate", json=start | {"policy": "rules: [{}]"}).json()["code"] == "invalid.policy"
    assert client.post("simulate", json={"start": "2026-11-20T00:00:00"}).status_code == 400
    reached, held = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        reached.set()
        assert held.wait(PATIENCE_S)
        progress.at(1)
        return {}

    job = mediation.process.jobs.start("simulate", "somebody", work)
    assert reached.wait(PATIENCE_S)
    assert client.delete(f"jobs/{job.id}").status_code == 403
    assert mediation.client(Role.ADMINISTRATOR).delete(f"jobs/{job.id}").status_code == 202
    held.set()
    assert job.ended.wait(PATIENCE_S)
    assert client.get(f"jobs/{job.id}").json()["state"] == "cancelled"
    assert [known["id"] for known in client.get("jobs").json()["jobs"]] == [job.id]
