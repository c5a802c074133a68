"""The SBC itself, against a tiny ENUM server with a fixed table."""

from __future__ import annotations

import time
from contextlib import ExitStack

import dns.rcode
from tests.sbc.conftest import StartSbc
from tests.sbc.responder import running

from ringfence.acceptance.lab.kamailio.running import EnumBehaviour, deadline

ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"
REDIRECT = "!^.*$!sip:+12105550199@redirect.e164.internal!"


def decide(destination: str, source: str | None) -> str | None:
    if source and source.startswith("sip:+19005550111@"):
        return TERMINATE
    return {"+19005550100": TERMINATE, "+12105550100": REDIRECT, "+12105550404": None}.get(destination, ALLOW)


def test_call_goes_where_the_answer_says(start_sbc: StartSbc) -> None:
    with running(decide) as server:
        sbc = start_sbc([server.address], redirect_numbers=["+12105550199"])

        allowed = sbc.call("+13005550000", "+12105550123")
        terminated = sbc.call("+13005550000", "+19005550100")
        redirected = sbc.call("+13005550000", "+12105550100")
        no_record = sbc.call("+13005550000", "+12105550404")

    assert (allowed.final_code, allowed.answered_by) == (200, "normal")
    assert allowed.request_uri == "sip:+12105550123@allow.e164.internal"
    assert (terminated.final_code, terminated.answered_by) == (603, None)
    assert (redirected.final_code, redirected.answered_by) == (200, "redirect")
    assert redirected.request_uri == "sip:+12105550199@redirect.e164.internal"
    assert (no_record.final_code, no_record.answered_by) == (200, "normal")


def test_source_is_asserted_identity_else_from(start_sbc: StartSbc) -> None:
    with running(decide) as server:
        sbc = start_sbc([server.address])

        by_from = sbc.call("+19005550111", "+12105550123")
        by_identity = sbc.call("+13005550000", "+12105550123", asserted="+19005550111")
        identity_wins = sbc.call("+19005550111", "+12105550123", asserted="+13005550000")

        sources = [source or "" for _, source in server.asked]
    assert (by_from.final_code, by_identity.final_code, identity_wins.final_code) == (603, 603, 200)
    assert [source.split("@")[0] for source in sources] == ["sip:+19005550111", "sip:+19005550111", "sip:+13005550000"]


def test_national_destination_is_asked_for_as_e164(start_sbc: StartSbc) -> None:
    with running(decide) as server:
        sbc = start_sbc([server.address])

        assert sbc.call("3005550000", "2105550123").final_code == 200
        assert sbc.call("3005550000", "911").final_code == 200

        assert [destination for destination, _ in server.asked] == ["+12105550123"]


def test_servers_are_asked_in_turn(start_sbc: StartSbc) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(running(decide)) for _ in range(3)]
        sbc = start_sbc([server.address for server in servers])

        for _ in range(6):
            assert sbc.call("+13005550000", "+12105550123").final_code == 200

        assert [len(server.asked) for server in servers] == [2, 2, 2]
        assert [dip["server"] for dip in sbc.dips()] == [0, 1, 2, 0, 1, 2]


def test_silent_server_is_taken_out_of_service_and_comes_back(start_sbc: StartSbc) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(running(decide)) for _ in range(2)]
        silent, other = servers
        sbc = start_sbc(
            [server.address for server in servers],
            behaviour=EnumBehaviour(timeout_s=0.1, failures=2, out_of_service_s=1.5),
        )
        silent.silent = True

        while len(silent.asked) < 2:
            assert sbc.call("+13005550000", "+19005550100").final_code == 603
        out_since = time.monotonic()
        answered_before = len(other.asked)
        assert sbc.call("+13005550000", "+19005550100").final_code == 603
        assert sbc.call("+13005550000", "+19005550100").final_code == 603
        if time.monotonic() - out_since < 1.4:
            assert len(silent.asked) == 2
            assert len(other.asked) == answered_before + 2

        silent.silent = False
        asked_before = len(silent.asked)
        for _ in deadline(10.0):
            assert sbc.call("+13005550000", "+19005550100").final_code == 603
            if len(silent.asked) > asked_before:
                break
        assert sbc.dips()[-1]["server"] == 0


def test_calls_proceed_when_every_server_is_down_or_faulty(start_sbc: StartSbc) -> None:
    with running(decide) as stopped:
        nobody = stopped.address
    with running(decide) as faulty:
        faulty.rcode = dns.rcode.SERVFAIL
        sbc = start_sbc([faulty.address, nobody])

        result = sbc.call("+13005550000", "+19005550100")

        assert (result.final_code, result.answered_by) == (200, "normal")
        assert sbc.dips()[-1]["status"] == "down"
        assert faulty.asked
