"""One call, decided, recorded and shown, on a whole node (issue 2, done when 1)."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.system.running_node import RunningNode, eventually

POLICY = """
rules:
  - {name: premium, destinations: ["+19005550100"], action: terminate}
  - {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
"""
ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
REDIRECT = "!^.*$!sip:+12105550199@redirect.e164.internal!"


def test_says_where_everything_is(node: RunningNode) -> None:
    said = node.said()
    assert re.search(r"^Console: http://127\.0\.0\.1:\d+$", said, re.M)
    assert re.search(r"^Sign in: admin, one-time password \S+$", said, re.M)
    assert re.search(r"^ENUM: 127\.0\.0\.1:\d+ \(UDP\)", said, re.M)


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (Debian: bind9-dnsutils)")
def test_the_printed_dig_line_works_as_printed(node: RunningNode) -> None:
    line = re.search(r"^Try: (dig .*)$", node.said(), re.M)
    assert line is not None
    answer = subprocess.run(shlex.split(line[1]), capture_output=True, text=True, check=True).stdout
    assert "NAPTR" in answer
    assert "e164.internal" in answer


def test_a_policy_acts_within_a_second_and_its_calls_show_within_five(node: RunningNode, tmp_path: Path) -> None:
    assert node.decide("+19005550100") == ALLOW
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    node.cli("policy", "apply", str(file))
    eventually(lambda: node.decide("+19005550100") == TERMINATE, "the premium number is terminated", timeout_s=1)
    assert node.decide("+12105550100") == REDIRECT
    assert node.decide("+12105550107") == ALLOW

    def recorded() -> bool:
        calls = {(call["destination"], call["action"], call["rule"]): call for call in node.events()}
        wanted = {
            ("+19005550100", "terminate", "premium"),
            ("+12105550100", "redirect", "moved"),
            ("+12105550107", "allow", None),
        }
        return wanted <= calls.keys() and all(calls[key]["policy_version"] == 1 for key in wanted)

    eventually(recorded, "the calls are in the call log", timeout_s=5)
    assert {call["device"] for call in node.events()} == {"enum-1"}
    assert {call["source"] for call in node.events()} == {"+12105550123"}


def test_a_second_up_on_the_same_folder_is_refused_in_one_line(node: RunningNode) -> None:
    node.cli("up", status=4)
    assert node.decide("+12105550107") == ALLOW
