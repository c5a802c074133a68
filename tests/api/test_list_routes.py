"""Lists over HTTP: entries, one click from a call, files as jobs, conflicts, and a real edge that enforces them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.mediation_server import RunningMediation, wait_until

from ringfence.vocabulary import Role

POLICY = b"""
rules: [{name: bad, destinations: ["list:bad"], action: terminate}]
lists: {bad: {stored: true}, now: {dynamic: true}, few: ["+18005550100"]}
"""


@pytest.fixture
def editor(mediation: RunningMediation) -> httpx.Client:
    client = mediation.client(Role.EDITOR)
    assert client.post("lists", json={"name": "bad", "note": "fraud"}).status_code == 201
    return client


def finished(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    path = f"jobs/{answer.json()['id']}"
    wait_until(lambda: client.get(path).json()["state"] in ("done", "failed", "cancelled"), 60)
    job: dict[str, Any] = client.get(path).json()
    return job


def patterns(client: httpx.Client, name: str = "bad", **wanted: Any) -> list[str]:
    return [entry["pattern"] for entry in client.get(f"lists/{name}/entries", params=wanted).json()["entries"]]


def test_entries_are_added_found_edited_and_removed(editor: httpx.Client) -> None:
    made = editor.post("lists/bad/entries", json={"pattern": "+1900*", "note": "premium", "lasts_s": 3600})
    assert (made.status_code, made.json()["acts"], made.json()["revision"]) == (201, "when_installed", 1)
    editor.post("lists/bad/entries", json={"pattern": "+12105550100"})
    assert editor.post("lists/bad/entries", json={"pattern": "+12105550100"}).status_code == 200
    assert patterns(editor, number="+19005550100") == ["+1900*"]
    assert patterns(editor, note="PREM") == ["+1900*"]
    edited = editor.put(
        "lists/bad/entries", json={"pattern": "+1900*", "note": "x", "expires_at": "2099-01-01T00:00:00"}
    )
    assert edited.json()["expires_at"] == "2099-01-01T00:00:00+00:00"
    assert editor.put("lists/bad/entries", json={"pattern": "+1800*"}).status_code == 404
    assert editor.delete("lists/bad/entries", params={"pattern": "+1900*"}).status_code == 204
    assert patterns(editor) == ["+12105550100"]
    assert patterns(editor, revision=2) == ["+12105550100", "+1900*"]
    assert [one["what"] for one in editor.get("lists/bad").json()["revisions"]] == ["remove", "edit", "add", "add"]


def test_two_editors_of_one_list_the_second_is_told(editor: httpx.Client) -> None:
    editor.post("lists/bad/entries", json={"pattern": "+1900*", "seen": 0})
    refused = editor.post("lists/bad/entries", json={"pattern": "+1800*", "seen": 0})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict.list")
    assert refused.json()["detail"]["changes"][0]["added"] == 1
    assert editor.delete("lists/bad/entries", params={"pattern": "+1900*", "seen": 0}).status_code == 409
    assert patterns(editor) == ["+1900*"]


def test_every_kind_of_list_is_seen_and_one_click_puts_a_number_on_it(editor: httpx.Client) -> None:
    assert editor.post("policy", content=POLICY).status_code == 200
    on_static = editor.post("lists/bad/numbers", json={"number": "(900) 555-0100", "note": "call of today"}).json()
    assert (on_static["pattern"], on_static["origin"], on_static["acts"]) == (
        "+19005550100",
        "call log",
        "when_installed",
    )
    on_dynamic = editor.post("lists/now/numbers", json={"number": "sip:+442079460000@sbc", "lasts_s": 60}).json()
    assert (on_dynamic["pattern"], on_dynamic["acts"]) == ("+442079460000", "at_once")
    assert patterns(editor, "now", number="+442079460000") == ["+442079460000"]
    assert patterns(editor, "few") == ["+18005550100"]
    assert editor.post("lists/few/entries", json={"pattern": "+1900*"}).json()["code"] == "conflict.inline"
    assert editor.post("lists/bad/numbers", json={"number": "anonymous"}).status_code == 400
    assert editor.post("lists/bad/numbers", json={"number": "911"}).status_code == 400
    told = {
        one["name"]: (one["kind"], one["entries"], one["is_pending"]) for one in editor.get("lists").json()["lists"]
    }
    assert told == {"bad": ("static", 1, True), "now": ("dynamic", 1, False), "few": ("inline", 1, False)}


def test_a_file_is_imported_committed_and_installed_and_comes_out_again(editor: httpx.Client) -> None:
    editor.post("policy", content=POLICY)
    text = b'pattern,note,expires\r\n+1900*,,\r\n+19005550100,"a, b",2099-01-01T00:00:00.000000Z\r\n'
    job = finished(editor, editor.post("lists/bad/imports", content=text, params={"install": True, "message": "new"}))
    assert (job["state"], job["share"], job["result"]["added"]) == ("done", 1.0, 2), job
    assert (job["result"]["version"], job["result"]["is_installed"]) == (2, True)
    assert editor.get("explain", params={"destination": "+19005550199"}).json()["action"] == "terminate"
    exported = editor.get("lists/bad/export")
    assert exported.content == text
    assert exported.headers["Content-Disposition"] == 'attachment; filename="bad.csv"'
    assert editor.get("lists/bad/export", params={"format": "numbers"}).text == "+1900*\n+19005550100\n"
    assert not editor.get("lists").json()["lists"][0]["is_pending"]


def test_an_import_with_three_bad_lines_changes_nothing_and_names_them(
    mediation: RunningMediation, editor: httpx.Client
) -> None:
    text = b"+12105550100\n12105550101\n+12105550102\n+1210555010x\n+12105550104\n\n??\n"
    job = finished(
        editor, editor.post("lists/bad/imports", content=text, params={"format": "numbers", "install": True})
    )
    assert (job["state"], job["error"]["code"]) == ("failed", "invalid.list_file")
    assert [fault["line"] for fault in job["error"]["detail"]["faults"]] == [2, 4, 7]
    assert "is +12105550101 meant?" in job["error"]["detail"]["faults"][0]["problem"]
    assert patterns(editor) == []
    assert editor.get("policy/versions").json()["versions"] == []
    assert list((mediation.settings.data / "uploads").iterdir()) == []


def test_what_cannot_succeed_is_refused_before_the_file_is_read(editor: httpx.Client) -> None:
    assert editor.post("lists/none/imports", content=b"+1900*\n").status_code == 404
    assert editor.post("lists/..x/imports", content=b"+1900*\n", params={"create": True}).status_code == 400
    assert editor.post("lists/bad/imports", content=b"", params={"seen": 7}).status_code == 409
    assert editor.post("lists/bad/imports", content=b"", params={"format": "xml"}).status_code == 400


def test_installing_a_list_never_installs_somebody_elses_version(editor: httpx.Client) -> None:
    editor.post("policy", content=POLICY)
    editor.post("policy", content=b"rules: []")
    editor.post("policy/install", json={"version": 1})
    editor.post("lists/bad/entries", json={"pattern": "+1900*"})
    refused = editor.post("lists/bad/commit", json={"install": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict.not_installed")
    committed = editor.post("lists/bad/commit", json={}).json()
    assert committed == {"version": 3, "is_new": True, "is_installed": False}


def test_a_list_that_rules_name_is_not_deleted(editor: httpx.Client) -> None:
    editor.post("policy", content=POLICY)
    refused = editor.delete("lists/bad")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict.in_use")
    editor.post("policy", content=b"rules: []")
    assert editor.delete("lists/bad").status_code == 204
    assert editor.get("lists/bad").status_code == 404


def test_an_edge_gets_contents_by_hash_and_nobody_else_does(mediation: RunningMediation, editor: httpx.Client) -> None:
    editor.post("policy", content=POLICY)
    finished(editor, editor.post("lists/bad/imports", content=b"+19005550100\n", params={"install": True}))
    device = mediation.device()
    document = device.get("edge/policy", params={"wait_s": 0})
    content = json.loads(document.content)["lists"]["bad"]["content"]
    answer = device.get(f"edge/lists/{content}")
    assert (answer.content, answer.headers["Content-Length"]) == (b"ringfence-list 1\n+19005550100\n", "30")
    assert device.get(f"edge/lists/{'0' * 64}").status_code == 404
    assert device.get("edge/lists/..%2Fx").status_code in (400, 404)
    assert mediation.client().get(f"edge/lists/{content}").status_code in (401, 403)
