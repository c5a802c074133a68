"""How a status is judged: what makes a part yellow or red, and when a deployment is settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence.mediation.devices import DeviceStatus
from ringfence.mediation.status import device_part, unsettled, worst
from ringfence.node.facts import ProcessFacts, fault_of, in_words, notes_on

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1_000_000)
LONG_AGO_US = NOW_US - 3_600_000_000
WELL = {"started_us": LONG_AGO_US, "errors_30m": 0, "disk_free_bytes": 50, "disk_total_bytes": 100}


def device(**changes: Any) -> DeviceStatus:
    values: dict[str, Any] = {
        "device_id": 1,
        "name": "enum-1",
        "kind": "enum",
        "site": "main",
        "created_at": NOW - timedelta(days=1),
        "last_seen_at": NOW - timedelta(seconds=1),
        "address": "127.0.0.1",
        "software": "0.1.0",
        "policy_version": 3,
        "policy_hash": "a",
        "wanted_version": 3,
        "wanted_hash": "a",
        "clock_offset_us": 2_000,
        "is_live": True,
        "report": {"process": WELL, "journal": {"durable": 100, "acknowledged": 90, "lost": 0}},
    }
    return DeviceStatus(**(values | changes))


def report(**process: int) -> dict[str, Any]:
    return {"process": WELL | process, "journal": {"durable": 0, "acknowledged": 0, "lost": 0}}


def test_a_device_that_does_all_it_should_is_green() -> None:
    part = device_part(device(), NOW)
    assert (part["ok"], part["state"], part["reason"], part["notes"]) == (True, "green", None, [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"report": report(started_us=NOW_US - 40_000_000)}, "up for 40 s only"),
        ({"report": report(errors_30m=2)}, "2 errors logged within 30 minutes"),
        ({"report": report(disk_free_bytes=5)}, "its disk is nearly full (5.0% free)"),
        ({"clock_offset_us": -1_500_000}, "its clock is 1.5 s behind"),
        (
            {"report": {"journal": {"durable": 120_000, "acknowledged": 0, "lost": 0}}},
            "120,000 events wait in its journal",
        ),
        ({"report": {"journal": {"durable": {"0": 9, "1": 30_000}, "acknowledged": {"0": 9}}}}, "30,000 events wait"),
        ({"report": {"journal": {"durable": 1, "acknowledged": 1, "lost": 7}}}, "7 events lost since it started"),
    ],
)
def test_what_a_person_should_know_is_yellow(changes: dict[str, Any], said: str) -> None:
    part = device_part(device(**changes), NOW)
    assert (part["ok"], part["state"]) == (True, "yellow")
    assert said in "; ".join(part["notes"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"last_seen_at": None, "is_live": False}, "has never reported"),
        ({"is_live": False}, "not heard of since 2026-11-28 11:59:59 UTC"),
        ({"policy_version": 2, "policy_hash": "b"}, "enforces version 2, should enforce 3"),
        ({"clock_offset_us": 12_000_000}, "its clock is 12.0 s ahead"),
        ({"report": report(disk_free_bytes=1)}, "its disk is full (1.0% free)"),
    ],
)
def test_what_is_not_as_it_should_be_is_red(changes: dict[str, Any], said: str) -> None:
    part = device_part(device(**changes), NOW)
    assert (part["ok"], part["state"]) == (False, "red")
    assert said in part["reason"]


def test_a_device_that_is_not_heard_of_is_not_judged_by_what_it_said_last() -> None:
    assert device_part(device(is_live=False, report=report(errors_30m=5)), NOW)["notes"] == []


def test_an_older_device_that_says_nothing_of_its_process_is_green() -> None:
    assert device_part(device(report={"journal": {}}), NOW)["state"] == "green"


def test_settled_means_up_for_ten_minutes_and_no_error_within_thirty() -> None:
    part = {"name": "enum-1", "ok": True, "reason": None}
    young = WELL | {"started_us": NOW_US - 599_000_000}
    assert unsettled([(part, WELL), (part, WELL | {"started_us": NOW_US - 600_000_000})], NOW_US) == []
    assert unsettled([(part, young)], NOW_US) == ["enum-1: up for 9 min, should be for 10 min"]
    assert unsettled([(part, WELL | {"errors_30m": 1})], NOW_US) == ["enum-1: 1 error logged within 30 minutes"]
    red = part | {"ok": False, "reason": "not heard of"}
    assert unsettled([(red, WELL)], NOW_US) == ["enum-1: not heard of"]


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    assert [worst(states) for states in (["green"], ["green", "yellow"], ["yellow", "red"], [])] == [
        "green",
        "yellow",
        "red",
        "green",
    ]


def test_a_process_tells_its_own_disk(tmp_path: Any) -> None:
    facts = ProcessFacts(tmp_path).read()
    assert 0 < facts["disk_free_bytes"] <= facts["disk_total_bytes"]
    nowhere = ProcessFacts(tmp_path / "nowhere").read()
    assert (nowhere["disk_total_bytes"], fault_of(nowhere)) == (0, None)
    assert "up for 0 s only" in notes_on(facts, facts["started_us"] - 5)


@pytest.mark.parametrize(("seconds", "words"), [(-3, "0 s"), (90, "90 s"), (600, "10 min"), (90_000, "25 h")])
def test_durations_are_short(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
