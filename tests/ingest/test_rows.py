"""Events as the table stores them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.samples import COLUMNS, NOON, every_second, record_batch

from ringfence.mediation.ingest.rows import count_minutes, days_of, stored_rows
from ringfence.mediation.ingest.schema import event_schema

PAST, FUTURE = timedelta(days=400), timedelta(days=2)
ENUM = event_schema("enum")


def shaped(batch: pa.RecordBatch, now: datetime = NOON) -> pa.RecordBatch:
    return stored_rows(batch, ENUM, device_id=3, now=now, believed=(now - PAST, now + FUTURE))


def stored(*events: dict[str, Any], now: datetime = NOON) -> list[dict[str, Any]]:
    return shaped(record_batch(events), now).to_pylist()


@pytest.mark.parametrize(
    ("number", "raw", "kept"),
    [
        (12105550123, "+12105550123", None),
        (12105550123, "12105550123", None),
        (12105550123, "", None),
        (12105550123, "2105550123", "2105550123"),
        (12105550123, "sip:+12105550123@sbc.example", "sip:+12105550123@sbc.example"),
        (12105550123, "++12105550123", "++12105550123"),
        (0, "", None),
        (0, "0", "0"),
        (0, "+0", "+0"),
        (0, "anonymous", "anonymous"),
    ],
)
def test_raw_text_is_kept_only_where_it_says_more_than_the_number(number: int, raw: str, kept: str | None) -> None:
    for side in ("source", "destination"):
        (row,) = stored({side: number, f"{side}_raw": raw})
        assert row[f"{side}_raw"] == kept


def test_empty_lists_take_no_room() -> None:
    assert [row["monitored"] for row in stored({"monitored": []}, {"monitored": [4, 2]})] == [None, [4, 2]]


def test_a_believable_time_is_kept_as_it_is() -> None:
    for time in (NOON - PAST, NOON - timedelta(hours=80), NOON + FUTURE):
        (row,) = stored({"time": time})
        assert (row["time"], row["reported_time"]) == (time, None)


@pytest.mark.parametrize(
    "time",
    [
        NOON - PAST - timedelta(microseconds=1),
        NOON + FUTURE + timedelta(microseconds=1),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1899, 1, 1, tzinfo=UTC),
        datetime(2106, 2, 7, tzinfo=UTC),
    ],
)
def test_an_absurd_time_is_filed_under_the_time_of_receipt_and_not_lost(time: datetime) -> None:
    believed, doubted = stored({"time": NOON}, {"time": time})
    assert (believed["time"], believed["reported_time"]) == (NOON, None)
    assert (doubted["time"], doubted["reported_time"]) == (NOON, time)


def test_a_time_that_no_calendar_holds_is_reported_as_the_limit() -> None:
    batch = record_batch([{}, {}])
    extremes = pa.array([-(2**63), 2**63 - 1], pa.int64()).cast(COLUMNS["time"][0])
    batch = batch.set_column(1, batch.schema.field("time"), extremes)
    rows = shaped(batch).to_pylist()
    assert [row["time"] for row in rows] == [NOON, NOON]
    assert [row["reported_time"].year for row in rows] == [1, 9999]


def test_a_batch_across_midnight_needs_both_days() -> None:
    events = every_second(4, datetime(2026, 11, 19, 23, 59, 58, tzinfo=UTC))
    rows = shaped(record_batch(events))
    assert days_of(rows) == [date(2026, 11, 19), date(2026, 11, 20)]


@given(st.lists(st.tuples(st.integers(0, 400_000_000), st.integers(0, 3)), max_size=60))
def test_minute_counts_equal_a_plain_count(events: list[tuple[int, int]]) -> None:
    batch = record_batch([{"time": NOON + timedelta(microseconds=us), "action": action} for us, action in events])
    counts = count_minutes(shaped(batch), "action")
    expected = Counter((NOON + timedelta(minutes=us // 60_000_000), action) for us, action in events)
    keys = list(zip(counts.minutes, counts.outcomes, strict=True))
    assert dict(zip(keys, counts.calls, strict=True)) == expected
    assert keys == sorted(keys)
