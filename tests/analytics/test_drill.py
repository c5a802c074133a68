"""From a figure to its calls: the call log behind every row of every view shows the calls that the row counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from tests.analytics.conftest import AddCalls, AddRule
from tests.analytics.test_sip import AddSipCalls, add_sip_calls
from tests.ingest.samples import NOON

from ringfence.analytics.asking import COMPARISONS, filter_words, parse_filter, shifted
from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.analytics.drill import bucket_end, calls_behind
from ringfence.analytics.filters import EventFilter
from ringfence.analytics.views import VIEWS, AnalyticsQuery, AnalyticsResult, run_query
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import CallType, Dataset, Direction

__all__ = ["add_sip_calls"]

NOW = NOON + timedelta(hours=1)
# Views of figures that are no count of calls of their own.
_UNCOUNTED = ("concurrent", "device_health")


def ask(database: Database, dataset: Dataset, view: str, grouping: str, **more: Any) -> AnalyticsResult:
    query = AnalyticsQuery(dataset, view, grouping, None, NOON - timedelta(hours=2), NOW, 1000, **more)
    with database.connection() as connection:
        return run_query(connection, query, now=NOW)


def count(database: Database, parameters: dict[str, str]) -> int:
    start, end = (datetime.fromisoformat(parameters[edge]) for edge in ("start", "end"))
    dataset = Dataset[parameters["dataset"].upper()]
    wanted = CallFilter.of(parse_filter(parameters), dataset, device=parameters.get("device"), start=start, end=end,
                           limit=1000)  # fmt: skip
    with database.connection() as connection:
        return len(find_calls(connection, wanted, now=NOW))


@pytest.fixture
def calls(add_calls: AddCalls, add_sip_calls: AddSipCalls, add_rule: AddRule) -> None:
    """Calls of both datasets over three hours, of every kind that a view tells apart."""
    dice = Random(3)
    premium = add_rule("premium")
    times = sorted(NOON + timedelta(seconds=dice.randrange(-7000, 3500)) for _ in range(80))
    callers: list[dict[str, Any]] = [
        {"source": 12105550123},
        {"source": 12105550144},
        {"source": 0, "source_raw": "bob@example", "source_class": 4},
        {"source": 0, "source_raw": "", "source_class": 3},
    ]
    destinations = ("19005550100", "442079460000", "12105550199", "911", "18005550123")
    add_calls(
        [
            {
                "time": time,
                "action": (action := dice.choice((1, 1, 2, 3))),
                "rule_id": premium if action == 2 else 0,
                "rcode": dice.choice((0, 0, 3)),
                "direction": dice.choice((1, 2)),
                **dice.choice(callers),
                "destination": int(dice.choice(destinations)),
                "latency_ns": dice.randrange(1000, 90_000),
            }
            for time in times
        ]
    )
    add_sip_calls(
        *(
            {
                "time": time,
                "result": dice.randrange(1, 10),
                "status": dice.choice((200, 486, 404)),
                "released_by": dice.randrange(3),
                "codec": dice.choice(("PCMU", "PCMA", "")),
                "attestation": dice.randrange(4),
                "source_raw": dice.choice(("2105550123", "anonymous", "+442079460000")),
                "destination_raw": dice.choice(destinations),
            }
            for time in times
        )
    )


@pytest.mark.parametrize("dataset", Dataset, ids=lambda dataset: dataset.word)
def test_the_calls_behind_a_row_are_those_that_it_counts(database: Database, calls: None, dataset: Dataset) -> None:
    checked = 0
    for view in VIEWS.values():
        if dataset not in view.datasets or view.id in _UNCOUNTED:
            continue
        for grouping in ("15_minutes", "day", "period"):
            result = ask(database, dataset, view.id, grouping)
            figure = next(name for name in ("calls", "hits", "answered") if name in result.columns)
            for row in result.rows:
                behind = calls_behind(result.query, result.columns, row)
                counted = row[result.columns.index(figure)]
                if behind is not None and figure != "answered":
                    assert count(database, behind) == counted, (view.id, grouping, row)
                    checked += 1
    assert checked > 100


def test_the_filters_of_the_view_go_along(database: Database, calls: None) -> None:
    wanted = EventFilter(direction=Direction.INBOUND, call_type=CallType.PREMIUM, source="+1210*")
    result = ask(database, Dataset.ENUM, "calls", "hour", filter=wanted)
    behind = [calls_behind(result.query, result.columns, row) for row in result.rows]
    assert sum(row[1] for row in result.rows) > 0
    assert [count(database, one) for one in behind if one] == [row[1] for row in result.rows]


def test_hours_of_many_weeks_lead_nowhere(database: Database, calls: None) -> None:
    result = ask(database, Dataset.ENUM, "calls", "hour_of_week")
    assert {calls_behind(result.query, result.columns, row) is None for row in result.rows} == {True}


def test_a_bucket_ends_where_the_next_begins() -> None:
    end = NOON + timedelta(days=60)
    assert bucket_end(NOON, "second", "UTC", end) == NOON + timedelta(seconds=1)
    assert bucket_end(NOON, "15_minutes", "UTC", end) == NOON + timedelta(minutes=15)
    assert bucket_end(NOON, "period", "UTC", end) == end
    before = datetime(2026, 10, 26, 5, tzinfo=UTC)  # a Monday in Chicago whose week gets an hour more
    assert bucket_end(before, "week", "America/Chicago", end) - before == timedelta(days=7, hours=1)


def test_words_of_a_filter_read_back() -> None:
    words = {"direction": "inbound", "call_type": "premium", "code": "486", "number": "+1900*", "country": "US"}
    assert filter_words(parse_filter(words | {"site": None, "rule": ""})) == words
    for name, word in (("direction", "up"), ("code", "x"), ("result", "good")):
        with pytest.raises(InvalidInputError, match=f"^{name}: "):
            parse_filter({name: word})


def test_an_earlier_period_is_as_long_and_as_much_earlier_as_asked() -> None:
    query = AnalyticsQuery(Dataset.ENUM, "calls", "hour", None, NOON, NOON + timedelta(hours=3))
    assert [(shifted(query, word).start, shifted(query, word).end) for word in COMPARISONS] == [
        (NOON - timedelta(hours=3), NOON),
        (NOON - timedelta(days=1), NOON - timedelta(hours=21)),
        (NOON - timedelta(days=7), NOON - timedelta(days=7) + timedelta(hours=3)),
        (NOON - timedelta(days=28), NOON - timedelta(days=28) + timedelta(hours=3)),
    ]
    with pytest.raises(InvalidInputError, match="compare: 'year' is not one of"):
        shifted(query, "year")
