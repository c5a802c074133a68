"""The SBC emulator on real sockets: what it asks, what it makes of answers, and the same choices as a real Kamailio."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sbc.conftest import StartSbc
from tests.sbc.conftest import start_sbc as start_sbc
from tests.sbc.responder import running

from ringfence.acceptance.lab.kamailio.running import EnumBehaviour
from ringfence.acceptance.sbc.answers import apply_expression, route
from ringfence.acceptance.sbc.emulator import SbcEmulator
from ringfence.acceptance.sbc.presets import PRESETS

APEX = "e164.internal"
QUICK = replace(PRESETS["oracle"], retransmit_s=0.03, timeout_s=0.1, rest_s=0.0, failures=2, out_of_service_s=60.0)
ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
REDIRECT = "!^.*$!sip:+12105550199@redirect.e164.internal!"


def decide(destination: str, source: str | None) -> str | None:
    """As the tiny ENUM server answers."""
    if source and source.startswith("sip:+19005550111@"):
        return TERMINATE
    return {"+19005550100": TERMINATE, "+12105550100": REDIRECT, "+12105550404": None}.get(destination, ALLOW)


def test_calls_go_where_the_answer_says() -> None:
    with running(decide) as server:
        sbc = SbcEmulator([server.address], APEX, QUICK)
        calls = [sbc.call("+13005550000", number) for number in ("+12105550123", "+19005550100", "+12105550100")]
        by_source = sbc.call("+19005550111", "+12105550123")
        no_record = sbc.call("+13005550000", "+12105550404")
    assert [call.action for call in calls] == ["allow", "terminate", "redirect"]
    assert calls[2].number == "+12105550199"
    assert (by_source.action, no_record.action) == ("terminate", "proceed")
    assert calls[0].attempts[0].ttl == 0


def test_a_silent_server_is_asked_again_then_the_next_then_not_at_all() -> None:
    with ExitStack() as stack:
        silent, other = (stack.enter_context(running(decide)) for _ in range(2))
        silent.silent = True
        sbc = SbcEmulator([silent.address, other.address], APEX, QUICK)
        first, _, third = (sbc.call("+13005550000", "+19005550100") for _ in range(3))
        assert [attempt.result for attempt in first.attempts] == ["silent", "answer"]
        assert first.attempts[0].sent == len(QUICK.waits())
        assert first.attempts[0].took_ms >= 90
        assert third.conditions == ("out_of_service", "in_service")
        asked = len(silent.asked)
        assert [call.server for call in (sbc.call("+13005550000", "+19005550100") for _ in range(4))] == [1] * 4
        assert len(silent.asked) == asked


@pytest.mark.parametrize(("preset", "action"), [("oracle", "proceed"), ("oracle-strict", "fail")])
def test_all_down_does_as_the_preset_says(preset: str, action: str) -> None:
    with running(decide) as gone:
        address = gone.address
    sbc = SbcEmulator([address], APEX, replace(QUICK, all_down=PRESETS[preset].all_down))
    call = sbc.call("+13005550000", "+19005550100")
    assert (call.action, call.server) == (action, None)
    assert call.attempts[0].result == "not there"
    assert call.attempts[0].took_ms < 90, "a port that is closed is known at once"


def test_a_fault_counts_as_failure_only_where_the_make_says_so() -> None:
    with running(decide) as server:
        server.rcode = dns.rcode.SERVFAIL
        oracle = SbcEmulator([server.address], APEX, QUICK).call("+13005550000", "+19005550100")
        ribbon = SbcEmulator([server.address], APEX, PRESETS["ribbon"]).call("+13005550000", "+19005550100")
    assert oracle.attempts[0].result == "no record"
    assert ribbon.attempts[0].result == "fault"


@given(st.text(max_size=40), st.text("0123456789", min_size=1, max_size=15))
def test_any_expression_routes_the_call_somehow(expression: str, digits: str) -> None:
    assert route(expression, f"+{digits}").action in ("allow", "terminate", "redirect", "proceed")


def test_expressions_as_rfc_6116_has_them() -> None:
    assert (
        apply_expression(r"!^(\+441632960083)$!sip:\1@example.com!", "+441632960083") == "sip:+441632960083@example.com"
    )
    assert apply_expression("!^.*$!sip:info@example.com!", "+441632960083") == "sip:info@example.com"
    assert apply_expression(r"!^\+44(.*)$!sip:0\1@host!i", "+4416") == "sip:016@host"
    assert apply_expression(r"!^x$!sip:y@z!", "+44") is None


def test_a_real_kamailio_asks_the_same_servers(start_sbc: StartSbc) -> None:
    """Round robin, failing over, black-listed, all down: server by server as the emulator does."""
    number, source = "+19005550100", "+13005550000"
    with ExitStack() as stack:
        servers = [stack.enter_context(running(decide)) for _ in range(3)]
        addresses = [server.address for server in servers]
        behaviour = EnumBehaviour(timeout_s=1.0, failures=2, out_of_service_s=3600.0)
        kamailio = start_sbc(addresses, behaviour=behaviour)
        preset = replace(PRESETS["kamailio"], timeout_s=1.0, retransmit_s=1.0, failures=2, out_of_service_s=3600.0)
        emulator = SbcEmulator(addresses, APEX, preset)

        def compare(calls: int) -> list[int | None]:
            """The servers that decided so many calls, the same for both."""
            before = len(kamailio.dips())
            codes = [kamailio.call(source, number).final_code for _ in range(calls)]
            emulated = [emulator.call(source, number) for _ in range(calls)]
            seen = [dip["server"] for dip in kamailio.dips()[before:]]
            assert seen == [call.server for call in emulated]
            assert codes == [603 if call.action == "terminate" else 200 for call in emulated]
            return [call.server for call in emulated]

        assert compare(3) == [0, 1, 2]
        servers[1].silent = True
        assert 1 not in compare(6)
        servers[0].rcode = dns.rcode.REFUSED
        compare(4)
        assert emulator.conditions() == ("out_of_service", "out_of_service", "in_service")
        servers[2].rcode = dns.rcode.SERVFAIL
        assert compare(3) == [None, None, None]
