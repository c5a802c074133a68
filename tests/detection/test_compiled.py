"""Definitions as the windows get them: keys there and back, schedules as intervals, names that are not there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ringfence._native import Windows
from ringfence.analytics.recorded import RecordingDevice
from ringfence.detection.catalogue import catalogue
from ringfence.detection.compiled import intervals, key_words, specification, windows_key
from ringfence.detection.surroundings import Surroundings
from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.rules import Schedule

AROUND = Surroundings(
    (RecordingDevice(1, "one", "main"), RecordingDevice(2, "two", "far")),
    (Site("main", "US", ("+1210555000?",)), Site("far", "DE")),
)
PERIOD = (datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))


def test_the_whole_catalogue_is_taken_by_the_windows() -> None:
    definitions = list(catalogue().values())
    windows = Windows(specification(definitions, AROUND, PERIOD), 1000, 1)
    assert windows.keys() == [0] * len(definitions)
    document = json.loads(specification(definitions, AROUND, PERIOD))
    assert document["places"]["2"] == {"site": 2, "country": 1 + 26 * 3 + 4}


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("tdos-number", (12105550100, 0), {"destination": "+12105550100"}),
        ("harassing-caller", (13105550100, 12105550100), {"source": "+13105550100", "destination": "+12105550100"}),
        ("wangiri", (44123456, 0), {"source_prefix": "+44123456"}),
        ("tdos-site", (2, 0), {"site": "far"}),
        ("tdos-device", (1, 0), {"device": "one"}),
    ],
)
def test_a_key_is_read_back_from_its_words(name: str, key: tuple[int, int], words: dict[str, str]) -> None:
    definition = catalogue()[name]
    assert key_words(definition, key, AROUND) == words
    assert windows_key(definition, words, AROUND) == key


def hours(spans: list[tuple[int, int]]) -> list[tuple[float, float]]:
    begin = PERIOD[0].timestamp()
    return [((start / 1e6 - begin) / 3600, (stop / 1e6 - begin) / 3600) for start, stop in spans]


def test_a_schedule_past_midnight_and_through_the_end_of_summer_time() -> None:
    # 18:00 to 07:00 in Berlin; on the 25th the clock is set back at 3:00, so that night has an hour more.
    night = Schedule.model_validate({"zone": "Europe/Berlin", "from": "18:00", "to": "07:00"})
    assert hours(intervals(night, PERIOD, outside=False)) == [(0, 5), (16, 30), (41, 54), (65, 72)]
    assert hours(intervals(night, PERIOD, outside=True)) == [(5, 16), (30, 41), (54, 65)]
    days = Schedule.model_validate({"zone": "UTC", "days": ["sun"], "to": "24:00"})
    assert hours(intervals(days, PERIOD, outside=False)) == [(24, 48)]


def test_what_is_not_there_is_named() -> None:
    flood = catalogue()["tdos-number"]
    later = (PERIOD[0], PERIOD[0] + timedelta(days=1))
    with pytest.raises(InvalidInputError, match="there is no site 'moon'"):
        specification([flood.model_copy(update={"sites": ("moon",)})], AROUND, later)
    with pytest.raises(InvalidInputError, match="the installed policy has no schedule 'night'"):
        specification([flood.model_copy(update={"schedule_name": "night"})], AROUND, later)
