"""The ladder of a call's record: the moments that it has, and none that it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringfence.analytics.enum_calls import Call
from ringfence.analytics.milestones import leg_marks, microseconds, record_ladder
from ringfence.analytics.sip_calls import Media, SipCall

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SILENT = Media(None, None, None, None)
LEG = SipCall(
    time=NOON, device="probe-1", source="+1", destination="+2", direction="inbound", result="answered", status=200,
    released_by="source", pdd_ms=100, answer_ms=500, duration_ms=2000, total_ms=2600, forward=SILENT, backward=SILENT,
    codec=None, probe_lost=0, attestation="none", cause_q850=None, flags=(), source_peer="192.0.2.1:5060",
    destination_peer="192.0.2.2:5060", transport="udp", trunk="unknown", call_id="a", correlation="0", user_agent=None,
    details={}, stream=1, sequence=1, reported_time=None, source_class="number", destination_class="number",
)  # fmt: skip
ASKED = Call(
    time=NOON + timedelta(milliseconds=20), device="enum-1", source="+1", destination="+2", direction="inbound",
    action="redirect", rule=None, reason="default", target="+3", monitored=(), policy_version=1, latency_us=9.0,
    peer="192.0.2.2:40000", stream=2, sequence=1, reported_time=None, source_class="number", destination_class="number",
    dataset="enum", source_parameters={},
)  # fmt: skip


def told(leg: SipCall) -> list[tuple[int, bool, str]]:
    """Milliseconds, whether from the source, label."""
    start = microseconds(leg.time)
    return [((mark.time_us - start) // 1000, mark.source == leg.source_peer, mark.label) for mark in leg_marks(leg)]


@pytest.mark.parametrize(
    ("leg", "marks"),
    [
        (LEG, [(0, True, "INVITE"), (100, False, "18x"), (500, False, "200"), (2500, True, "BYE")]),
        (replace(LEG, pdd_ms=500, released_by="destination"),
         [(0, True, "INVITE"), (500, False, "200"), (2500, False, "BYE")]),
        (replace(LEG, released_by="none"), [(0, True, "INVITE"), (100, False, "18x"), (500, False, "200")]),
        (replace(LEG, flags=("start_missed",), answer_ms=None, pdd_ms=None, status=0, result="unfinished"), []),
        (replace(LEG, answer_ms=None, duration_ms=None, status=486, result="busy"),
         [(0, True, "INVITE"), (100, False, "18x"), (2600, False, "486")]),
        (replace(LEG, answer_ms=None, duration_ms=None, pdd_ms=None, status=487, result="cancelled"),
         [(0, True, "INVITE"), (2600, True, "CANCEL"), (2600, False, "487")]),
    ],
)  # fmt: skip
def test_a_leg_has_its_moments(leg: SipCall, marks: list[tuple[int, bool, str]]) -> None:
    assert told(leg) == marks


def test_legs_and_the_decision_between_them_are_one_ladder() -> None:
    onward = replace(
        LEG, time=NOON + timedelta(milliseconds=40), source_peer="192.0.2.2:5060", destination_peer="192.0.2.3:5060"
    )
    drawn = record_ladder([LEG, onward], [ASKED])
    assert drawn.columns == ("192.0.2.1:5060", "192.0.2.2:5060", "enum-1", "192.0.2.3:5060")
    assert [step.label for step in drawn.steps[:3]] == ["INVITE", "ENUM redirect", "INVITE"]
    assert (drawn.steps[1].source, drawn.steps[1].note) == (1, "default")
