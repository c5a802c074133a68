"""Calls through a real SBC that asks our ENUM servers: the decision is what happens to the call (R1, R2, R3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.targets import APEX, policy_document
from tests.sbc.conftest import StartSbc

from ringfence.acceptance.lab.kamailio.running import CallResult, EnumBehaviour, Sbc, deadline

SOURCE = "+13005550000"
ALLOWED, TERMINATED, REDIRECTED, TARGET = "+12105550123", "+19005550100", "+12105550100", "+12105550199"


class EnumServers:
    """Two ENUM servers of one site, each of which can be stopped and started at its address."""

    def __init__(self, folder: Path, native: Any) -> None:
        self._folder = folder
        self._native = native
        self._running: dict[int, Any] = {}
        self.addresses: list[tuple[str, int]] = []
        for number in range(2):
            server = self.start(number)
            host, _, port = server.addresses[0].rpartition(":")
            self.addresses.append((host, int(port)))

    def start(self, number: int) -> Any:
        """Start one: at the port it had before, with the policy."""
        port = self.addresses[number][1] if number < len(self.addresses) else 0
        configuration = {
            "listen": [f"127.0.0.1:{port}"], "apex": [APEX], "workers": 1, "source_option_codes": [4, 65001],
            "fail_mode": "allow",
            "journal": {
                "folder": str(self._folder / f"journal-{number}"), "segment_bytes": 1 << 20, "max_bytes": 64 << 20,
                "keep_hours": 1, "sync_ms": 100, "stage": None, "stage_bytes": 1 << 20,
            },
        }  # fmt: skip
        server = self._native.EnumServer(json.dumps(configuration))
        self._running[number] = server
        server.install(policy_document())
        return server

    def stop(self, number: int) -> None:
        """Stop one; its port is closed when this returns."""
        self._running.pop(number).stop()

    def queries(self, number: int) -> int:
        """How many queries a running one has had."""
        return int(json.loads(self._running[number].counters())["queries"])

    def stop_all(self) -> None:
        """Stop what runs."""
        for number in list(self._running):
            self.stop(number)


@pytest.fixture
def enum_servers(tmp_path: Path) -> Iterator[EnumServers]:
    native = pytest.importorskip("ringfence._native", reason="the data plane is not built (make setup)")
    if not hasattr(native, "EnumServer"):
        pytest.skip("this data plane has no ENUM server")
    servers = EnumServers(tmp_path, native)
    yield servers
    servers.stop_all()


@pytest.fixture
def sbc(start_sbc: StartSbc, enum_servers: EnumServers) -> Sbc:
    return start_sbc(
        enum_servers.addresses,
        redirect_numbers=[TARGET],
        behaviour=EnumBehaviour(failures=1, out_of_service_s=0.5),
    )


def outcome(call: CallResult) -> tuple[int, str | None]:
    return call.final_code, call.answered_by


def test_allowed_call_reaches_its_destination(sbc: Sbc) -> None:
    call = sbc.call(SOURCE, ALLOWED)

    assert outcome(call) == (200, "normal")
    assert call.request_uri == f"sip:{ALLOWED}@allow.{APEX}"


def test_terminated_call_is_refused(sbc: Sbc) -> None:
    assert outcome(sbc.call(SOURCE, TERMINATED)) == (603, None)


def test_redirected_call_reaches_the_other_endpoint(sbc: Sbc) -> None:
    call = sbc.call(SOURCE, REDIRECTED)

    assert outcome(call) == (200, "redirect")
    assert call.request_uri == f"sip:{TARGET}@redirect.{APEX}"


@pytest.mark.parametrize("source", ["+19005550111", "19005550111", "9005550111"])
def test_call_from_a_blocked_source_is_refused_however_it_is_written(sbc: Sbc, source: str) -> None:
    assert outcome(sbc.call(source, ALLOWED)) == (603, None)
    assert outcome(sbc.call(SOURCE, ALLOWED, asserted=source)) == (603, None)


def test_asserted_identity_is_the_source_not_from(sbc: Sbc) -> None:
    assert outcome(sbc.call("+19005550111", ALLOWED, asserted=SOURCE)) == (200, "normal")


def test_both_servers_are_asked_in_turn(sbc: Sbc, enum_servers: EnumServers) -> None:
    for _ in range(4):
        sbc.call(SOURCE, ALLOWED)

    assert [enum_servers.queries(number) for number in (0, 1)] == [2, 2]


def test_one_server_down_changes_no_decision(sbc: Sbc, enum_servers: EnumServers) -> None:
    enum_servers.stop(0)

    assert [sbc.call(SOURCE, TERMINATED).final_code for _ in range(4)] == [603] * 4
    assert sbc.call(SOURCE, TERMINATED).took_s < 2


def test_calls_proceed_with_all_servers_down_and_are_decided_again_when_they_are_back(
    sbc: Sbc, enum_servers: EnumServers
) -> None:
    assert outcome(sbc.call(SOURCE, TERMINATED)) == (603, None)

    for number in (0, 1):
        enum_servers.stop(number)
    assert outcome(sbc.call(SOURCE, TERMINATED)) == (200, "normal")
    assert outcome(sbc.call(SOURCE, ALLOWED)) == (200, "normal")

    for number in (0, 1):
        enum_servers.start(number)
    for _ in deadline(10.0):
        if outcome(sbc.call(SOURCE, TERMINATED)) == (603, None):
            break
    assert [sbc.call(SOURCE, TERMINATED).final_code for _ in range(2)] == [603, 603]
