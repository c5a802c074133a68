"""Detections by API and command line, on one mediation that watches by itself."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.analytics.test_commands import ringfence
from tests.detection.attack import VICTIM, Device, flood
from tests.detection.test_watch import FLOOD, POLICY
from tests.mediation_server import RunningMediation, wait_until

from ringfence.vocabulary import Role

YAML = {"Content-Type": "application/yaml"}


def ok(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    def result() -> Any:
        now = ok(client.get(f"jobs/{job['id']}"))
        return now if now["state"] not in ("queued", "running") else None

    return dict(wait_until(result, 30))


def test_from_the_catalogue_to_a_released_entry(mediation: RunningMediation, tmp_path: Path) -> None:
    editor, viewer = mediation.client(Role.EDITOR), mediation.client(Role.VIEWER)
    listed = ok(viewer.get("detections"))
    assert not listed["all_stop"]["is_stopped"]
    assert all(one["version"] == 0 and one["deployed"] is None for one in listed["detections"])

    # A list that no policy declares is in the way of containing, not of reporting.
    checked = ok(viewer.post("detections/validate", content=FLOOD, headers=YAML))
    assert [one["severity"] for one in checked["findings"]] == ["error", "error"]
    assert viewer.put("detections/flood", content=FLOOD, headers=YAML).status_code == 403
    assert ok(editor.put("detections/flood", content=FLOOD, headers=YAML))["version"] == 1
    assert editor.put("detections/other", content=FLOOD, headers=YAML).status_code == 409
    refused = editor.post("detections/flood/deploy", json={"mode": "contain"})
    assert (refused.status_code, "is not a dynamic list" in refused.json()["message"]) == (409, True)
    bad = editor.put("detections/flood", content=FLOOD.replace(b"key: dest", b"key: best"), headers=YAML)
    assert (bad.status_code, bad.json()["code"], "key: must be" in bad.text) == (400, "invalid.detection", True)

    ok(editor.post("policy", content=POLICY))
    deployed = ok(editor.post("detections/flood/deploy", json={"mode": "contain"}))
    assert (deployed["deployed"]["mode"], deployed["findings"]) == ("contain", [])
    wait_until(lambda: ok(viewer.get("detections"))["is_watching"])

    device, begun = Device(mediation.database), datetime.now(UTC) - timedelta(seconds=1)
    device.upload(flood(begun, 100))
    entries = wait_until(lambda: ok(viewer.get("detections/entries")))
    assert f"+{VICTIM}" in {one["pattern"] for one in entries if one["list"] == "under-attack"}
    (attack,) = ok(viewer.get("detections/episodes", params={"name": "flood"}))
    assert (attack["key"], attack["is_running"]) == ({"destination": f"+{VICTIM}"}, True)

    metrics = httpx.get(f"{mediation.url}/metrics", headers=viewer.headers).text
    assert "ringfence_detection_firings_total 1.0" in metrics

    tested = ended(editor, ok(editor.post("detections/flood/test", params={"days": 0.5})))["result"]
    assert (tested["calls"], tested["firings_in_all"], tested["keys"]) == (100, 1, 1)
    assert (sum(tested["series"]["calls"]), sum(tested["series"]["firings"])) == (100, 1)
    assert tested["firings"][0]["key"] == {"destination": f"+{VICTIM}"}
    assert editor.post("detections/flood/test", params={"days": 90}).status_code == 400

    body = {"list": "under-attack", "pattern": f"+{VICTIM}"}
    assert editor.post("detections/entries/release", json=body).status_code == 204
    assert editor.post("detections/entries/release", json=body).status_code == 404

    def run(*arguments: str) -> str:
        return ringfence(mediation.settings.data, *arguments)

    listed_json = run("detection", "list", "--json")
    assert next(one for one in json.loads(listed_json)["detections"] if one["name"] == "flood")["deployed"]
    text = run("detection", "show", "flood", "--yaml")
    file = tmp_path / "flood.yaml"
    file.write_text(text.replace("window_s: 10", "window_s: 20"), encoding="utf-8")
    assert "flood: version 2" in run("detection", "save", str(file), "-m", "longer")
    assert "flood: contains, version 2" in run("detection", "deploy", "flood", "--contain")
    stopped = run("detection", "all-stop", "on", "--release", "--reason", "test")
    assert stopped.startswith("Containment is stopped since")
    assert ok(viewer.get("detections/entries")) == []
    assert "under-attack" not in run("detection", "entries")
    assert "flood" in run("detection", "attacks")
    assert "1 firings of 1 keys" in run("detection", "test", "flood", "--days", "1")
    assert "withdrawn" in run("detection", "withdraw", "flood")
    wait_until(lambda: not ok(viewer.get("detections"))["is_watching"])


@pytest.mark.load
def test_an_edge_has_the_block_within_two_seconds_of_the_first_call(mediation: RunningMediation) -> None:
    """A thousand calls a second on one number, each from another source, in uploads of 200 ms as an edge sends them."""
    editor = mediation.client(Role.EDITOR)
    ok(editor.post("policy", content=POLICY))
    ok(editor.put("detections/flood", content=FLOOD.replace(b"value: 50", b"value: 100"), headers=YAML))
    ok(editor.post("detections/flood/deploy", json={"mode": "contain"}))
    wait_until(lambda: ok(editor.get("detections"))["is_watching"])
    edge, device = mediation.device("edge-1"), Device(mediation.database, "enum-2")
    begun, blocked = datetime.now(UTC), threading.Event()
    took: list[float] = []

    def wait_for_block() -> None:
        answer = edge.get("edge/entries", params={"have": 0, "wait_s": 15})
        if f"+{VICTIM}" in answer.json()["lists"].get("under-attack", {}):
            took.append((datetime.now(UTC) - begun).total_seconds())
        blocked.set()

    waiting = threading.Thread(target=wait_for_block)
    waiting.start()
    sent = 0
    while not blocked.wait(0.2):
        due = min(int((datetime.now(UTC) - begun).total_seconds() * 1000), 10_000)
        device.upload(flood(begun, due, per_s=1000)[sent:])
        sent = due
    waiting.join()
    assert took
    assert took[0] < 2.0, took
