"""Every question has the same answer before and after days are archived, over hot and archived days together.

Views × groupings × filters × periods × zones; the proof of enforcement, the call log's single calls, replays. A late
batch for an archived day is counted beside it.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from tests.analytics import plain, test_agreement
from tests.analytics.test_agreement import (
    DEVICES,
    FALL_BACK,
    OF_ENUM,
    OF_SIP,
    ZONES,
    World,
    assert_agrees,
    busy,
    world,
)
from tests.storage.conftest import Make, Storage

from ringfence.analytics import tops
from ringfence.analytics.calls import CallFilter, find_calls, read_call, read_calls
from ringfence.analytics.enforcement.question import EnforcementQuery
from ringfence.analytics.enforcement.report import prove
from ringfence.analytics.recorded import hours_with_calls, recording_devices
from ringfence.analytics.recorded import read_calls as read_recorded
from ringfence.analytics.views import GROUPINGS, AnalyticsQuery, EventFilter, run_query, views_of
from ringfence.database.columnar import columnar_reader
from ringfence.errors import UnavailableError
from ringfence.mediation.ingest import closing
from ringfence.mediation.ingest.closing import close_hours
from ringfence.storage.archive.parts import all_parts
from ringfence.vocabulary import Dataset

__all__ = ["busy", "world"]

# Of 31 October to 2 November, the first two go; some hours are closed by then.
LATER = datetime(2026, 11, 3, 0, 30, tzinfo=UTC)
QUESTIONS = 40


def questions() -> list[AnalyticsQuery]:
    """As people ask: any view, grouping, device, filter, period and zone."""
    choose = random.Random(13)
    found: list[AnalyticsQuery] = []
    while len(found) < QUESTIONS:
        dataset = choose.choice(list(Dataset))
        view = choose.choice(views_of(dataset)).id
        grouping = choose.choice(GROUPINGS)
        start = FALL_BACK + timedelta(minutes=choose.randrange(-26 * 60, 20 * 60))
        minutes = choose.choice([7, 61, 110] if grouping == "second" else [61, 600, 1440, 3000])
        kind = ("enum", "probe")[dataset is Dataset.SIP]
        devices = [None, None, *(name for name, (of, _) in DEVICES.items() if of == kind)]
        found.append(
            AnalyticsQuery(
                dataset,
                view,
                grouping,
                choose.choice(devices),
                start,
                start + timedelta(minutes=minutes),
                5,
                choose.choice(ZONES),
                choose.choice(OF_ENUM if dataset is Dataset.ENUM else OF_SIP),
            )
        )
    return found


def answers(world: World) -> list[Any]:
    found = []
    for query in questions():
        with world.database.connection() as connection:
            found.append(run_query(connection, query, now=LATER).rows)
    return found


def proof(world: World) -> list[Any]:
    """What became of decisions, by several questions."""
    found = []
    for start, hours, number in ((-26, 50, None), (-10, 12, "+12105550100"), (3, 20, None)):
        begin = FALL_BACK + timedelta(hours=start)
        query = EnforcementQuery(begin, begin + timedelta(hours=hours), number=number, limit=200)
        with world.database.connection() as connection:
            found.append(prove(connection, query).as_json())
    return found


def replayed(world: World) -> list[Any]:
    """The calls that simulation and list entries read."""
    found: list[Any] = []
    period = (FALL_BACK - timedelta(hours=26), FALL_BACK + timedelta(hours=26))
    with world.database.connection() as connection:
        devices = recording_devices(connection, None, None)
        hours = hours_with_calls(connection, devices, *period)
    with columnar_reader(world.database.url) as reader:
        for hour in hours:
            for batch in read_recorded(world.database, reader, devices, hour, in_order=True):
                found += batch.to_pylist()
    return found


def archive(world: World, storage: Make, folder: Path) -> Storage:
    kept = storage(folder, enum={"days": 1}, sip={"days": 1})
    done = kept.round(LATER)
    assert {one["is_archived"] for one in done.dropped} == {True}
    assert len(done.dropped) == 4
    with world.database.connection() as connection:
        assert connection.execute("SELECT min(time)::date FROM enum_event").fetchone() == (LATER.date() - timedelta(1),)
    return kept


def test_every_question_has_the_same_answer_when_days_are_archived(busy: World, storage: Make, tmp_path: Path) -> None:
    close_hours(busy.database, LATER, 20)
    before, proven, calls = answers(busy), proof(busy), replayed(busy)
    assert sum(bool(rows) for rows in before) > QUESTIONS / 2
    assert proven[0]["total"] > 50
    archive(busy, storage, tmp_path)
    for query, was, now in zip(questions(), before, answers(busy), strict=True):
        assert now == was, query
    assert proof(busy) == proven
    assert replayed(busy) == calls
    assert len(calls) == len(busy.events[Dataset.ENUM])

    # Late calls of a day that the archive has, beside it: a plain count over all that was ever sent.
    randomness = random.Random(3)
    for device in ("enum-1", "probe-2"):
        busy.add(randomness, device, 25, FALL_BACK - timedelta(hours=2), timedelta(hours=3))
    for dataset, wanted, grouping in (
        (Dataset.ENUM, EventFilter(), "hour"),
        (Dataset.ENUM, EventFilter(number="+12105550100"), "day"),
        (Dataset.SIP, EventFilter(destination="+44*"), "hour"),
    ):
        begin, end = FALL_BACK - timedelta(hours=20), FALL_BACK + timedelta(hours=22)
        period = {"start": begin, "end": end, "zone": "UTC"}
        events = [e for e in busy.matching(dataset, wanted, None) if begin <= e["time"] < end]
        key = partial(plain.key_of, grouping=grouping, zone="UTC", start=begin)
        buckets = plain.per_bucket(events, key)
        assert_agrees(busy, dataset, grouping, {**period, "filter": wanted}, events, buckets)
    assert len(replayed(busy)) == len(busy.events[Dataset.ENUM])


def test_what_cut_lists_leave_open_and_seconds_are_counted_in_the_archive_too(
    busy: World, storage: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = FALL_BACK - timedelta(hours=5)
    monkeypatch.setattr(test_agreement, "NUMBERS", ("+12105550100",) * 40 + test_agreement.NUMBERS)
    for device in ("enum-1", "probe-1"):
        busy.add(random.Random(1), device, 200, at, timedelta(hours=1))
    monkeypatch.setattr(closing, "KEPT_NUMBERS", 2)
    while close_hours(busy.database, LATER, 200):
        pass
    count_some = Mock(wraps=tops._count_some)
    monkeypatch.setattr(tops, "_count_some", count_some)
    month = {"start": FALL_BACK - timedelta(hours=31), "end": LATER, "limit": 1}
    hour = {"start": at, "end": at + timedelta(minutes=40)}

    def ask() -> list[object]:
        return [
            *(busy.ask(dataset, f"top_{of}", "period", **month) for dataset in Dataset for of in ("source", "pair")),
            *(busy.ask(dataset, view, "second", **hour) for dataset in Dataset for view in ("calls", "peak_cps")),
            busy.ask(Dataset.ENUM, "calls", "second", **hour, filter=EventFilter(source="+12105550100")),
        ]

    before = ask()
    assert count_some.called, "no list left a number open: the test does not test"
    archive(busy, storage, tmp_path)
    assert ask() == before


def test_a_single_call_is_found_by_its_name_when_its_day_is_archived(
    busy: World, storage: Make, tmp_path: Path
) -> None:
    def named() -> list[Any]:
        with busy.database.connection() as connection:
            calls = [*find_calls(connection, CallFilter(limit=1000), now=LATER)]
            chosen = calls[::17]
            keys = [(call.time, call.stream, call.sequence) for call in chosen]
            again = read_calls(connection, Dataset.ENUM, keys)
            assert [call.id for call in again] == [call.id for call in chosen]
            oldest = read_call(connection, calls[-1].stream, calls[-1].sequence)
            return [call.as_json() for call in (*calls, *again, oldest)]

    before = named()
    archive(busy, storage, tmp_path)
    assert named() == before


def test_what_cannot_be_reached_is_said_and_never_left_out(busy: World, storage: Make, tmp_path: Path) -> None:
    archive(busy, storage, tmp_path)
    start = FALL_BACK - timedelta(hours=20)
    query = AnalyticsQuery(
        Dataset.ENUM, "top_source", "day", None, start, LATER, 5, "UTC", EventFilter(number="+12105550100")
    )
    with busy.database.connection() as connection:
        assert run_query(connection, query, now=LATER).rows
        parts = all_parts(connection)
    for part in parts:
        (tmp_path / part.file).rename(tmp_path / f"{part.part}-{part.table_name}-{part.day}")
    with busy.database.connection() as connection, pytest.raises(UnavailableError, match="archive"):
        run_query(connection, query, now=LATER)
    with busy.database.connection() as connection, pytest.raises(UnavailableError, match="archive"):
        find_calls(connection, CallFilter(limit=1000), now=LATER)
    with busy.database.connection() as connection, pytest.raises(UnavailableError, match="archive"):
        prove(connection, EnforcementQuery(start, LATER))
    # What needs no call of those days is answered as ever.
    kept = AnalyticsQuery(Dataset.ENUM, "calls", "hour", None, start.replace(minute=0), LATER)
    with busy.database.connection() as connection:
        assert sum(row[1] for row in run_query(connection, kept, now=LATER).rows) > 0
