"""Rows → drawing and links, without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analytics.views import VIEWS, AnalyticsQuery, AnalyticsResult
from ringfence.console.address import SPANS, TimeRange, link
from ringfence.console.chart import bucket_end, call_link, draw
from ringfence.console.numbers import national
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def answer(view: str, rows: list[tuple[Any, ...]], grouping: str = "hour", zone: str = "UTC") -> AnalyticsResult:
    query = AnalyticsQuery(
        Dataset.ENUM, view, grouping, "enum-1", NOON + timedelta(minutes=20), NOON + timedelta(hours=3), zone=zone
    )
    return AnalyticsResult(query, VIEWS[view].columns, rows)


def test_a_bar_links_to_its_bucket_cut_to_the_period_asked_for() -> None:
    result = answer("top_source", [(NOON, 1, "+12105550123", 4)])
    asked = parse_qs(urlsplit(call_link(result.query, result.rows[0])).query)
    assert asked == {
        "dataset": ["enum"], "device": ["enum-1"], "source": ["+12105550123"],
        "start": ["2026-11-20T12:20:00Z"], "end": ["2026-11-20T13:00:00Z"],
    }  # fmt: skip


def test_a_segment_of_an_action_links_to_that_action() -> None:
    drawing = draw(answer("calls", [(NOON, 3, 2, 1, 0, 0)]))
    terminated = next(series for series in drawing["series"] if series["name"] == "Terminate")
    assert "action=terminate" in terminated["data"][0]["link"]
    assert next(series for series in drawing["series"] if series["name"] == "Redirect")["data"] == [0]


def test_ranks_over_time_stand_in_their_bucket_and_keep_their_colour() -> None:
    later = NOON + timedelta(hours=1)
    rows = [(NOON, 1, "+1", 5), (NOON, 2, "+2", 1), (later, 1, "+2", 9)]
    first, second = draw(answer("top_destination", rows))["series"]
    assert [segment["value"] for segment in first["data"]] == [5, 9]
    assert second["data"][1] == "-"
    assert second["data"][0]["itemStyle"] == first["data"][1]["itemStyle"]


def test_one_bucket_is_drawn_as_a_ranking() -> None:
    drawing = draw(answer("top_source", [(NOON, 1, "<b>x</b>", 5), (NOON, 2, "+2", 1)]))
    assert drawing["yAxis"]["data"] == ["<b>x</b>", "+2"]


def test_a_day_ends_at_the_next_midnight_of_its_zone() -> None:
    start = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/Chicago"))  # the clock goes back: 25 hours
    assert bucket_end(start.astimezone(UTC), "day", "America/Chicago") - start.astimezone(UTC) == timedelta(hours=25)


@given(
    st.one_of(
        st.sampled_from(sorted(SPANS)).map(TimeRange),
        st.tuples(st.datetimes(timezones=st.just(UTC)), st.timedeltas(timedelta(microseconds=1), timedelta(days=90)))
        .filter(lambda pair: pair[0].year < 9990)
        .map(lambda pair: TimeRange(None, pair[0], pair[0] + pair[1])),
    )
)
def test_a_time_range_reads_back_from_its_parameters(chosen: TimeRange) -> None:
    assert TimeRange.from_query(chosen.as_query(), "1h") == chosen


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"range": "2y"}, "range: no such range '2y'"),
        ({"start": "2026-11-20T12:00:00Z"}, "end: None is not a time"),
        ({"start": "2026-11-20T12:00:00", "end": "2026-11-20T13:00:00Z"}, "start: .* has no zone"),
        ({"start": "2026-11-20T12:00:00Z", "end": "2026-11-20T12:00:00Z"}, "end: must be later"),
    ],
)
def test_a_senseless_time_is_refused_by_name(query: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidInputError, match=fault):
        TimeRange.from_query(query, "1h")


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1), st.text(min_size=1)))
def test_any_parameter_survives_a_link(parameters: dict[str, str]) -> None:
    asked = parse_qs(urlsplit(link("/calls", parameters)).query, keep_blank_values=True)
    assert {name: values[0] for name, values in asked.items()} == parameters


@pytest.mark.parametrize(
    ("text", "form"),
    [("+12105550123", "(210) 555-0123"), ("anonymous", None), ("+<b>", None), ("+²", None), ("", None), (None, None)],
)
def test_national_form_of_numbers_only(text: str | None, form: str | None) -> None:
    assert national(text) == form
