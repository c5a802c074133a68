"""The life of a policy by the command alone: what it prints, and its exit codes."""

from __future__ import annotations

import json

from tests.cli.conftest import Run
from tests.cli.test_operator_commands import golden

from ringfence.policy.rules import parse_policy


def test_draft_commit_install_and_back(ringfence: Run) -> None:
    ringfence("device", "add", "enum-1")
    said = [
        ringfence("schedule", "add", "night", "--zone", "America/Chicago", "--from", "22:00", "--to", "06:00"),
        ringfence("policy", "rule", "add", "premium", "--action", "terminate", "--destination", "+1900*", "--mode",
                  "monitor"),
        ringfence("policy", "rule", "add", "vip", "--action", "allow", "--source", "+13125550100", "--first"),
        ringfence("policy", "rule", "add", "flood", "--action", "terminate", "--source", "+1305*", "--rate",
                  "10/60/source", "--schedule", "night", "--before", "premium"),
        ringfence("policy", "rule", "edit", "premium", "--destination", "+1900*", "--destination", "+44*",
                  "--note", "costly"),
        ringfence("policy", "rule", "enable", "premium"),
        ringfence("policy", "rule", "move", "flood", "--last"),
        ringfence("policy", "rule", "copy", "vip", "vip 2"),
        ringfence("policy", "rule", "disable", "vip 2"),
        ringfence("policy", "rule", "list"),
        ringfence("policy", "rule", "remove", "vip 2"),
        ringfence("policy", "draft", "set", "profile", "own", "{service: sip+E2U}"),
        ringfence("policy", "draft", "set", "protected", "933"),
        ringfence("policy", "draft", "unset", "profile", "own"),
        ringfence("schedule", "edit", "night", "--day", "sat", "--day", "sun"),
        ringfence("schedule", "list"),
        ringfence("policy", "draft", "show"),
        ringfence("policy", "diff"),
        ringfence("policy", "commit", "-m", "first rules"),
        ringfence("policy", "draft", "show"),
        ringfence("policy", "install", "1", "--device", "enum-1", "--no-wait"),
        ringfence("policy", "install", "1", "--confirm-within", "10m"),
        ringfence("policy", "installed"),
        ringfence("policy", "confirm"),
        ringfence("policy", "versions"),
        ringfence("policy", "rollback"),
        ringfence("policy", "install", "1", "--staged", "enum-1"),
        ringfence("policy", "uninstall", "--device", "enum-1"),
        ringfence("policy", "follow", "--device", "enum-1"),
        ringfence("device", "show", "enum-1"),
    ]  # fmt: skip
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    golden("lifecycle", "\n".join(done.stdout for done in said))


def test_two_operators_at_once_and_the_second_is_told(ringfence: Run) -> None:
    ringfence("policy", "rule", "add", "a", "--action", "allow", "--source", "+1305*")
    seen = str(json.loads(ringfence("policy", "draft", "show", "--json").stdout)["revision"])
    assert ringfence("policy", "rule", "edit", "a", "--note", "first", "--revision", seen).returncode == 0
    second = ringfence("policy", "rule", "edit", "a", "--note", "second", "--revision", seen)
    assert (second.returncode, second.stdout) == (4, "")
    assert "changed meanwhile by local at" in second.stderr
    assert "rule 'a': note set to first" in second.stderr
    assert (
        ringfence("policy", "rule", "add", "b", "--action", "allow", "--source", "+1*", "--revision", seen).returncode
        == 0
    )
    assert ringfence("policy", "commit", "--revision", seen).returncode == 4
    assert ringfence("policy", "commit").returncode == 0


def test_what_is_exported_applies_to_the_same_version(ringfence: Run) -> None:
    policy = 'rules: [{name: a, destinations: ["+1900*"], action: terminate}]'
    dry = ringfence("policy", "apply", "-", "--dry-run", stdin=policy)
    assert "rule 'a' added at place 1" in dry.stdout
    assert ringfence("policy", "apply", "-", "--no-install", stdin=policy).stdout == "Policy version 1 committed.\n"
    exported = ringfence("policy", "export", "newest").stdout
    assert parse_policy(exported.encode()) == parse_policy(policy.encode())
    again = ringfence("policy", "apply", "-", stdin=exported)
    assert again.stdout == "Policy version 1 installed; its content was known already; no device is connected now.\n"
    ringfence("policy", "apply", "-", "--to-draft", stdin=policy.replace("terminate", "allow"))
    unified = ringfence("policy", "diff", "--yaml").stdout
    assert "-  action: terminate\n+  action: allow\n" in unified
    assert json.loads(ringfence("policy", "schema").stdout)["title"] == "Ringfence policy"
    wrong = ringfence("policy", "validate", "-", stdin="rules: [{name: a, action: allow, devices: [x]}]")
    assert (wrong.returncode, wrong.stdout.splitlines()[0]) == (
        2,
        "error: rule 'a': devices: device 'x' is not registered",
    )
    assert ringfence("policy", "validate", "-", stdin=policy).returncode == 0


def test_sites_and_the_trail(ringfence: Run) -> None:
    said = [
        ringfence("site", "add", "berlin", "--country", "DE", "--own", "+493090*", "--extension-length", "3"),
        ringfence("site", "edit", "berlin", "--national-prefix", "9", "--note", "second floor"),
        ringfence("site", "list"),
        ringfence("site", "remove", "berlin"),
    ]
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    golden("sites", "\n".join(done.stdout for done in said))
    assert ringfence("site", "show", "berlin").returncode == 3
    assert ringfence("site", "remove", "main").returncode == 4
    trail = json.loads(ringfence("audit", "list", "--action", "site", "--json").stdout)
    assert [(entry["action"], entry["subject"]) for entry in trail] == [
        ("site.remove", "berlin"),
        ("site.edit", "berlin"),
        ("site.add", "berlin"),
    ]
    assert trail[1]["detail"]["after"]["note"] == "second floor"
    lines = ringfence("audit", "export", "--action", "site", "--format", "csv").stdout.splitlines()
    assert len(lines) == 4
    assert "site.add" in ringfence("audit", "list", "--text", "BERLIN", "--since", "1h").stdout


def test_refusals_are_one_line(ringfence: Run) -> None:
    for arguments, status, said in (
        (("policy", "rule", "add", "a", "--action", "allow", "--rate", "ten"), 2, "--rate: 'ten' is no rate"),
        (("policy", "rule", "move", "a"), 2, "name one place"),
        (("policy", "rule", "edit", "a", "--mode", "off"), 3, "rule 'a' does not exist in the draft"),
        (("policy", "install", "1", "--confirm-within", "soon"), 2, "--confirm-within: 'soon' is not a duration"),
        (("policy", "install", "1", "--staged", "x", "--device", "y"), 2, "--staged names the first device itself"),
        (("policy", "draft", "set", "colour", "x"), 2, "kinds: must be"),
        (("policy", "go-on",), 4, "no staged installation waits"),
        (("policy", "rollback",), 4, "no installation to roll back"),
    ):  # fmt: skip
        done = ringfence(*arguments)
        assert (done.returncode, done.stdout) == (status, ""), (arguments, done.stderr)
        assert done.stderr.count("\n") == 1
        if said != "kinds: must be":
            assert said in done.stderr
