"""Rows → drawing and links, without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analytics.drill import bucket_end
from ringfence.analytics.reading import GROUPING_WORDS, total_calls
from ringfence.analytics.views import GROUPINGS, VIEWS, AnalyticsQuery, AnalyticsResult
from ringfence.console.address import SPANS, TimeRange, link
from ringfence.console.analytics_question import Question, coarser
from ringfence.console.analytics_table import table_columns, table_rows
from ringfence.console.chart_views import draw_view, drill
from ringfence.console.numbers import national
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def answer(
    view: str, rows: list[tuple[Any, ...]], grouping: str = "hour", zone: str = "UTC", dataset: Dataset = Dataset.ENUM
) -> AnalyticsResult:
    query = AnalyticsQuery(
        dataset, view, grouping, "enum-1", NOON + timedelta(minutes=20), NOON + timedelta(hours=3), zone=zone
    )
    return AnalyticsResult(query, VIEWS[view].columns_of(dataset), rows)


def draw(result: AnalyticsResult) -> dict[str, Any]:
    drawing = draw_view(result)
    assert drawing is not None
    return drawing


def test_a_bar_links_to_its_bucket_cut_to_the_period_asked_for() -> None:
    result = answer("top_source", [(NOON, 1, "+12105550123", 4)])
    asked = parse_qs(urlsplit(drill(result, result.rows[0]) or "").query)
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


def test_every_view_is_drawn_or_is_a_table() -> None:
    for view in VIEWS.values():
        for dataset in view.datasets:
            columns = view.columns_of(dataset)
            rows = [(NOON + timedelta(hours=hour), *(_figure(name, hour) for name in columns[1:])) for hour in (0, 1)]
            result = answer(view.id, rows, dataset=dataset)
            drawing = draw_view(result, result if view.chart == "line" else None)
            assert (drawing is None) == (view.chart == "table"), view.id
            assert len(table_rows(result)) == 2
            assert [column["field"] for column in table_columns(result)] == list(columns)
            assert total_calls(result) > 0, view.id


def _figure(name: str, hour: int) -> Any:
    words = {"source": "+12105550123", "destination": "+19005550100", "country": "US", "call_type": "premium",
             "direction": "inbound", "action": "allow", "result": "busy", "rule": "premium", "released_by": "source",
             "codec": "PCMU", "attestation": "a", "device": "enum-1"}  # fmt: skip
    return words.get(name, 3 + hour)


def test_parts_beyond_the_largest_are_one_part() -> None:
    rows = [(NOON + timedelta(hours=hour), 400 + part, 20 - part) for hour in (0, 1) for part in range(12)]
    series = draw(answer("response_codes", rows))["series"]
    assert [one["name"] for one in series[-2:]] == ["408", "others"]
    assert sum(series[-1]["data"]) == 2 * (11 + 10 + 9)
    assert sum(mark["value"] for one in series[:-1] for mark in one["data"]) + 60 == sum(row[2] for row in rows)


def test_what_is_no_figure_is_a_gap_and_an_earlier_time_a_dashed_line() -> None:
    later = NOON + timedelta(hours=1)
    result = answer("asr", [(NOON, 2, 1, 50.0, 50.0), (later, 0, 0, None, None)], dataset=Dataset.SIP)
    drawing = draw_view(result, result)
    assert drawing is not None
    asr, _, before = drawing["series"]
    assert (asr["data"][0]["value"], asr["data"][1], before["data"]) == (50.0, "-", [50.0, "-"])
    assert before["lineStyle"]["type"] == "dashed"


def test_the_hours_of_the_week_are_named() -> None:
    drawing = draw(answer("calls", [(0, 3, 3, 0, 0, 0), (25, 1, 1, 0, 0, 0)], "hour_of_week"))
    assert drawing["xAxis"]["data"] == ["Mon 00:00", "Tue 01:00"]
    assert "link" not in drawing["series"][0]["data"][0]


def test_the_pages_state_reads_back_from_its_address() -> None:
    text = "dataset=sip&view=asr&grouping=15_minutes&device=probe-1&compare=week&direction=inbound&code=486&range=7d"
    asked = Question.from_query(dict(parse_qsl(text)))
    assert dict(parse_qsl(urlsplit(asked.address).query)) == dict(parse_qsl(text))
    # What the other dataset does not have is left behind.
    other = Question.from_query({"dataset": "enum", "view": "asr", "result": "busy", "direction": "inbound"})
    assert (other.view, set(other.filter.given)) == ("calls", {"direction"})


def test_a_coarser_grouping_has_few_enough_buckets() -> None:
    assert set(GROUPING_WORDS) == set(GROUPINGS)
    assert coarser("second", timedelta(hours=2), 3000) == "minute"
    assert coarser("minute", timedelta(days=30), 3000) == "15_minutes"
    assert coarser("week", timedelta(days=30_000), 100) == "period"


def test_a_day_ends_at_the_next_midnight_of_its_zone() -> None:
    start = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/Chicago"))  # the clock goes back: 25 hours
    assert bucket_end(start.astimezone(UTC), "day", "America/Chicago", NOON) - start.astimezone(UTC) == timedelta(
        hours=25
    )


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
