"""The call log: newest first, paged without gap or repeat, filtered, followed."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analytics.conftest import AddCalls, AddRule
from tests.ingest.samples import NOON, every_second

from ringfence.analytics.calls import Call, CallFilter, find_calls, follow_calls
from ringfence.analytics.cursor import Cursor, call_name, parse_call_name
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.vocabulary import Action, Dataset

NOW = NOON + timedelta(hours=1)


def find(database: Database, **fields: Any) -> list[Any]:
    now = fields.pop("now", NOW)
    with database.connection() as connection:
        return find_calls(connection, CallFilter(**fields), now=now)


def numbers(calls: list[Call]) -> list[int]:
    return [call.sequence for call in calls]


def test_a_call_is_told_in_words(database: Database, add_calls: AddCalls, add_rule: AddRule) -> None:
    premium, watched = add_rule("premium"), add_rule("watched")
    add_calls(
        [
            {
                "time": NOON + timedelta(microseconds=5),
                "action": 3,
                "reason": 1,
                "rule_id": premium,
                "target": 12105550199,
                "monitored": [watched, 999],
                "source": 0,
                "source_raw": "bob@example",
                "source_class": 4,
            }
        ]
    )
    (call,) = find(database)
    assert json.loads(json.dumps(call.as_json())) == {
        "id": call.id,
        "time": "2026-11-20T12:00:00.000005+00:00",
        "dataset": "enum",
        "device": "enum-1",
        "source": "bob@example",
        "destination": "+19005550100",
        "direction": "outbound",
        "action": "redirect",
        "rule": "premium",
        "policy_version": 7,
        "reason": "rule",
        "target": "+12105550199",
        "source_class": "invalid",
        "destination_class": "number",
        "latency_us": 12.5,
        "peer": "192.0.2.7:40000",
        "stream": call.stream,
        "sequence": 1,
        "monitored": ["watched", "#999"],
        "source_parameters": {},
    }


def test_a_call_tells_the_trunk_that_it_came_by(database: Database, add_calls: AddCalls) -> None:
    raw = "sip:+17818675309;tgrp=tg%201;trunk-context=ssp.example.com;RN=+12105550000@orig.example.com;user=phone"
    add_calls([{"source_raw": raw}])
    (call,) = find(database)
    assert call.as_json()["source_parameters"] == {
        "tgrp": "tg 1",
        "trunk-context": "ssp.example.com",
        "rn": "+12105550000",
    }


def test_no_source_is_null_but_a_hidden_one_says_so(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"source": 0, "source_raw": "", "source_class": number_class} for number_class in (0, 3)])
    assert {call.as_json()["source"] for call in find(database)} == {None, "anonymous"}


def test_words_of_a_newer_release_are_shown_as_numbers(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"action": 77, "reason": 78, "direction": 79, "rule_id": 80, "peer": "2001:db8::1"}])
    (call,) = find(database)
    assert (call.action, call.reason, call.direction, call.rule) == ("77", "78", "79", "#80")
    assert call.peer == "[2001:db8::1]:40000"


def test_a_call_whose_clock_was_doubted_says_what_the_device_reported(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": datetime(1970, 1, 1, tzinfo=UTC)}], now=NOON)
    (call,) = find(database)
    assert call.time == NOON
    assert call.as_json()["reported_time"] == "1970-01-01T00:00:00.000000+00:00"


def test_pages_cover_everything_once_in_order(database: Database, add_calls: AddCalls) -> None:
    randomness = random.Random(7)
    offsets = [0, 1, 1, 1, 1, 2, 50, 3000, 3000, 90_000, 90_000, 86_400 * 30, 86_400 * 299]
    for stream in (0, 1):
        for device in ("enum-1", "enum-2"):
            add_calls(
                [{"time": NOW - timedelta(seconds=randomness.choice(offsets))} for _ in range(60)], device, stream
            )
    with database.connection() as connection:
        expected = connection.execute(
            "SELECT time, stream_id, sequence FROM enum_event ORDER BY time DESC, stream_id DESC, sequence DESC"
        ).fetchall()
    for limit in (1, 7, 100, 240, 1000):
        found: list[Call] = []
        cursor: Cursor | None = None
        while page := find(database, limit=limit, before=cursor):
            assert len(page) <= limit
            found += page
            cursor = Cursor.parse(str(page[-1].cursor))
            if limit == 1 and len(found) >= 40:
                break
        assert [(call.time, call.stream, call.sequence) for call in found] == expected[: len(found)]
        assert limit == 1 or len(found) == len(expected)


def test_calls_ahead_of_the_clock_and_very_old_ones_are_found(database: Database, add_calls: AddCalls) -> None:
    add_calls([{"time": NOW - timedelta(days=390)}, {"time": NOW + timedelta(hours=20)}], now=NOW)
    assert numbers(find(database)) == [2, 1]
    assert numbers(find(database, now=NOW + timedelta(days=600))) == [2, 1]


def test_start_and_end_bound_the_search(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(100))
    at = [NOON + timedelta(seconds=second) for second in range(100)]
    assert numbers(find(database, start=at[97])) == [100, 99, 98]
    assert numbers(find(database, start=at[10], end=at[13])) == [13, 12, 11]
    assert numbers(find(database, end=at[2])) == [2, 1]
    assert find(database, start=at[13], end=at[13]) == []
    assert numbers(find(database, start=at[10], end=at[13], limit=2)) == [13, 12]
    assert find(database, start=NOW + timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"source": "+12105550123"}, [1, 3]),
        ({"source": "12105550123"}, [1, 3]),
        ({"destination": "+12105550123"}, [2]),
        ({"number": "+12105550123"}, [1, 2, 3]),
        ({"source": "anonymous"}, [4]),
        ({"number": "anonymous"}, [4]),
        ({"source": "+0012"}, [5]),
        ({"source": "' OR true --"}, []),
        ({"action": Action.TERMINATE}, [2]),
        ({"action": Action.NONE}, [5]),
        ({"rule": "premium"}, [2, 3]),
        ({"rule": "unheard-of"}, []),
        ({"device": "enum-1"}, [1, 2, 3, 4, 5]),
        ({"device": "enum-9"}, []),
        ({"rule": "premium", "number": "+12105550123", "action": Action.ALLOW}, [3]),
        ({"dataset": Dataset.SIP}, []),
    ],
)
def test_filters(
    database: Database, add_calls: AddCalls, add_rule: AddRule, fields: dict[str, Any], expected: list[int]
) -> None:
    premium = add_rule("premium")
    add_calls(
        [
            {"source": 12105550123},
            {"source": 4412, "destination": 12105550123, "action": 2, "rule_id": premium},
            {"source": 12105550123, "rule_id": premium},
            {"source": 0, "source_raw": "anonymous"},
            {"source": 0, "source_raw": "+0012", "action": 0},
        ]
    )
    assert sorted(numbers(find(database, **fields))) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"start": datetime(2026, 1, 1)}, "start: .* no time zone"),  # noqa: DTZ001
        ({"end": datetime(2026, 1, 1)}, "end: .* no time zone"),  # noqa: DTZ001
    ],
)
def test_a_bad_filter_is_refused_by_field(database: Database, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        find(database, **fields)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_a_cursor_reads_back(time: datetime, stream: int, sequence: int) -> None:
    assert Cursor.parse(str(Cursor(time, stream, sequence))) == Cursor(time, stream, sequence)


@given(st.text())
def test_a_false_cursor_is_refused(text: str) -> None:
    with suppress(InvalidInputError):
        cursor = Cursor.parse(text)
        assert Cursor.parse(str(cursor)) == cursor


def test_a_calls_name_reads_back_and_nothing_else_does() -> None:
    cursor = Cursor(NOON, 3, 17)
    for dataset in Dataset:
        assert parse_call_name(call_name(dataset, cursor)) == (dataset, cursor)
    for text in ("", "enum", "enum-", "hep-MTI", "enum-!", f"sip-{cursor}x"):
        with pytest.raises(InvalidInputError, match=r"id: .* names no call"):
            parse_call_name(text)


def test_following_shows_each_new_call_once_even_late_ones(database: Database, add_calls: AddCalls) -> None:
    def follow(position: dict[int, int] | None, **fields: Any) -> tuple[list[Any], dict[int, int]]:
        with database.connection() as connection:
            return follow_calls(connection, CallFilter(**fields), position)

    add_calls(every_second(3))
    calls, position = follow(None)
    assert calls == []
    assert follow(position) == ([], position)
    # One is late by twenty minutes, one belongs to a device that was unknown.
    add_calls([{"time": NOON - timedelta(minutes=20)}, {"time": NOON, "action": 2}])
    add_calls([{"time": NOON - timedelta(minutes=5)}], device="enum-2")
    calls, after = follow(position, start=NOON - timedelta(hours=1))
    assert [(call.device, call.sequence) for call in calls] == [("enum-1", 4), ("enum-2", 1), ("enum-1", 5)]
    assert follow(after) == ([], after)
    assert [call.sequence for call in follow(position, action=Action.TERMINATE)[0]] == [5]
    assert [call.device for call in follow(position, device="enum-2")[0]] == ["enum-2"]
    # A full page goes on where it ended.
    first, position = follow(position, limit=1, device="enum-1")
    second, position = follow(position, limit=1, device="enum-1")
    assert numbers(first + second) == [4, 5]


def test_a_slow_search_times_out_aloud(database: Database, add_calls: AddCalls) -> None:
    add_calls(every_second(3))
    with psycopg.connect(database.url) as blocker:
        blocker.execute("LOCK TABLE ringfence.enum_event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnavailableError, match="timed out"), database.connection() as connection:
            find_calls(connection, CallFilter(), timeout_s=0.2)
