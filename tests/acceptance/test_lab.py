"""The functional system test against real processes: a sound system passes; each thing broken on purpose is found at
its case, with evidence (E8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.sbc.responder import running

from ringfence.acceptance.cases import cases_for
from ringfence.acceptance.cases.enum_answers import POLICY
from ringfence.acceptance.lab.deployment import APEX, Lab, LabHands
from ringfence.acceptance.lab.tap import site_filter
from ringfence.acceptance.plan import Plan, split_address
from ringfence.acceptance.record import Record, Result
from ringfence.acceptance.run import Api, Run
from ringfence.acceptance.sbc.emulator import SbcEmulator
from ringfence.acceptance.sbc.presets import PRESETS
from ringfence.acceptance.sbc_side import EmulatedSbc, SbcSide

SITE = "east"
WAITS = 0.0005  # ten minutes are 0.3 s
ALLOW = r"!^(.*)$!sip:\1@allow.e164.internal!"
pytestmark = pytest.mark.slow


def carry_out(
    lab: Lab,
    *only: str,
    plan: Plan | None = None,
    api: Api | None = None,
    sbc: SbcSide | None = None,
    patience_s: float = 30.0,
) -> Record:
    """Run these cases in the lab; the policy is put back."""
    plan = plan or lab.plan
    cases, skipped = cases_for(plan, only)
    record = Record(
        "R-test", plan, "lab", "SBC emulator", "test", datetime.now(UTC).isoformat(), "test", WAITS,
        cases=tuple(case.id for case in cases), skipped=skipped,
    )  # fmt: skip
    sbcs = {SITE: sbc} if sbc else lab.sbcs
    run = Run(record, api or lab.api, LabHands(lab), sbcs, patience_s=patience_s)
    try:
        return run.execute(cases)
    finally:
        if POLICY in run.memory:
            run.memory[POLICY].put_back()


def failures(record: Record) -> dict[tuple[str, str], Result]:
    """(case, subject) → result, of what is not PASS."""
    return {(one.case, one.subject.name): one for one in record.results if one.verdict != "PASS"}


def test_a_server_that_answers_wrongly_fails_at_its_own_cases(lab: Lab) -> None:
    with running(lambda destination, source: ALLOW) as impostor:
        address = f"{impostor.address[0]}:{impostor.address[1]}"
        (location,) = lab.plan.locations
        wrong = location.enum_servers[1].model_copy(update={"address": address})
        servers = (location.enum_servers[0], wrong, location.enum_servers[2])
        plan = lab.plan.model_copy(update={"locations": (location.model_copy(update={"enum_servers": servers}),)})

        record = carry_out(lab, "B3", plan=plan, patience_s=1.0)

    assert list(failures(record)) == [("B3", "east-enum-2")]
    (result,) = failures(record).values()
    assert "the answer says allow" in result.comment
    assert "allow.e164.internal" in str(result.evidence[0].rows)
    assert record.verdict() == "FAIL"


def test_an_sbc_that_does_not_share_its_questions_fails_round_robin(lab: Lab) -> None:
    (location,) = lab.plan.locations
    addresses = [split_address(server.address) for server in location.enum_servers]
    stuck = EmulatedSbc(
        SbcEmulator(addresses, APEX, PRESETS["oracle-hunt"]), [server.name for server in location.enum_servers]
    )
    stuck.preset = PRESETS["oracle"]  # what it was ordered to be

    record = carry_out(lab, "B6", sbc=stuck, patience_s=5.0)

    assert list(failures(record)) == [("B6", SITE)]
    (result,) = failures(record).values()
    assert "not round robin" in result.comment
    assert dict(result.evidence[0].rows) == {"east-enum-1": 12, "east-enum-2": 0, "east-enum-3": 0}


class StubbornDevice:
    """The lab's API, with somebody who installs the policy again on one device as soon as it is uninstalled."""

    def __init__(self, api: Api, device: str) -> None:
        self._api = api
        self._device = device
        self._version = 0

    def get(self, path: str, **parameters: Any) -> Any:
        return self._api.get(path, **parameters)

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        answer = self._api.post(path, body, **parameters)
        if path == "policy" and parameters.get("install") == "true":
            self._version = answer["version"]
        elif path == "policy/uninstall" and self._version:
            self._api.post("policy/install", {"version": self._version, "device": self._device})
            self._version = 0
        return answer


def test_an_uninstalled_policy_that_still_acts_is_found(lab: Lab) -> None:
    record = carry_out(lab, "B5", api=StubbornDevice(lab.api, "east-enum-3"))

    assert list(failures(record)) == [("B5", "east-enum-3")]
    (result,) = failures(record).values()
    assert "the uninstalled policy acts" in result.comment
    assert "terminate" in str(result.evidence[0].rows)


def test_the_standby_of_the_lab_is_in_step(lab: Lab) -> None:
    record = carry_out(lab, "A4")

    assert failures(record) == {}
    (result,) = (one for one in record.results if one.subject.name == "standby")
    ((name, mode, _, _, backup, problem),) = result.evidence[0].rows
    assert (name, mode, problem) == ("standby-east", "backup", None)
    assert [one["backup_id"] for one in lab.api.get("backups")["backups"]] == [backup]


class WithStandby:
    """The lab's API, with what an active tells of a standby that fetched its copy so long ago."""

    def __init__(self, api: Api, age: timedelta) -> None:
        self._api = api
        self._last_at = (datetime.now(UTC) - age).isoformat()

    def get(self, path: str, **parameters: Any) -> Any:
        if path == "standby":
            told = {"name": "west", "mode": "backup", "behind_bytes": None, "last_backup": "b-1", "problem": None}
            return {"role": "active", "followers": [told | {"last_at": self._last_at}]}
        return self._api.get(path, **parameters)

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        return self._api.post(path, body, **parameters)


def test_a_standby_that_is_not_synchronised_any_more_fails_availability(lab: Lab) -> None:
    management = lab.plan.management.model_copy(update={"standby": "mediation at west"})
    plan = lab.plan.model_copy(update={"management": management})

    fresh = carry_out(lab, "A4", plan=plan, api=WithStandby(lab.api, timedelta(hours=1)))
    stale = carry_out(lab, "A4", plan=plan, api=WithStandby(lab.api, timedelta(hours=30)))

    assert failures(fresh) == {}
    assert list(failures(stale)) == [("A4", "standby")]
    assert failures(stale)["A4", "standby"].comment == "west: its last copy is 30.0 h old, at most 24"


def test_all_down_fails_where_the_sbc_lets_calls_fail(lab: Lab) -> None:
    (location,) = lab.plan.locations
    addresses = [split_address(server.address) for server in location.enum_servers]
    preset = replace(PRESETS["oracle-strict"].scaled(0.01))
    strict = EmulatedSbc(SbcEmulator(addresses, APEX, preset), [server.name for server in location.enum_servers])

    record = carry_out(lab, "B10", "B11", sbc=strict)

    assert list(failures(record)) == [("B10", SITE)]
    assert "further route" in failures(record)["B10", SITE].comment


def test_a_tap_that_is_down_fails_capture_and_processing(lab: Lab) -> None:
    if not lab.can_probe:
        pytest.skip("a packet socket needs root")
    probe = lab.processes["east-probe-1"]
    sound = probe.environment["RINGFENCE_PROBE_FILTER"]
    probe.stop()
    probe.environment["RINGFENCE_PROBE_FILTER"] = site_filter(100)  # the mirror port sends another network
    probe.start()
    probe.await_ready()
    try:
        record = carry_out(lab, "C2", "C3", patience_s=2.0)
    finally:
        probe.stop()
        probe.environment["RINGFENCE_PROBE_FILTER"] = sound
        probe.start()
        probe.await_ready()

    assert list(failures(record)) == [("C2", "east-probe-1"), ("C3", "east-probe-1")]
    assert "no packet arrived" in failures(record)["C2", "east-probe-1"].comment
    assert failures(record)["C3", "east-probe-1"].comment == "0 of 2 calls are recorded"
