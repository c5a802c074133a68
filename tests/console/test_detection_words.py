"""What the console says of a detection, in sentences (E4)."""

from __future__ import annotations

import pytest

from ringfence.console.detection_back_test import draw_back_test
from ringfence.console.detection_words import sentences, span_words, threshold_value_words
from ringfence.detection.catalogue import catalogue
from ringfence.detection.definition import Definition, definition_from


def test_a_definition_is_told_with_all_that_narrows_it() -> None:
    definition = definition_from(
        {
            "name": "all-of-it", "title": "All of it", "dataset": "sip", "key": "source_prefix", "prefix_digits": 6,
            "condition": {
                "direction": ["inbound"], "call_types": ["premium"], "results": ["no_answer"], "foreign": True,
                "trunk_side": ["source"], "source": {"classes": ["number"], "except": ["+1210*"]},
                "duration": {"max_ms": 2500},
            },
            "measure": {"kind": "distinct", "of": "destination"}, "window_s": 3600, "cool_down_s": 7200,
            "threshold": {"value": 10, "at_least": 20, "baseline": {"factor": 2.5, "weeks": 3}},
            "schedule": {"zone": "America/Chicago", "days": ["sat", "sun"], "from": "08:00", "to": "18:00"},
            "outside_schedule": True, "sites": ["hq"],
            "contain": {"sources": "attackers", "lasts_s": 900, "max_entries": 5, "max_share": 0.01},
        }
    )  # fmt: skip
    assert dict(sentences(definition)) == {
        "Which calls": "Inbound calls that probes saw, of type premium, that ended no answer, with the trunk as "
        "source, the caller a number, the caller none of +1210*, with another country, lasting 2500 ms at most, at hq",
        "Measured": "How many different called numbers, for each range of callers (first 6 digits), in any hour",
        "Fires": "at 10 or more, where there are 20 calls or more in that time, and 2.5 times what is usual at that "
        "hour of the week (mean of 3 weeks)",
        "Again": "after 2 hours below that, as another attack",
        "When": "outside 08:00 to 18:00 on sat, sun, America/Chicago",
        "Then": "an alert (warning); where it may contain, callers on list attackers for 15 minutes: at most 5 a "
        "firing and 60 a minute, none that would have met more than 1 % of the site's calls in the hour before",
    }


@pytest.mark.parametrize("definition", catalogue().values(), ids=lambda one: one.name)
def test_every_detection_of_the_catalogue_is_told_without_a_gap(definition: Definition) -> None:
    told = dict(sentences(definition))
    assert {"Which calls", "Measured", "Fires", "Again", "Then"} <= told.keys()
    for sentence in told.values():
        assert sentence.strip() == sentence
        assert "None" not in sentence
        assert "_" not in sentence
        assert "  " not in sentence


def test_values_have_the_unit_of_what_is_measured() -> None:
    named = catalogue()
    assert threshold_value_words(named["tdos-number"], 1412.0) == "1,412"
    assert threshold_value_words(named["asr-drop"], 0.386) == "39 %"
    assert threshold_value_words(named["irsf"], 7200.0) == "2 hours"
    assert [span_words(seconds) for seconds in (1, 45, 60, 600, 3600, 86_400)] == [
        "1 s", "45 s", "1 minute", "10 minutes", "1 hour", "1 day",
    ]  # fmt: skip


def test_a_back_test_is_drawn_with_its_firings_above_the_calls() -> None:
    result = {
        "start": "2026-06-01T00:00:00+00:00",
        "series": {"bucket_s": 720.0, "calls": [3, 0, 9], "firings": [0, 0, 2]},
    }
    drawn = draw_back_test(result)
    assert drawn["xAxis"]["data"] == ["2026-06-01T00:00:00Z", "2026-06-01T00:12:00Z", "2026-06-01T00:24:00Z"]
    calls, firings = drawn["series"]
    assert calls["data"] == [3, 0, 9]
    assert firings["data"] == ["-", "-", 2]
    assert firings["yAxisIndex"] == 1
