"""The whole thread: `ringfence up`, a policy from the CLI, calls through a real SBC, their events (R1, R6, R13)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sbc.conftest import StartSbc
from tests.system.running_node import RunningNode, running_node

from ringfence.acceptance.lab.kamailio.running import deadline, missing_packages

POLICY = """
rules:
  - {name: premium, destinations: ["+19005550100"], action: terminate}
  - {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
  - {name: caller, sources: ["+19005550111"], action: terminate}
"""


@pytest.fixture
def node() -> Iterator[RunningNode]:
    """A running node, where calls can be placed."""
    if missing := missing_packages():
        pytest.skip(f"needs the Debian packages {', '.join(missing)} (apt-get install {' '.join(missing)})")
    with running_node() as running:
        yield running


@pytest.mark.slow
def test_policy_applied_on_the_command_line_decides_calls_and_they_are_recorded(
    node: RunningNode, start_sbc: StartSbc, tmp_path: Path
) -> None:
    sbc = start_sbc([node.enum_address()], redirect_numbers=["+12105550199"])
    before = sbc.call("+13005550000", "+19005550100")
    assert (before.final_code, before.answered_by) == (200, "normal"), "without a policy every call is allowed"

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    node.cli("policy", "apply", str(policy))

    allowed = sbc.call("+13005550000", "+12105550123")
    terminated = sbc.call("+13005550000", "+19005550100")
    redirected = sbc.call("+13005550000", "+12105550100")
    by_source = sbc.call("+13005550000", "+12105550123", asserted="+19005550111")

    assert (allowed.final_code, allowed.answered_by) == (200, "normal")
    assert (terminated.final_code, terminated.answered_by) == (603, None)
    assert (redirected.final_code, redirected.answered_by) == (200, "redirect")
    assert (by_source.final_code, by_source.answered_by) == (603, None)
    assert recorded(node, 5) == [
        ("+13005550000", "+19005550100", "allow", None),
        ("+13005550000", "+12105550123", "allow", None),
        ("+13005550000", "+19005550100", "terminate", "premium"),
        ("+13005550000", "+12105550100", "redirect", "moved"),
        ("+19005550111", "+12105550123", "terminate", "caller"),
    ]


def recorded(node: RunningNode, count: int) -> list[tuple[str, str, str, str | None]]:
    """Source, destination, action and rule of the node's events, oldest first, once there are `count`."""
    events: list[dict[str, str]] = []
    for _ in deadline(15.0, step_s=0.2):
        events = [json.loads(line) for line in node.cli("events", "--json").splitlines()]
        if len(events) >= count:
            break
    events.sort(key=lambda event: event["time"])
    return [(event["source"], event["destination"], event["action"], event.get("rule")) for event in events]
