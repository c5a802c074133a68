"""Views equal plain counts, in every zone, with empty buckets, late batches and odd numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.analytics.conftest import AddCalls
from tests.ingest.samples import NOON, every_second

from ringfence.analytics.views import AnalyticsQuery, AnalyticsResult, EventFilter, run_query
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError, UnavailableError
from ringfence.vocabulary import CallResult, Dataset


def ask(database: Database, view: str, grouping: str = "hour", **fields: Any) -> AnalyticsResult:
    values: dict[str, Any] = {
        "dataset": Dataset.ENUM,
        "device": None,
        "start": NOON - timedelta(hours=3),
        "end": NOON + timedelta(hours=3),
    }
    now = fields.pop("now", NOON + timedelta(days=30))
    with database.connection() as connection:
        return run_query(connection, AnalyticsQuery(view=view, grouping=grouping, **values | fields), now=now)


def test_buckets_without_calls_are_shown_as_zero(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(90, NOON))
    result = ask(database, "average_cps", "minute", start=NOON - timedelta(minutes=2), end=NOON + timedelta(minutes=3))
    assert result.columns == ("time", "calls", "cps")
    assert result.rows == [
        (NOON - timedelta(minutes=2), 0, 0.0),
        (NOON - timedelta(minutes=1), 0, 0.0),
        (NOON, 60, 1.0),
        (NOON + timedelta(minutes=1), 30, 0.5),
        (NOON + timedelta(minutes=2), 0, 0.0),
    ]


def test_an_empty_database_gives_zeros_and_no_top(database: Database) -> None:
    assert [row[1:] for row in ask(database, "calls").rows] == [(0, 0, 0, 0, 0)] * 6
    assert ask(database, "top_source").rows == []


def test_calls_are_split_by_action(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": NOON, "action": action} for action in (1, 1, 1, 2, 2, 3, 0)])
    result = ask(database, "calls", start=NOON, end=NOON + timedelta(hours=1))
    assert result.columns == ("time", "calls", "allow", "terminate", "redirect", "none")
    assert result.rows == [(NOON, 7, 3, 2, 1, 1)]


def test_the_open_bucket_counts_only_the_time_that_has_passed(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(600, NOON))
    now = NOON + timedelta(minutes=10)
    result = ask(database, "average_cps", start=NOON - timedelta(minutes=30), end=now, now=now)
    # Half an hour without calls, then ten minutes at one call a second.
    assert result.rows == [(NOON - timedelta(hours=1), 0, 0.0), (NOON, 600, 1.0)]


def test_the_period_is_widened_to_whole_minutes(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(120, NOON))
    result = ask(
        database,
        "calls",
        "minute",
        start=NOON + timedelta(seconds=30),
        end=NOON + timedelta(seconds=60, microseconds=1),
    )
    assert (result.query.start, result.query.end) == (NOON, NOON + timedelta(minutes=2))
    assert [row[1] for row in result.rows] == [60, 60]


def test_only_the_asked_device_is_counted(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(10, source=1111), device="enum-1")
    add_calls(every_second(4, source=2222), device="enum-2")
    hour: dict[str, Any] = {"start": NOON, "end": NOON + timedelta(hours=1)}
    assert ask(database, "calls", **hour).rows[0][1] == 14
    assert ask(database, "calls", device="enum-2", **hour).rows[0][1] == 4
    assert ask(database, "top_source", device="enum-2", **hour).rows == [(NOON, 1, "+2222", 4)]
    with pytest.raises(NotFoundError, match="'enum-9'"):
        ask(database, "calls", device="enum-9")


def test_top_numbers_are_ranked_within_each_bucket(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": NOON, "destination": 300 + n} for n in (1, 1, 2, 2, 2, 3)])
    add_calls([{"time": NOON + timedelta(hours=1), "destination": 302}])
    assert ask(database, "top_destination", limit=2).rows == [
        (NOON, 1, "+302", 3),
        (NOON, 2, "+301", 2),
        (NOON + timedelta(hours=1), 1, "+302", 1),
    ]


def test_equals_are_ranked_the_same_way_every_time(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": NOON, "source": number} for number in (9, 7, 8, 7, 8, 9)])
    assert [row[2] for row in ask(database, "top_source", limit=2).rows] == ["+7", "+8"]


def test_what_is_not_a_number_is_shown_as_it_came_or_by_its_class(database: Database, add_calls: AddCalls) -> None:
    add_calls(
        [
            *[{"source": 0, "source_raw": "anonymous", "source_class": 3}] * 3,
            *[{"source": 0, "source_raw": "", "source_class": 0}] * 2,
            {"source": 12105550123, "source_raw": "2105550123"},
            {"source": 12105550123},
            {"source": 12105550123},
            {"source": 12105550123},
        ]
    )
    assert [row[2:] for row in ask(database, "top_source").rows] == [
        ("+12105550123", 4),
        ("anonymous", 3),
        ("absent", 2),
    ]


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-04", 24)],
)
def test_days_follow_daylight_saving(database: Database, add_calls: AddCalls, day: str, hours: int) -> None:
    chicago = ZoneInfo("America/Chicago")
    begin = datetime.fromisoformat(day).replace(tzinfo=chicago)
    end = (begin + timedelta(days=1)).replace(tzinfo=chicago)
    # One call in each half hour, a minute before midnight included.
    start_utc, end_utc = begin.astimezone(UTC), end.astimezone(UTC)
    times = [start_utc + timedelta(minutes=30 * n) for n in range(hours * 2)] + [
        end_utc - timedelta(seconds=1),
        end_utc,
    ]
    add_calls([{"time": time} for time in times])
    period = {"start": begin, "end": end + timedelta(hours=1), "zone": "America/Chicago"}
    assert [row[:2] for row in ask(database, "calls", "day", **period).rows] == [
        (start_utc, hours * 2 + 1),
        (end_utc, 1),
    ]
    by_hour = ask(database, "calls", "hour", **period).rows
    assert [row[0] for row in by_hour] == [start_utc + timedelta(hours=n) for n in range(hours + 1)]
    assert [row[1] for row in by_hour] == [2] * (hours - 1) + [3, 1]
    cps = ask(database, "average_cps", "day", **period).rows[0][2]
    assert cps == pytest.approx((hours * 2 + 1) / (hours * 3600))


def test_hours_of_a_zone_off_by_half_an_hour_begin_there(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": NOON + timedelta(minutes=minute)} for minute in (0, 29, 30, 59)])
    rows = ask(database, "calls", "hour", start=NOON, end=NOON + timedelta(hours=1), zone="Asia/Kolkata").rows
    assert [row[:2] for row in rows] == [(NOON - timedelta(minutes=30), 2), (NOON + timedelta(minutes=30), 2)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"view": "sums"}, "view: 'sums' is not one of"),
        ({"grouping": "year"}, "grouping: 'year' is not one of second, minute, 15_minutes, hour"),
        ({"grouping": "second"}, "grouping: seconds are for at most 2:00:00"),
        ({"view": "asr"}, "dataset: view asr is of dataset sip, not enum"),
        ({"filter": EventFilter(result=CallResult.BUSY)}, "result: calls of dataset enum have none"),
        ({"filter": EventFilter(country="usa")}, "country: 'usa'"),
        ({"limit": 0}, "limit: 0"),
        ({"limit": 1001}, "limit: 1001"),
        ({"zone": "Mars/Base"}, "zone: 'Mars/Base'"),
        ({"zone": ""}, "zone: ''"),
        ({"end": NOON - timedelta(hours=3)}, "start: .* must be before end"),
        ({"start": datetime(2026, 11, 20)}, "start: .* has no time zone"),  # noqa: DTZ001
        ({"grouping": "minute", "start": NOON - timedelta(days=60)}, "choose a coarser one"),
    ],
)
def test_a_bad_query_is_refused_by_field(database: Database, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ask(database, **{"view": "calls", **fields})


def test_a_slow_query_times_out_aloud(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(10))
    query = AnalyticsQuery(Dataset.ENUM, "top_source", "hour", None, NOON, NOON + timedelta(hours=1))
    with psycopg.connect(database.url) as blocker:
        blocker.execute("LOCK TABLE ringfence.enum_event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnavailableError, match=r"timed out after 0\.2 s"), database.connection() as connection:
            run_query(connection, query, timeout_s=0.2)
    with database.connection() as connection:
        assert len(run_query(connection, query).rows) == 1


_CALL = st.tuples(
    st.integers(-40 * 3600, 20 * 3600),  # seconds from noon: late and early
    st.sampled_from([0, 31, 32, 33, 34]),
    st.sampled_from(["", "anonymous", "bob"]),
    st.integers(0, 3),
)
_ZONES = ["UTC", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe"]


@given(
    batches=st.lists(st.tuples(st.sampled_from(["enum-1", "enum-2"]), st.lists(_CALL, max_size=30)), max_size=6),
    zone=st.sampled_from(_ZONES),
    grouping=st.sampled_from(["minute", "hour", "day", "week"]),
    device=st.sampled_from([None, "enum-1"]),
    span=st.tuples(st.integers(-20, 0), st.integers(1, 10)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_view_equals_a_plain_count_after_late_batches(
    database: Database,
    add_calls: AddCalls,
    batches: list[tuple[str, list[tuple[int, int, str, int]]]],
    zone: str,
    grouping: str,
    device: str | None,
    span: tuple[int, int],
) -> None:
    with database.connection() as connection:
        connection.execute(
            "TRUNCATE enum_event, call_minute, call_quarter, call_hour, part_quarter, part_hour, call_second,"
            " hour_total, hour_peak, hour_top, hour_part"
        )
    add_calls([{"time": NOON - timedelta(days=300)}], device="enum-1")
    start, end = NOON + timedelta(hours=span[0]), NOON + timedelta(hours=span[1])
    calls: Counter[datetime] = Counter()
    sources: dict[datetime, Counter[str]] = defaultdict(Counter)
    for name, batch in batches:
        events = []
        for seconds, source, raw, action in batch:
            time = NOON + timedelta(seconds=seconds)
            raw_text = raw if source == 0 else ""
            events.append({"time": time, "source": source, "source_raw": raw_text, "source_class": 0, "action": action})
            if start <= time < end and device in (None, name):
                bucket = _bucket(database, grouping, time, zone)
                calls[bucket] += 1
                sources[bucket][f"+{source}" if source else raw or "absent"] += 1
        add_calls(events, device=name)
    period = {"start": start, "end": end, "zone": zone, "device": device}
    assert {row[0]: row[1] for row in ask(database, "average_cps", grouping, **period).rows if row[1]} == calls
    found: dict[datetime, Counter[str]] = defaultdict(Counter)
    for bucket, rank, number, count in ask(database, "top_source", grouping, limit=3, **period).rows:
        found[bucket][number] = count
        assert rank == len(found[bucket])
    assert set(found) == set(sources)
    for bucket, expected in sources.items():
        # Which of several equals comes last is a matter of order; how often the ranked ones called is not.
        assert sorted(found[bucket].values()) == sorted(count for _, count in expected.most_common(3))
        assert all(expected[number] == count for number, count in found[bucket].items())


def _bucket(database: Database, grouping: str, time: datetime, zone: str) -> datetime:
    with database.connection() as connection:
        row = connection.execute("SELECT date_trunc(%s, %s::timestamptz, %s)", [grouping, time, zone]).fetchone()
    assert row is not None
    return row[0].astimezone(UTC)  # type: ignore[no-any-return]
