"""Policy over HTTP, by an editor; devices and users beside it."""

from __future__ import annotations

from tests.mediation_server import RunningMediation

from ringfence.vocabulary import Role

YAML = b'rules: [{name: premium, destinations: ["+19005550100"], action: terminate}]'


def test_apply_commits_and_installs_what_show_gives_back(mediation: RunningMediation) -> None:
    editor = mediation.client(Role.EDITOR)
    applied = editor.post("policy", content=YAML, params={"message": "first"}).json()
    assert (applied["version"], applied["is_new"], applied["is_installed"], applied["message"]) == (
        1,
        True,
        True,
        "first",
    )
    shown = editor.get("policy").json()
    assert (shown["version"], shown["hash"]) == (1, applied["hash"])
    again = editor.post("policy", json=shown["policy"]).json()
    assert (again["version"], again["is_new"]) == (1, False)
    assert editor.get("policy/versions/1").json()["policy"] == shown["policy"]


def test_faults_come_as_a_list(mediation: RunningMediation) -> None:
    response = mediation.client(Role.EDITOR).post("policy", content=b"rules: [{name: a, action: b}, {action: allow}]")
    assert (response.status_code, response.json()["code"]) == (400, "invalid.policy")
    assert len(response.json()["detail"]["faults"]) == 2


def test_install_uninstall_and_unknown_versions(mediation: RunningMediation) -> None:
    editor = mediation.client(Role.EDITOR)
    editor.post("policy", content=YAML)
    editor.post("policy", content=b"rules: []")
    assert editor.post("policy/install", json={"version": 1}).json()["is_installed"]
    assert editor.get("policy").json()["version"] == 1
    assert editor.post("policy/uninstall").json()["version"] == 0
    assert editor.get("policy").json() == {"version": 0, "hash": "", "policy": None}
    assert editor.post("policy/install", json={"version": 9}).status_code == 404
    assert editor.get("policy/versions/9").status_code == 404
    assert editor.get("policy/versions/nine").status_code == 400
    assert [v["version"] for v in editor.get("policy/versions").json()["versions"]] == [2, 1]


def test_explain_takes_numbers_as_people_write_them(mediation: RunningMediation) -> None:
    mediation.client(Role.EDITOR).post("policy", content=YAML)
    viewer = mediation.client(Role.VIEWER)
    answer = viewer.get("explain", params={"source": "(210) 555-0123", "destination": "1-900-555-0100"}).json()
    assert (answer["action"], answer["rule"], answer["source"]) == ("terminate", "premium", "+12105550123")
    assert viewer.get("explain").status_code == 400


def test_devices_are_registered_once_and_again_after_being_revoked(mediation: RunningMediation) -> None:
    administrator = mediation.client()
    made = administrator.post("devices", json={"name": "enum-1"})
    assert made.status_code == 201
    assert (made.json()["kind"], made.json()["site"]) == ("enum", "main")
    assert administrator.post("devices", json={"name": "enum-1"}).status_code == 409
    assert administrator.post("devices", json={"name": "a/b"}).status_code == 400
    assert administrator.post("devices", json={"name": "x", "kind": "phone"}).status_code == 400
    assert administrator.post("devices", json={"name": "x", "site": "moon"}).status_code == 404
    assert administrator.delete("devices/enum-1").status_code == 204
    assert administrator.delete("devices/enum-1").status_code == 404
    again = administrator.post("devices", json={"name": "enum-1", "kind": "probe"})
    assert again.json()["device_id"] == made.json()["device_id"]
    assert again.json()["credential"] != made.json()["credential"]
    listed = administrator.get("devices").json()["devices"]
    assert [(device["name"], device["is_live"], device["last_seen_at"]) for device in listed] == [
        ("enum-1", False, None)
    ]
    assert made.json()["credential"] not in str(listed)


def test_users_and_tokens_come_and_go(mediation: RunningMediation) -> None:
    administrator = mediation.client()
    one_time = administrator.post("users", json={"name": "ana", "role": "analyst"}).json()["one_time_password"]
    assert administrator.post("users", json={"name": "ana", "role": "analyst"}).status_code == 409
    assert administrator.post("users", json={"name": "bob", "role": "king"}).status_code == 400
    assert administrator.post("users/ana/role", json={"role": "editor"}).status_code == 204
    assert administrator.post("users/ana/disable").status_code == 204
    assert mediation.client(None).post("session", json={"name": "ana", "password": one_time}).status_code == 401
    assert administrator.post("users/ana/enable").status_code == 204
    assert administrator.post("users/ana/reset").json()["one_time_password"] != one_time
    assert administrator.post("users/nobody/reset").status_code == 404
    users = administrator.get("users").json()["users"]
    assert [(user["name"], user["role"], user["disabled"]) for user in users] == [("ana", "editor", False)]
    token = administrator.post("tokens", json={"name": "backup", "role": "viewer", "days": 1}).json()["token"]
    assert (
        mediation.client(None).get("session", headers={"Authorization": f"Bearer {token}"}).json()["name"] == "backup"
    )
    assert administrator.delete("tokens/backup").status_code == 204
    assert mediation.client(None).get("session", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    trail = {entry["action"] for entry in administrator.get("audit").json()["entries"]}
    assert {"user.add", "user.role", "user.disable", "user.enable", "user.reset", "token.add", "token.revoke"} <= trail
