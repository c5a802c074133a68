"""The life of a policy over HTTP alone: from draft to enforced and back (R6, E3; issue 4, done when 2 and 3)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
from tests.mediation_server import RunningMediation, wait_until

from ringfence.policy.named import render_schema
from ringfence.vocabulary import Role

ROOT = Path(__file__).parents[2]
PREMIUM = {"destinations": ["+1900*"], "action": "terminate", "mode": "monitor"}


class FakeEdge:
    """Polls as an edge does; `rules` of the document it was given last."""

    def __init__(self, mediation: RunningMediation, name: str) -> None:
        self.client = mediation.device(name)
        self.version, self.hash, self.rules = 0, "", list[dict[str, Any]]()

    def poll(self) -> int:
        got = self.client.get("edge/policy", params={"version": self.version, "hash": self.hash})
        if got.status_code == 200:
            self.version, self.hash = int(got.headers["X-Policy-Version"]), got.headers["X-Policy-Hash"]
            self.rules = json.loads(got.content)["rules"] if self.version else []
        return self.version

    def reaches(self, version: int) -> bool:
        return self.poll() == version


def revision(client: httpx.Client) -> int:
    return int(client.get("policy/draft").json()["revision"])


def ok(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_from_monitor_to_enforced_on_one_on_all_and_back(mediation: RunningMediation) -> None:
    editor, viewer = mediation.client(Role.EDITOR), mediation.client(Role.VIEWER)
    first, second = FakeEdge(mediation, "enum-1"), FakeEdge(mediation, "enum-2")
    assert ok(viewer.get("policy/draft"))["changes"] == []
    checked = ok(editor.post("policy/draft/check", json={"kind": "rule", "name": "premium", "body": {"action": "x"}}))
    assert checked["findings"][0]["severity"] == "error"
    added = ok(editor.post("policy/draft/rules", json={"name": "premium", "body": PREMIUM, "revision": 0}))
    assert added["changes"][0]["words"].startswith("rule 'premium' added at place 1")
    ok(editor.patch("policy/draft/rules/premium", json={"fields": {"mode": "enforce"}, "revision": 1}))
    committed = ok(editor.post("policy/draft/commit", json={"message": "premium", "revision": 2}))
    assert (committed["version"], committed["is_new"], committed["installed_on"]) == (1, True, [])
    ok(editor.post("policy/install", json={"version": 1, "device": "enum-1"}))
    wait_until(lambda: first.reaches(1))
    assert second.poll() == 0
    ok(editor.post("policy/install", json={"version": 1}))
    wait_until(lambda: second.reaches(1))
    assert [rule["mode"] for rule in second.rules] == ["enforce"]
    call = {"source": "+12105550123", "destination": "+19005550100"}
    assert ok(viewer.get("explain", params=call))["action"] == "terminate"
    rolled = ok(editor.post("policy/rollback"))
    assert rolled["installation"]["action"] == "rollback"
    wait_until(lambda: second.reaches(0))
    assert first.poll() == 1
    ok(editor.post("policy/rollback"))
    wait_until(lambda: first.reaches(0))
    assert editor.post("policy/rollback").status_code == 409
    assert ok(viewer.get("explain", params=call))["action"] == "allow"
    log = ok(viewer.get("policy/installation"))["log"]
    assert [(one["action"], one["target"], one["outcome"]) for one in log] == [
        ("rollback", "device:enum-1", None),
        ("rollback", "all", None),
        ("install", "all", "rolled_back"),
        ("install", "device:enum-1", "rolled_back"),
    ]


def test_the_second_of_two_editors_gets_a_conflict_that_says_what_happened(mediation: RunningMediation) -> None:
    ana, bob = mediation.client(Role.EDITOR), mediation.client(Role.EDITOR)
    ok(ana.post("policy/draft/rules", json={"name": "a", "body": PREMIUM, "revision": 0}))
    ok(ana.patch("policy/draft/rules/a", json={"fields": {"note": "ana's"}, "revision": 1}))
    refused = bob.put("policy/draft/rules/a", json={"body": PREMIUM | {"note": "bob's"}, "revision": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict.draft")
    assert "editor-0 at" in refused.json()["message"]
    assert "note set to ana's" in refused.json()["message"]
    detail = refused.json()["detail"]
    assert (detail["current"]["note"], detail["revision"]) == ("ana's", 2)
    # Another object is no conflict, and bob goes on from what he now knows.
    ok(bob.post("policy/draft/protected", json={"name": "933", "revision": 1}))
    ok(bob.put("policy/draft/rules/a", json={"body": PREMIUM | {"note": "both"}, "revision": detail["revision"]}))
    assert bob.post("policy/draft/commit", json={"revision": 1}).status_code == 409
    assert ok(ana.get("policy/draft"))["policy"] == {
        "rules": [{"name": "a", **PREMIUM, "note": "both"}],
        "protected": ["933"],
    }
    words = [one["words"] for one in ok(ana.get("policy/draft/changes", params={"since": 2}))["changes"]]
    assert words == ["rule 'a': note ana's → both", "protected number '933' added"]


def test_every_kind_of_object_has_the_same_calls(mediation: RunningMediation) -> None:
    editor = mediation.client(Role.EDITOR)
    for kinds, name, body in (
        ("schedules", "night", {"zone": "UTC", "from": "22:00", "to": "06:00"}),
        ("profiles", "own", {"service": "sip+E2U"}),
        ("lists", "bad", {"dynamic": True}),
        ("sbcs", "edge 1", {"network": "192.0.2.1", "profile": "own"}),
        ("protected", "933", {}),
        ("rules", "r 1", {"action": "allow", "schedule": "night"}),
    ):
        added = editor.post(f"policy/draft/{kinds}", json={"name": name, "body": body, "revision": revision(editor)})
        assert added.status_code == 201, added.text
        assert name in [one["name"] for one in ok(editor.get(f"policy/draft/{kinds}"))["objects"]]
        assert ok(editor.get(f"policy/draft/{kinds}/{name}"))["revision"] == revision(editor)
    ok(editor.put("policy/draft/answers/default", json={"body": {"host": "x.example"}, "revision": revision(editor)}))
    ok(editor.post("policy/draft/rules/r 1/copy", json={"name": "r 2", "revision": revision(editor)}))
    ok(editor.post("policy/draft/rules/r 2/move", json={"first": True, "revision": revision(editor)}))
    assert [one["name"] for one in ok(editor.get("policy/draft/rules"))["objects"]] == ["r 2", "r 1"]
    in_use = editor.delete("policy/draft/schedules/night", params={"revision": revision(editor)})
    assert (in_use.status_code, in_use.json()["code"]) == (400, "invalid.policy")
    ok(editor.delete("policy/draft/rules/r 2", params={"revision": revision(editor)}))
    assert editor.get("policy/draft/rules/r 2").status_code == 404
    assert editor.get("policy/draft/colours").status_code == 400
    assert editor.post("policy/draft/rules", json={"name": "x", "body": PREMIUM}).status_code == 400  # no revision
    two = {"name": "x", "body": PREMIUM, "revision": revision(editor), "first": True, "before": "r 1"}
    assert editor.post("policy/draft/rules", json=two).status_code == 400
    ok(editor.post("policy/draft/discard", json={"revision": revision(editor)}))
    assert ok(editor.get("policy/draft"))["policy"] == {}


def test_policy_as_code_round_trips_and_says_what_it_would_change(mediation: RunningMediation) -> None:
    editor = mediation.client(Role.EDITOR)
    file = b'rules: [{name: a, destinations: ["+1900*"], action: terminate}]\nlists: {z: ["+1976*"], b: []}'
    tried = ok(editor.post("policy", content=file, params={"dry_run": True}))
    assert (tried["before"], [one["what"] for one in tried["changes"]]) == ("no policy", ["added"] * 3)
    assert ok(editor.get("policy/versions"))["versions"] == []
    ok(editor.post("policy", content=file, params={"install": False}))
    exported = editor.get("policy/export", params={"of": "newest"}).text
    assert exported.index("b:") < exported.index("z:")
    again = ok(editor.post("policy", content=exported.encode()))
    assert (again["version"], again["is_new"], again["installed_on"]) == (1, False, ["all"])
    ok(editor.put("policy/draft", params={"revision": revision(editor)}, content=b"rules: []"))
    compared = ok(editor.get("policy/diff"))
    assert (compared["before"], compared["after"]) == ("version 1", "draft")
    assert [one["words"] for one in compared["changes"]] == ["rule 'a' removed", "list 'b' removed", "list 'z' removed"]
    assert "-- name: a" in compared["yaml"]
    ok(editor.post("policy/draft/load", json={"version": 1, "revision": revision(editor)}))
    assert ok(editor.get("policy/diff"))["changes"] == []
    assert editor.get("policy/diff", params={"before": "yesterday"}).status_code == 400
    found = ok(editor.post("policy/validate", content=b"rules: [{name: a, action: terminate, devices: [x]}]"))
    assert [one["severity"] for one in found["findings"]] == ["error"]
    assert editor.post("policy", content=b"rules: [{name: a, action: allow, sites: [x]}]").status_code == 400


def test_the_committed_schema_is_the_served_one(mediation: RunningMediation) -> None:
    file = ROOT / "docs" / "policy.schema.json"
    if os.environ.get("RINGFENCE_TEST_RENEW") == "1":
        file.write_text(render_schema(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == render_schema()
    assert ok(mediation.client(Role.VIEWER).get("policy/schema")) == json.loads(render_schema())


def test_an_installation_waits_to_be_confirmed_and_a_staged_one_to_go_on(mediation: RunningMediation) -> None:
    editor, edge = mediation.client(Role.EDITOR), FakeEdge(mediation, "enum-1")
    for number in (1, 2):
        ok(editor.post("policy", content=b"rules: [{name: r%d, action: allow}]" % number, params={"install": False}))
    made = ok(editor.post("policy/install", json={"version": 1, "confirm_within_s": 600}))
    assert made["installation"]["is_unconfirmed"]
    assert len(ok(editor.get("policy/installation"))["unconfirmed"]) == 1
    assert [one["outcome"] for one in ok(editor.post("policy/confirm", json={}))["confirmed"]] == ["confirmed"]
    assert editor.post("policy/confirm", json={}).status_code == 409
    ok(editor.post("policy/install", json={"version": 2, "device": "enum-1", "staged": True}))
    early = editor.post("policy/go-on", json={})
    assert (early.status_code, early.json()["code"]) == (409, "conflict.first_device")
    wait_until(lambda: edge.reaches(2))
    edge.client.post("edge/heartbeat", json={"policy_version": 2, "policy_hash": edge.hash, "now_us": 1})
    assert ok(editor.post("policy/go-on", json={}))["version"] == 2
    state = ok(editor.get("policy/installation"))
    assert [(one["target"], one["version"]) for one in state["targets"]] == [("all", 2)]
    both = editor.post("policy/install", json={"version": 1, "site": "main", "device": "enum-1"})
    assert both.status_code == 400


def test_a_device_that_missed_three_installations_gets_the_right_one_at_once(mediation: RunningMediation) -> None:
    editor, edge = mediation.client(Role.EDITOR), FakeEdge(mediation, "enum-1")
    ok(editor.post("policy", content=b"rules: [{name: r0, action: allow}]"))
    wait_until(lambda: edge.reaches(1))
    edge.poll()  # which says that it has it
    for number in (1, 2, 3):
        ok(editor.post("policy", content=b"rules: [{name: r%d, action: allow}]" % number))
    ok(editor.post("policy/install", json={"version": 3, "device": "enum-1"}))
    state = ok(editor.get("devices/enum-1"))
    assert (state["wanted_version"], state["policy_version"], state["pending_version"]) == (3, 1, 3)
    wait_until(lambda: edge.reaches(3))
    assert [rule["name"] for rule in edge.rules] == ["r2"]
    edge.poll()
    state = ok(editor.get("devices/enum-1"))
    assert (state["policy_version"], state["pending_version"], state["is_drifting"]) == (3, None, False)


def test_sites_and_devices_are_resources(mediation: RunningMediation) -> None:
    administrator = mediation.client()
    made = administrator.post("sites", json={"name": "berlin", "country": "DE", "own_ranges": ["+493090*"]})
    assert (made.status_code, made.json()["plan"]["national_prefix"]) == (201, "0")
    edited = ok(
        administrator.patch("sites/berlin", json={"national_prefix": "9", "extension_lengths": [3], "note": "x"})
    )
    assert (edited["plan"]["national_prefix"], edited["extension_lengths"], edited["note"]) == ("9", [3], "x")
    back = ok(administrator.patch("sites/berlin", json={"national_prefix": None, "extension_lengths": None}))
    assert (back["plan"]["national_prefix"], back["plan"]["extension_lengths"]) == ("0", [])
    wrong = administrator.patch("sites/berlin", json={"own_ranges": ["210"]})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid.site")
    assert administrator.post("sites", json={"name": "berlin", "country": "DE"}).status_code == 409
    mediation.device("enum-1")
    moved = ok(administrator.patch("devices/enum-1", json={"site": "berlin", "note": "moved"}))
    assert (moved["site"], moved["note"]) == ("berlin", "moved")
    assert administrator.patch("devices/enum-1", json={"site": "moon"}).status_code == 404
    assert administrator.delete("sites/berlin").status_code == 409
    ok(administrator.patch("devices/enum-1", json={"site": "main"}))
    assert administrator.delete("sites/berlin").status_code == 204
    assert [site["name"] for site in ok(administrator.get("sites"))["sites"]] == ["main"]


def test_every_change_is_in_the_trail_with_its_address_and_is_found(mediation: RunningMediation) -> None:
    administrator, editor = mediation.client(), mediation.client(Role.EDITOR)
    ok(editor.post("policy/draft/rules", json={"name": "a", "body": PREMIUM, "revision": 0}))
    ok(editor.post("policy/draft/commit", json={"revision": 1}))
    ok(editor.post("policy/install", json={"version": 1}))

    def found(**wanted: str) -> list[str]:
        return [entry["action"] for entry in ok(administrator.get("audit", params=wanted))["entries"]]

    assert found(action="policy") == ["policy.install", "policy.commit"]
    assert found(subject="a", actor="editor-1") == ["draft.rule.add"]
    assert found(text="+1900") == ["draft.rule.add"]
    assert found(action="poli") == []
    assert found(since="2100-01-01T00:00:00Z") == []
    (entry,) = ok(administrator.get("audit", params={"action": "policy.install"}))["entries"]
    assert (entry["address"], entry["detail"]["before"], entry["detail"]["after"]) == ("127.0.0.1", {}, {"all": 1})
    lines = administrator.get("audit/export", params={"action": "policy"}).text.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["policy.install", "policy.commit"]
    table = administrator.get("audit/export", params={"format": "csv", "action": "draft"}).text.splitlines()
    assert table[0] == "audit_id,at,actor,address,action,subject,detail"
    assert len(table) == 2
    assert editor.get("audit/export").status_code == 403
