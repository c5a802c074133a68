"""The watcher on a real database: from committed calls to entries of lists, once, through restarts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection
from tests.detection.attack import VICTIM, Device, flood
from tests.mediation_server import wait_until

from ringfence.accounts.audit import AuditFilter, find_entries
from ringfence.database.connection import Database
from ringfence.detection import episodes, store
from ringfence.detection.applying import Outcome
from ringfence.detection.definition import Definition, parse_definition
from ringfence.detection.firing import Firing, Mode
from ringfence.detection.watch import Watcher
from ringfence.mediation.channels import Channels
from ringfence.mediation.sites import first_site
from ringfence.policy import dynamic, versions
from ringfence.policy.rules import parse_policy

FLOOD = b"""
name: flood
title: Flood
dataset: enum
condition: {direction: [inbound]}
key: destination
measure: count
window_s: 10
threshold: {value: 50}
cool_down_s: 60
contain: {destinations: under-attack, sources: attackers, lasts_s: 300, max_entries: 20, max_per_minute: 15}
"""
POLICY = b"""
rules:
  - {name: friends, direction: inbound, sources: ["+1310555000?"], action: allow}
  - {name: attack, direction: inbound, destinations: [list:under-attack], action: terminate}
  - {name: attackers, direction: inbound, sources: [list:attackers], action: terminate}
lists:
  under-attack: {dynamic: true}
  attackers: {dynamic: true}
protected: ["+12105550111"]
"""


class Told:
    """What `on_firing` was told."""

    def __init__(self) -> None:
        self.firings: list[tuple[Firing, Outcome]] = []

    def __call__(self, connection: Connection, firing: Firing, now: datetime, outcome: Outcome) -> None:
        self.firings.append((firing, outcome))

    @property
    def new(self) -> list[Firing]:
        return [firing for firing, outcome in self.firings if outcome.is_new]


@contextmanager
def watching(database: Database, told: Callable[..., object], ahead: timedelta = timedelta(0)) -> Iterator[Watcher]:
    """A watcher in a thread of its own, which dies at once at the end; its clock is `ahead`."""
    loop = asyncio.new_event_loop()
    channels = Channels(database)
    watcher = Watcher(database, channels, lambda: True, told, lambda: datetime.now(UTC) + ahead)

    async def watch() -> None:
        await asyncio.gather(channels.run(), watcher.run())

    task = loop.create_task(watch())

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: watcher.is_watching or not watcher.counters.deployed)
        yield watcher
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        assert not thread.is_alive()


def deploy(database: Database, text: bytes = FLOOD, mode: Mode = Mode.CONTAIN, policy: bytes = POLICY) -> Definition:
    definition = parse_definition(text)
    with database.connection() as connection:
        made = versions.commit_policy(connection, parse_policy(policy), first_site(connection), "ada")
        versions.install_version(connection, made.version.version, "ada")
        store.save_definition(connection, definition, "ada", datetime.now(UTC))
        store.deploy(connection, definition.name, "ada", datetime.now(UTC), mode)
    return definition


def listed(database: Database, name: str) -> list[str]:
    with database.connection() as connection:
        return [entry.pattern for entry in dynamic.acting_entries(connection, name, datetime.now(UTC))]


def all_episodes(database: Database) -> list[episodes.Episode]:
    with database.connection() as connection:
        return episodes.list_episodes(connection)


def test_a_flood_is_contained_within_its_caps_told_once_and_released_by_a_person(database: Database) -> None:
    device, told = Device(database), Told()
    deploy(database)
    begun = datetime.now(UTC) - timedelta(seconds=2)
    with watching(database, told) as watcher:
        wait_until(lambda: watcher.is_watching)
        device.upload(flood(begun, 200))
        wait_until(lambda: told.firings)
        took = datetime.now(UTC) - begun
        device.upload(flood(begun + timedelta(seconds=2), 100, first=200))
        wait_until(lambda: watcher.counters.events == 300)

        assert [one.key_text for one in told.new] == [f"destination +{VICTIM}"]
        assert took < timedelta(seconds=6), took
        # The number under attack first; then sources: neither friends of an allowing rule, nor more than the caps.
        assert listed(database, "under-attack") == [f"+{VICTIM}"]
        sources = listed(database, "attackers")
        assert len(sources) == 14
        assert not [one for one in sources if one.startswith("+1310555000")]
        (episode,) = all_episodes(database)
        assert episode.listed == 15
        assert episode.held_back["on an allow list"] >= 10
        assert episode.held_back["the limit of new entries a minute is reached"] >= 150
        first = told.firings[0][1]
        assert {one.why for one in first.held_back} >= {"on an allow list"}

        with database.connection() as connection:
            now = datetime.now(UTC)
            evidence = find_entries(connection, AuditFilter(action="detection.contain", subject=f"+{VICTIM}"))[0]
            assert (evidence.actor, evidence.detail["episode"]) == ("detection:flood", episode.episode_id)
            episodes.release(connection, "under-attack", f"+{VICTIM}", "ada", now)
        device.upload(flood(begun + timedelta(seconds=3), 50, first=300))
        wait_until(lambda: watcher.counters.events == 350)
        wait_until(lambda: all_episodes(database)[0].held_back.get("released by a person during this attack"))
        assert listed(database, "under-attack") == []


def test_a_watcher_that_dies_amid_an_attack_leaves_no_gap_and_its_successor_tells_nothing_twice(
    database: Database,
) -> None:
    device, told = Device(database), Told()
    deploy(database)
    begun = datetime.now(UTC) - timedelta(seconds=4)
    with watching(database, told) as watcher:
        wait_until(lambda: watcher.is_watching)
        device.upload(flood(begun, 30))
        wait_until(lambda: watcher.counters.events == 30)
    assert not told.new
    # While nobody watches the attack passes the threshold.
    device.upload(flood(begun + timedelta(seconds=1), 30, first=30))
    with watching(database, told):
        wait_until(lambda: listed(database, "under-attack") == [f"+{VICTIM}"])
    (before,) = all_episodes(database)
    device.upload(flood(begun + timedelta(seconds=2), 30, first=60))
    with watching(database, told) as watcher:
        wait_until(lambda: watcher.is_watching and all_episodes(database)[0].last_at > before.last_at)
        device.upload(flood(begun + timedelta(seconds=3), 30, first=90))
        wait_until(lambda: watcher.counters.events >= 120)
        wait_until(lambda: all_episodes(database)[0].peak >= 110)
        assert listed(database, "under-attack") == [f"+{VICTIM}"]
    assert (len(told.new), len(all_episodes(database))) == (1, 1)


def test_reports_only_unless_told_otherwise_and_all_stop_halts_at_once(database: Database) -> None:
    device, told = Device(database), Told()
    deploy(database, mode=Mode.REPORT)
    begun = datetime.now(UTC) - timedelta(seconds=2)
    with watching(database, told) as watcher:
        wait_until(lambda: watcher.is_watching)
        device.upload(flood(begun, 60))
        wait_until(lambda: told.new)
        assert listed(database, "under-attack") == []
        with database.connection() as connection:
            store.set_all_stop(connection, True, "ada", datetime.now(UTC), "maintenance")
            store.deploy(connection, "flood", "ada", datetime.now(UTC), Mode.CONTAIN)
        device.upload(flood(begun + timedelta(seconds=1), 60, first=60))
        wait_until(lambda: all_episodes(database)[0].held_back.get("all containment is stopped"))
        assert listed(database, "under-attack") == []
    assert len(told.new) == 1


def test_with_nothing_deployed_nothing_is_asked(database: Database) -> None:
    device, told = Device(database), Told()
    with watching(database, told) as watcher:
        device.upload(flood(datetime.now(UTC), 60))
        assert not watcher.is_watching
        deploy(database)
        wait_until(lambda: told.new and watcher.counters.events == 60)  # it goes on, so it is told
        with database.connection() as connection:
            store.withdraw(connection, "flood", "ada")
        wait_until(lambda: not watcher.is_watching)
        device.upload(flood(datetime.now(UTC), 60, first=100))
        assert watcher.counters.events == 60


def test_what_is_usual_at_this_hour_raises_the_threshold(database: Database) -> None:
    device, told = Device(database), Told()
    now = datetime.now(UTC)
    # 7,200 calls in the same hour of last week: 20 in ten seconds; averaged over two weeks 10, times ten is 100.
    with database.connection() as connection:
        made = connection.execute("SELECT count(*) FROM site").fetchone()
        assert made
    device.upload(flood(now - timedelta(weeks=1, minutes=10), 7200, per_s=10))
    text = FLOOD.replace(b"{value: 50}", b"{value: 50, baseline: {factor: 10, weeks: 2}}")
    deploy(database, text, Mode.REPORT)
    with watching(database, told) as watcher:
        wait_until(lambda: watcher.is_watching)
        device.upload(flood(now, 80))
        wait_until(lambda: watcher.counters.events >= 80)
        assert not told.firings
        device.upload(flood(now + timedelta(seconds=1), 40, first=80))
        wait_until(lambda: told.new)
        assert told.new[0].threshold == pytest.approx(100)


def test_one_that_refers_to_what_is_gone_does_not_blind_the_others_nor_does_a_fault_of_who_is_told(
    database: Database,
) -> None:
    device, told = Device(database), Told()
    deploy(database, mode=Mode.REPORT)
    lost = FLOOD.replace(b"name: flood", b"name: lost").replace(b"key: dest", b"schedule_name: night\nkey: dest")
    faults = [RuntimeError("once")]

    def failing_once(*arguments: Any) -> None:
        if faults:
            raise faults.pop()
        told(*arguments)

    with database.connection() as connection:
        store.save_definition(connection, parse_definition(lost), "ada", datetime.now(UTC))
        store.deploy(connection, "lost", "ada", datetime.now(UTC), Mode.REPORT)
    with watching(database, failing_once) as watcher:
        wait_until(lambda: watcher.is_watching)
        device.upload(flood(datetime.now(UTC), 60))
        wait_until(lambda: told.new)
        assert [one.detection for one in told.new] == ["flood"]
        assert list(watcher.faults) == ["lost"]
        assert watcher.counters.failures == 1


SILENT = b"""
name: silent
title: Silent
dataset: enum
key: device
measure: silence
window_s: 300
threshold: {value: 0, below: true, at_least: 20, baseline: {factor: 1, weeks: 2}}
"""


def test_a_device_is_told_to_be_silent_where_calls_are_usual_and_no_other(database: Database) -> None:
    busy, quiet, told, ahead = Device(database, "busy"), Device(database, "quiet"), Told(), timedelta(seconds=350)
    deploy(database, SILENT, Mode.REPORT)
    now = datetime.now(UTC)
    for week in (1, 2):
        busy.upload(flood(now + ahead - timedelta(weeks=week), 60, per_s=1))
    for device in (busy, quiet):
        device.upload(flood(now, 1))
    with watching(database, told, ahead):
        wait_until(lambda: told.new)
    assert [(one.key, one.value) for one in told.new] == [({"device": "busy"}, 0.0)]
    assert [one.key_text for one in all_episodes(database)] == ["device busy"]
