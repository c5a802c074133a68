"""What devices say: hello, heartbeat; what is made of it: status and metrics."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.mediation_server import RunningMediation

from ringfence.vocabulary import Role

HELLO: dict[str, Any] = {"kind": "enum", "software": "0.1.0", "journal_id": 123, "now_us": 0}


def now_us() -> int:
    return time.time_ns() // 1000


def test_hello_tells_the_device_who_it_is_and_what_was_received(mediation: RunningMediation) -> None:
    device = mediation.device("enum-1")
    with mediation.database.connection() as connection:
        connection.execute(
            """
            INSERT INTO device_stream (device_id, journal_id, stream, last_sequence)
            SELECT device_id, journal_id, stream, sequence FROM device, (VALUES (123, 0, 1200), (123, 1, 7), (9, 0, 5))
                AS known (journal_id, stream, sequence)
            """
        )
    answer = device.post("edge/hello", json=HELLO | {"now_us": now_us() + 5_000_000}).json()
    assert (answer["device"], answer["device_id"], answer["epoch"]) == ("enum-1", 1, 1)
    assert answer["received"] == {"0": 1200, "1": 7}
    assert abs(answer["now_us"] - now_us()) < 60_000_000
    status = mediation.client().get("devices").json()["devices"][0]
    assert status["is_live"]
    assert 4_000_000 < status["clock_offset_us"] < 6_000_000


def test_a_device_of_another_kind_is_refused(mediation: RunningMediation) -> None:
    response = mediation.device().post("edge/hello", json=HELLO | {"kind": "probe"})
    assert (response.status_code, response.json()["message"]) == (
        400,
        "kind: device enum-1 is registered as enum, not 'probe'",
    )


def test_a_heartbeat_is_kept_and_makes_the_device_green(mediation: RunningMediation) -> None:
    device, viewer = mediation.device(), mediation.client(Role.VIEWER)
    before = viewer.get("status").json()
    assert (before["ok"], before["devices"][0]["reason"]) == (
        False,
        "has never reported: start it with its credential",
    )
    beat = {
        "policy_version": 0,
        "policy_hash": "",
        "now_us": now_us(),
        "listen": ["127.0.0.1:1053"],
        "counters": {"queries": 7},
        "journal": {"durable": 7, "acknowledged": 5, "lost": 0},
        "a_field_of_a_newer_device": True,
    }
    assert device.post("edge/heartbeat", json=beat).status_code == 200
    status = viewer.get("status").json()
    assert (status["ok"], status["devices"][0]["ok"]) == (True, True)
    assert status["devices"][0]["report"]["counters"] == {"queries": 7}
    assert status["devices"][0]["report"]["journal"] == {"durable": 7, "acknowledged": 5, "lost": 0}
    metrics = viewer.get(f"{mediation.url}/metrics").text
    assert 'ringfence_device_live{device="enum-1",kind="enum",site="main"} 1.0' in metrics


def test_a_device_with_the_wrong_version_is_red_and_says_which(mediation: RunningMediation) -> None:
    device = mediation.device()
    mediation.client().post("policy", content=b"rules: []")
    device.post("edge/heartbeat", json={"now_us": now_us()})
    status = mediation.client().get("status").json()
    assert (status["ok"], status["devices"][0]["reason"]) == (False, "enforces version 0, should enforce 1")


def test_a_poll_tells_sooner_than_the_heartbeat_which_version_runs(mediation: RunningMediation) -> None:
    device, administrator = mediation.device(), mediation.client()
    applied = administrator.post("policy", content=b"rules: []").json()
    device.get("edge/policy", params={"version": 1, "hash": applied["hash"]})
    status = administrator.get("devices").json()["devices"][0]
    assert (status["policy_version"], status["is_current"], status["is_live"]) == (1, True, True)


@pytest.mark.parametrize(
    "body",
    [{}, {"now_us": -1}, {"now_us": 1, "policy_hash": "x"}, {"now_us": 1, "counters": {"a": "b"}}, {"now_us": 2**63}],
)
def test_a_malformed_heartbeat_is_refused(mediation: RunningMediation, body: dict[str, Any]) -> None:
    assert mediation.device().post("edge/heartbeat", json=body).status_code == 400
