"""A call's messages, asked of the probe that keeps them: who is told what, and what is kept of it (R14, E7, E10)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.capture.messages import CALLED, CALLER, one_call
from tests.cli.conftest import run_ringfence
from tests.edge.test_probe import fresh, send
from tests.mediation.answering_probe import CALL_ID, Probe, messages_of, record_call
from tests.mediation_server import RunningMediation, wait_until
from tests.sbc.test_probe_calls import ProbeProcess

from ringfence.capture.kept_ladder import MAX_PACKED, pack_ladders
from ringfence.capture.pcap import write_pcap
from ringfence.database.connection import Database
from ringfence.edge.evidence import Evidence
from ringfence.mediation import evidence_requests
from ringfence.mediation.devices import register_device
from ringfence.settings import EvidenceSettings
from ringfence.vocabulary import Role


@dataclass
class Room:
    """A mediation with one recorded call, and the probe that saw it."""

    mediation: RunningMediation
    probe: Probe
    device: httpx.Client
    call: str
    messages: list[dict[str, Any]]

    def ask(self, role: Role = Role.VIEWER, **query: Any) -> dict[str, Any]:
        """What the API says of the ladder."""
        answer = self.mediation.client(role).get(f"events/{self.call}/ladder", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def looks(self) -> list[dict[str, Any]]:
        """The entries of the trail about looking."""
        entries: list[dict[str, Any]] = (
            self.mediation.client().get("audit", params={"action": "call.messages"}).json()["entries"]
        )
        return entries


@pytest.fixture
def room(mediation: RunningMediation, tmp_path: Path) -> Room:
    credential = record_call(mediation.database, "probe-1")
    (call,) = mediation.client().get("events", params={"dataset": "sip"}).json()["calls"]
    file = tmp_path / "evidence.sqlite"
    probe = Probe(mediation.url, credential, file, Evidence(file, EvidenceSettings()))
    device = mediation._client({"Authorization": f"Bearer {credential}"})
    return Room(mediation, probe, device, call["id"], messages_of(call))


def test_the_probe_is_asked_and_its_messages_are_shown(room: Room) -> None:
    room.probe.keep(room.messages)
    with room.probe.answering():
        found = room.ask()
        assert (found["state"], found["columns"], found["left_out"]) == ("shown", [CALLER, CALLED], 0)
        assert [step["label"] for step in found["steps"]] == ["INVITE", "180 Ringing", "200 OK", "ACK", "BYE", "200 OK"]
        assert [message["text"] for message in found["messages"]] == [message["text"] for message in room.messages]
        assert found["probes"] == [{"device": "probe-1", "call_id": CALL_ID, "state": "shown"}]
        again = room.mediation.client(Role.VIEWER)
        capture = again.get(f"events/{room.call}/messages.pcap")
        assert capture.content[:4] == bytes.fromhex("d4c3b2a1")
        assert (
            "# +0.500000 s  192.0.2.2:5060 -> 192.0.2.1:5060  udp" in again.get(f"events/{room.call}/messages.txt").text
        )
        assert again.get(f"events/{room.call}/ladder.svg").text.startswith("<svg")
    assert [(entry["subject"], entry["detail"]) for entry in room.looks()] == [
        (room.call, {"probes": ["probe-1"], "messages": 6})
    ] * 4


def test_a_probes_process_answers_for_a_call_that_ended_just_now(mediation: RunningMediation, tmp_path: Path) -> None:
    with mediation.database.connection() as connection:
        _, credential = register_device(connection, "probe-1", "probe", None, "test")
    file = tmp_path / "credential"
    file.write_text(credential)
    file.chmod(0o600)
    running = ProbeProcess(
        tmp_path / "probe", "--hep-listen", "127.0.0.1:0", "--mediation", mediation.url, "--credential-file", str(file)
    )
    try:
        messages = fresh(one_call("now@192.0.2.1"))
        send(running, messages)
        client, here = mediation.client(), {"RINGFENCE_DATA": str(mediation.settings.data)}
        (call,) = wait_until(lambda: client.get("events", params={"dataset": "sip"}).json()["calls"], 60)
        done = run_ringfence("call", "ladder", "now@192.0.2.1", "--json", **here)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["id"], found["state"]) == (call["id"], "shown")
        assert [message["text"] for message in found["messages"]] == [message["text"] for message in messages]
        capture = tmp_path / "call.pcap"
        files = run_ringfence("call", "ladder", call["id"], "--pcap", str(capture), **here)
        assert files.returncode == 0, files.stderr
        assert capture.read_bytes() == write_pcap(found["messages"])
    finally:
        running.stop()
    with mediation.database.connection() as connection:
        connection.execute("UPDATE device SET last_seen_at = now() - interval '1 minute'")
        connection.execute("DELETE FROM evidence_request")
    away = run_ringfence("call", "ladder", call["id"], **here)
    assert away.returncode == 0, away.stderr
    assert re.search(r"2\.500000 +192.0.2.2:5060 +192.0.2.1:5060 +BYE\n", away.stdout)
    assert "probe that keeps the messages is away" in away.stdout
    refused = run_ringfence("call", "ladder", call["id"], "--text", str(tmp_path / "x"), **here)
    assert (refused.returncode, "is away" in refused.stderr) == (6, True)


def test_what_is_not_there_is_said_and_the_record_is_drawn(room: Room) -> None:
    with room.probe.answering():
        found = room.ask()
        assert room.mediation.client().get(f"events/{room.call}/messages.pcap").status_code == 404
    assert (found["state"], found["messages"]) == ("not_kept", [])
    assert [(step["label"], step["time_us"] - found["steps"][0]["time_us"]) for step in found["steps"]] == [
        ("INVITE", 0), ("18x", 100_000), ("200", 500_000), ("BYE", 2_500_000),
    ]  # fmt: skip
    assert found["steps"][3]["source"] == CALLED
    assert room.looks() == []


def test_each_reason_has_its_own_word(room: Room) -> None:
    silent = room.ask(wait_s=0)
    assert silent["state"] == "waiting"
    with room.mediation.database.connection() as connection:
        connection.execute("UPDATE evidence_request SET asked_at = asked_at - interval '1 minute'")
    assert room.ask(wait_s=0)["state"] == "unanswered"
    room.probe.evidence = None
    with room.probe.answering():
        assert room.ask()["state"] == "disabled"
    with room.mediation.database.connection() as connection:
        connection.execute("UPDATE device SET last_seen_at = now() - interval '1 minute'")
    away = room.ask()
    assert (away["state"], len(away["steps"])) == ("away", 4)
    assert room.mediation.client().get(f"events/{room.call}/messages.txt").status_code == 503
    with room.mediation.database.connection() as connection:
        connection.execute("UPDATE sip_event SET source = 0, source_raw = 'erased-0123456789ab'")
    assert room.ask()["state"] == "erased"
    assert room.mediation.client().get(f"events/{room.call}/messages.txt").status_code == 404


def test_another_mediation_of_the_database_may_be_the_one_that_the_probe_asks(
    room: Room, database: Database, tmp_path: Path
) -> None:
    room.probe.keep(room.messages)
    with RunningMediation(database, tmp_path / "other") as other, room.probe.answering(other.url):
        assert room.ask()["state"] == "shown"


def test_who_sees_numbers_masked_or_another_site_sees_no_messages(room: Room) -> None:
    room.probe.keep(room.messages)
    accounts = room.mediation.settings.accounts
    room.mediation.process.settings = room.mediation.process.settings.model_copy(
        update={"accounts": accounts.model_copy(update={"numbers_from": "analyst"})}
    )
    with room.probe.answering():
        refused = room.mediation.client(Role.VIEWER).get(f"events/{room.call}/ladder")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden.masked")
        assert room.ask(Role.ANALYST)["state"] == "shown"
        administrator = room.mediation.client()
        administrator.post("sites", json={"name": "far", "country": "US"})
        token = administrator.post("tokens", json={"name": "far", "role": "analyst", "sites": ["far"]}).json()
        elsewhere = room.mediation._client({"Authorization": f"Bearer {token['token']}"})
        assert elsewhere.get(f"events/{room.call}/ladder").status_code == 404
    assert len(room.looks()) == 1


def test_an_answer_is_taken_from_the_probe_that_was_asked_and_once(room: Room) -> None:
    assert room.ask(wait_s=0)["state"] == "waiting"
    (question,) = room.device.get("edge/evidence").json()["questions"]
    assert question["call_id"] == CALL_ID
    assert question["from_us"] < room.messages[0]["time_us"] < question["until_us"]
    other = room.mediation.device("probe-2", "probe")
    assert other.get("edge/evidence").status_code == 204
    place = f"edge/evidence/{question['request']}"
    body = pack_ladders([{"messages": room.messages, "left_out": 3}])
    said = {"outcome": "messages"}
    assert other.post(place, params=said, content=body).status_code == 404
    for wrong in (b"", b"not packed", body[:-9], pack_ladders([{"messages": [{}], "left_out": 0}])):
        assert room.device.post(place, params=said, content=wrong).status_code == 400
    assert room.device.post(place, params={"outcome": "not_kept"}, content=body).status_code == 400
    assert room.device.post(place, params=said, content=b"\0" * (MAX_PACKED + 1)).status_code == 413
    assert room.device.post(place, params=said, content=body).status_code == 204
    assert room.device.post(place, params=said, content=body).status_code == 404
    assert room.device.get("edge/evidence").status_code == 204
    assert (room.ask(wait_s=0)["state"], room.ask(wait_s=0)["left_out"]) == ("shown", 3)


def test_answers_are_held_for_minutes_and_questions_of_one_probe_are_bounded(room: Room, database: Database) -> None:
    now = datetime.now(UTC)
    with database.connection() as connection:
        asked = [
            evidence_requests.ask(connection, 1, evidence_requests.Question(f"{n}@x", 1, 2), now)
            for n in range(evidence_requests.MOST_WAITING)
        ]
        assert evidence_requests.ask(connection, 1, evidence_requests.Question("0@x", 1, 2), now) == asked[0]
    refused = room.mediation.client().get(f"events/{room.call}/ladder", params={"wait_s": 0})
    assert (refused.status_code, "32 questions wait" in refused.json()["message"]) == (503, True)
    with database.connection() as connection:
        assert evidence_requests.purge(connection, now + timedelta(minutes=4)) == 0
        assert evidence_requests.purge(connection, now + timedelta(minutes=5)) == evidence_requests.MOST_WAITING
    assert room.ask(wait_s=0)["state"] == "waiting"
