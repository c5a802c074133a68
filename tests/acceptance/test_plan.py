"""The plan: made of what is registered, written and read again, and refused with every fault's field (R22)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from tests.acceptance.samples import sample_plan

from ringfence.acceptance.cases import ALL, cases_for
from ringfence.acceptance.plan import Numbers, draft_plan, plan_from, plan_schema, read_plan, write_plan
from ringfence.errors import InvalidInputError

NUMBERS = sample_plan().numbers


def device(name: str, kind: str, site: str, **report: Any) -> dict[str, Any]:
    """A device as the API tells it."""
    return {"name": name, "kind": kind, "site": site, "address": "198.51.100.7", "report": report}


def test_what_is_written_is_read_to_the_same_plan() -> None:
    plan = sample_plan()
    assert read_plan(write_plan(plan).encode()) == plan


def test_a_plan_is_made_of_what_is_registered() -> None:
    devices = [
        device("enum-1", "enum", "main", listen=["0.0.0.0:53"], apex=["enum.example"]),
        device("enum-2", "enum", "main", listen=["192.0.2.12:5353"], apex=["enum.example"]),
        device("enum-3", "enum", "main"),
        device("probe-1", "probe", "main", links=[{"name": "bond0"}]),
    ]
    plan = draft_plan([{"name": "main"}, {"name": "empty"}], devices, NUMBERS, date(2026, 11, 22))
    (location,) = plan.locations
    assert [server.address for server in location.enum_servers] == [
        "198.51.100.7:53",
        "192.0.2.12:5353",
        "192.0.2.3:53",
    ]
    assert [probe.interface for probe in location.probes] == ["bond0"]
    assert (plan.apex, plan.prepared_on) == ("enum.example", date(2026, 11, 22))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"locations": []}, "locations"),
        ({"colour": "red"}, "colour: no such field"),
        ({"numbers": NUMBERS.model_dump() | {"source": "911"}}, "numbers.source"),
        ({"numbers": NUMBERS.model_dump() | {"target": NUMBERS.source}}, "stands twice"),
        ({"waits": {"running_min": -1}}, "waits.running_min"),
        ({"without": [{"case": "B3"}]}, "without.0.reason: is missing"),
    ],
)
def test_a_fault_is_named_by_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan_from(sample_plan().as_json() | change)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("enum_servers", [{"name": "a", "address": "enum.example:53"}], "is not an address"),
        ("enum_servers", [{"name": "a", "address": "192.0.2.1:53"}, {"name": "a", "address": "192.0.2.2:53"}], "twice"),
        ("sbc", {"preset": "cisco"}, "preset: 'cisco' is not known"),
        ("sbc", {"preset": "oracle", "figures": {"failures": 99}}, "failures"),
    ],
)
def test_a_location_is_checked(part: str, value: Any, words: str) -> None:
    location = sample_plan().as_json()["locations"][0] | {part: value}
    with pytest.raises(InvalidInputError, match=words):
        plan_from(sample_plan().as_json() | {"locations": [location]})


def test_the_schema_knows_every_field() -> None:
    assert set(plan_schema()["properties"]) == set(sample_plan().as_json())


def test_cases_that_cannot_be_are_skipped_with_the_reason() -> None:
    small = sample_plan(servers=1, probes=0).as_json() | {"without": [{"case": "A3", "reason": "logs are elsewhere"}]}
    run, skipped = cases_for(plan_from(small))
    assert [case.id for case in run] == ["A1", "A2", "A4", "B1", "B2", "B3", "B4", "B5", "B10", "B11"]
    assert dict(skipped)["A3"] == "logs are elsewhere"
    assert {case for case, _ in skipped} | {case.id for case in run} == {case.id for case in ALL}
    assert [case.id for case in cases_for(sample_plan(), ("C", "B6"))[0]] == ["B6", "C1", "C2", "C3"]
    with pytest.raises(InvalidInputError, match="D7"):
        cases_for(sample_plan(), ("D7",))


def test_numbers_must_be_five_different_ones() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Numbers(
            source="+13005550000",
            allowed="+13005550000",
            terminated="+19005550100",
            redirected="+12105550100",
            target="+12105550199",
        )
