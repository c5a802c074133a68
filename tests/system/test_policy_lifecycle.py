"""A policy from draft to enforced and back on a whole node, by the command alone; commit-confirm over kill -9 (E3)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.system.running_node import RunningNode, eventually

ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
PREMIUM = "+19005550100"
CONFIRM_WITHIN_S = 10


def device(node: RunningNode) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(node.cli("device", "show", "enum-1", "--json"))
    return shown


def test_from_monitor_to_enforced_to_rolled_back(node: RunningNode) -> None:
    """Issue 4, done when 2."""
    node.cli(
        "policy", "rule", "add", "premium", "--action", "terminate", "--destination", "+1900*", "--mode", "monitor"
    )
    node.cli("policy", "commit", "-m", "watch premium numbers")
    node.cli("policy", "install", "1")
    eventually(lambda: node.decide(PREMIUM) == ALLOW, "a monitored rule lets the call go on")
    eventually(
        lambda: any(call["monitored"] == ["premium"] for call in node.events()), "what it would have done is recorded"
    )
    node.cli("policy", "rule", "enable", "premium")
    assert "mode monitor → enforce" in node.cli("policy", "diff")
    node.cli("policy", "commit", "-m", "refuse them")
    node.cli("policy", "install", "2", "--staged", "enum-1")
    eventually(lambda: node.decide(PREMIUM) == TERMINATE, "the first device refuses the call")
    eventually(lambda: device(node)["pending_version"] is None, "it has said so")
    node.cli("policy", "go-on")
    assert "terminate: rule 'premium'" in node.cli("explain", "+12105550123", PREMIUM)
    installed = json.loads(node.cli("policy", "installed", "--json"))
    assert [(one["target"], one["version"]) for one in installed["targets"]] == [("all", 2)]
    said = device(node)
    assert (said["wanted_version"], said["policy_version"], said["wanted_from"]) == (2, 2, "all")
    node.cli("policy", "rollback")
    eventually(lambda: node.decide(PREMIUM) == ALLOW, "rolled back, the call goes on")


def test_an_unconfirmed_installation_reverts_though_the_mediation_was_killed(node: RunningNode, tmp_path: Path) -> None:
    """Issue 4, done when 5."""
    before = json.loads(node.cli("policy", "installed", "--json"))["targets"]
    file = tmp_path / "policy.yaml"
    file.write_text(f'rules: [{{name: mistake, destinations: ["{PREMIUM}"], action: terminate}}]', encoding="utf-8")
    node.cli("policy", "apply", str(file), "--confirm-within", f"{CONFIRM_WITHIN_S}s")
    eventually(lambda: node.decide(PREMIUM) == TERMINATE, "the mistake acts")
    node.kill_service("mediation")
    eventually(lambda: node.decide(PREMIUM) == ALLOW, "the mistake is taken back", 60)
    state = json.loads(node.cli("policy", "installed", "--json"))
    assert [(one["target"], one["version"]) for one in state["targets"]] == [
        (one["target"], one["version"]) for one in before
    ]
    revert, mistake = state["log"][:2]
    assert (revert["action"], mistake["outcome"], mistake["outcome_by"]) == ("revert", "reverted", "commit-confirm")
    late = datetime.fromisoformat(revert["at"]) - datetime.fromisoformat(mistake["confirm_by"])
    assert late.total_seconds() >= 0
    # On time: a second is how often the leader looks; the rest is for a slow machine and a mediation that starts.
    assert late.total_seconds() < 30


def test_a_corrupted_policy_file_is_refused_and_fetched_again(node: RunningNode, tmp_path: Path) -> None:
    """Issue 4, done when 6."""
    file = tmp_path / "policy.yaml"
    file.write_text(f'rules: [{{name: kept, destinations: ["{PREMIUM}"], action: terminate}}]', encoding="utf-8")
    node.cli("policy", "apply", str(file))
    stored = node.data / "enum" / "policy" / "installed"
    eventually(lambda: b'"kept"' in stored.read_bytes(), "the edge has it on its disk")
    stored.write_bytes(stored.read_bytes().replace(b"terminate", b"redirects"))
    node.kill_service("enum")
    eventually(lambda: (stored.parent / "installed.damaged").exists(), "the damaged file is set aside")
    eventually(lambda: stored.exists() and b'"terminate"' in stored.read_bytes(), "it is fetched again")
    assert node.decide(PREMIUM) == TERMINATE
