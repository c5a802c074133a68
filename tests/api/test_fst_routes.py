"""The functional system test over HTTP: plan, a run that asks, its record, changes, signatures, prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.acceptance.samples import sample_plan, sample_record
from tests.mediation_server import RunningMediation, wait_until

from ringfence.acceptance.plan import write_plan
from ringfence.accounts.audit import list_entries
from ringfence.vocabulary import Role

NUMBERS = sample_plan().numbers.model_dump()


@pytest.fixture
def client(mediation: RunningMediation) -> httpx.Client:
    return mediation.client(Role.EDITOR)


def keep(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    """A record, kept; its summary."""
    answer = client.post("fst/records", json=replace(sample_record(), **changes).as_json())
    assert answer.status_code == 201, answer.text
    summary: dict[str, Any] = answer.json()
    return summary


def test_a_plan_is_drafted_checked_and_kept(mediation: RunningMediation, client: httpx.Client) -> None:
    assert client.get("fst/plan").status_code == 404
    assert client.post("fst/plan/draft", json=NUMBERS).json()["message"].startswith("devices: none")
    mediation.device("enum-1")
    drafted = client.post("fst/plan/draft", json=NUMBERS).json()["plan"]
    assert drafted["locations"][0]["enum_servers"] == [{"name": "enum-1", "address": "192.0.2.1:53"}]

    assert client.put("fst/plan", content=write_plan(sample_plan())).status_code == 200
    kept = client.get("fst/plan").json()
    assert kept["plan"] == sample_plan().as_json()
    wrong = client.put("fst/plan", content=b"locations: []\nnumbers: {source: 911}\n")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid.plan")
    assert any("numbers.source" in fault for fault in wrong.json()["detail"]["faults"])


def test_a_record_is_changed_then_signed_then_sealed(mediation: RunningMediation, client: httpx.Client) -> None:
    before = keep(client)
    path = f"fst/runs/{before['run']}"
    other = {"case": "A3", "subject": "mediation", "verdict": "OTHER", "comment": "log kept elsewhere"}
    assert client.patch(f"{path}/result", json=other).json()["verdict"] == "OPEN"
    agreed = {"case": "A3", "subject": "mediation", "agreed": "C. Ustomer"}
    assert client.patch(f"{path}/result", json=agreed).json()["verdict"] == "ACCEPTED"
    digest = client.patch(path, json={"exceptions": "One log."}).json()["digest"]

    stale = client.post(f"{path}/sign", json={"role": "tester", "name": "Tess", "digest": before["digest"]})
    assert stale.status_code == 409
    signed = client.post(f"{path}/sign", json={"role": "tester", "name": "Tess Ter", "digest": digest}).json()
    assert signed["signatures"][0]["account"] == "editor-0"
    assert client.patch(path, json={"exceptions": "none"}).json()["code"] == "conflict.sealed"
    witness = mediation.client(Role.ANALYST)
    twice = witness.post(f"{path}/sign", json={"role": "witness", "name": "Will Ness", "digest": digest}).json()
    assert [one["role"] for one in twice["signatures"]] == ["tester", "witness"]
    with mediation.database.connection() as connection:
        actions = [entry.action for entry in list_entries(connection)]
    assert actions.count("fst.sign") == 2


def test_records_are_listed_compared_and_printed(client: httpx.Client) -> None:
    keep(client, run="R-1")
    keep(client, run="R-2", results=sample_record({("B3", "east-enum-2"): "FAIL"}).results)
    runs = client.get("fst/runs").json()["runs"]
    assert {(one["run"], one["verdict"]) for one in runs} == {("R-1", "PASS"), ("R-2", "FAIL")}
    found = client.get("fst/runs/R-2/compare", params={"before": "R-1"}).json()["differences"]
    assert found == [{"case": "B3", "subject": "east-enum-2", "before": "PASS", "after": "FAIL"}]
    assert client.get("fst/runs/R-1/record.pdf").content.startswith(b"%PDF")
    assert "Tess Ter" in client.get("fst/runs/R-1/record.html").text
    assert client.post("fst/records", json=sample_record().as_json()).status_code == 409
    assert client.post("fst/records", json={"format": 1}).status_code == 400
    assert client.get("fst/runs/none").status_code == 404


def test_a_run_tells_its_progress_asks_and_is_broken_off(mediation: RunningMediation, client: httpx.Client) -> None:
    plan = sample_plan(servers=1, probes=0).as_json()
    begun = client.post("fst/runs", json={"plan": plan, "cases": ["A3"], "wait_scale": 0}).json()
    path = f"fst/runs/{begun['run']}"
    assert client.post("fst/runs", json={"plan": plan}).json()["code"] == "conflict.busy"

    def question() -> dict[str, Any] | None:
        asked: dict[str, Any] | None = client.get(path).json()["now"]["question"]
        return asked

    asked = wait_until(question, 30)
    assert (asked["case"], asked["subject"], asked["wants"]) == ("A3", "east-enum-1", "verdict")
    assert client.post(f"{path}/answer", json={"number": asked["number"]}).status_code == 400
    assert client.post(f"{path}/answer", json={"number": 99, "verdict": "PASS"}).status_code == 409
    assert client.post(f"{path}/answer", json={"number": asked["number"], "verdict": "PASS"}).status_code == 204
    following = wait_until(lambda: (now := question()) and now["number"] > asked["number"] and now, 30)
    assert following["subject"] == "west-enum-1"

    assert client.post(f"{path}/cancel").status_code == 202
    ended = wait_until(lambda: (told := client.get(path).json())["now"]["state"] == "ended" and told, 30)
    assert not ended["record"]["is_whole"]
    assert ended["verdict"] != "PASS"
    assert "broken off in case A3" in ended["record"]["notes"][0]
    assert [one["subject"]["name"] for one in ended["record"]["results"]] == ["mediation", "east-enum-1"]
    assert [one["by"] for one in ended["record"]["results"]] == ["machine", "editor-0"]
    assert not [
        token for token in mediation.client().get("tokens").json()["tokens"] if token["name"].startswith("fst-")
    ]
