"""Days go by age, by share and by the disk, whole and the oldest first; and it is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.analytics.test_agreement import FALL_BACK, World, busy, world
from tests.storage.conftest import GIB, NOW, Make, days, fill, query

from ringfence.analytics.reading import lost_in_words
from ringfence.analytics.views import AnalyticsQuery, EventFilter, run_query, views_of
from ringfence.database.connection import Database
from ringfence.database.partitions import Partition
from ringfence.mediation.ingest.closing import close_hours
from ringfence.storage.disk import Disk
from ringfence.storage.report import storage_report
from ringfence.storage.retention import DatasetLimit, Limits, Why, next_drop, plan_drops
from ringfence.vocabulary import Dataset

__all__ = ["busy", "world"]

TODAY = NOW.date()
LATER = datetime(2026, 11, 3, 0, 30, tzinfo=UTC)


def held(table: str, sizes: dict[int, int]) -> list[Partition]:
    return [Partition(table, TODAY - timedelta(days=ago), size) for ago, size in sizes.items()]


def limits(days: int = 90, share: int = 90, full: int = 85) -> Limits:
    limit = DatasetLimit(days, share)
    return Limits({"enum_event": limit, "sip_event": limit}, full)


def drops(partitions: list[Partition], wanted: Limits, disk: Disk | None) -> list[tuple[str, int, Why]]:
    plan = plan_drops(partitions, wanted, disk, TODAY)
    return [(one.partition.table, (TODAY - one.partition.day).days, one.why) for one in plan.drops]


def test_a_day_goes_when_it_is_older_than_its_dataset_is_kept() -> None:
    partitions = held("enum_event", {0: 10, 3: 10, 4: 10}) + held("sip_event", {4: 10, -1: 10})
    two = Limits({"enum_event": DatasetLimit(3, 90), "sip_event": DatasetLimit(4, 90)}, 85)
    assert drops(partitions, two, None) == [("enum_event", 4, Why.AGE)]


def test_a_dataset_over_its_share_loses_its_own_oldest_days() -> None:
    partitions = held("enum_event", {0: 10, 1: 20, 2: 20, 3: 20}) + held("sip_event", {9: 5})
    plan = drops(partitions, limits(share=50), Disk(100, 75, "path", "/"))
    assert plan == [("enum_event", 3, Why.SHARE)]


def test_a_full_disk_takes_the_oldest_day_of_any_dataset() -> None:
    partitions = held("enum_event", {1: 10, 5: 10}) + held("sip_event", {3: 10, 9: 2})
    plan = drops(partitions, limits(), Disk(100, 95, "path", "/"))
    assert plan == [("sip_event", 9, Why.DISK), ("enum_event", 5, Why.DISK)]


def test_what_age_frees_counts_before_the_disk_takes_more() -> None:
    partitions = held("enum_event", {100: 10, 5: 10})
    assert drops(partitions, limits(), Disk(100, 95, "path", "/")) == [("enum_event", 100, Why.AGE)]


def test_today_stays_and_the_plan_says_by_how_much_it_falls_short() -> None:
    plan = plan_drops(held("enum_event", {0: 50, 1: 3, -1: 1}), limits(), Disk(100, 95, "path", "/"), TODAY)
    assert [one.partition.day for one in plan.drops] == [TODAY - timedelta(days=1)]
    assert plan.short_bytes == 7


@given(
    st.lists(
        st.tuples(st.sampled_from(["enum_event", "sip_event"]), st.integers(-3, 120), st.integers(0, 40)),
        unique_by=lambda one: one[:2],
    ),
    st.integers(0, 400),
    st.integers(1, 95),
    st.integers(10, 98),
    st.integers(1, 60),
)
def test_a_plan_keeps_every_limit_or_has_nothing_left_to_drop(
    found: list[tuple[str, int, int]], other: int, share: int, full: int, kept: int
) -> None:
    partitions = [Partition(table, TODAY - timedelta(days=ago), size) for table, ago, size in found]
    used = min(400, sum(one.bytes for one in partitions) + other)
    disk = Disk(400, used, "path", "/")
    plan = plan_drops(partitions, limits(kept, share, full), disk, TODAY)
    gone = {one.partition.name for one in plan.drops}
    assert len(gone) == len(plan.drops)
    assert all(one.partition.day < TODAY for one in plan.drops)
    left = [one for one in partitions if one.name not in gone]
    assert all(one.day >= TODAY - timedelta(days=kept) for one in left)
    closed = [one for one in left if one.day < TODAY]
    freed = sum(one.partition.bytes for one in plan.drops)
    assert used - freed <= 400 * full // 100 or not closed
    for table in ("enum_event", "sip_event"):
        mine = [one for one in left if one.table == table]
        assert sum(one.bytes for one in mine) <= 400 * share // 100 or not [one for one in mine if one.day < TODAY]
    # Nothing goes in vain: without its last day a reason that is not age is not met.
    if plan.drops and plan.drops[-1].why is Why.DISK:
        assert used - freed + plan.drops[-1].partition.bytes > 400 * full // 100
    assert next_drop(partitions, plan.drops, TODAY) == min(closed, key=lambda one: (one.day, one.table), default=None)


def test_age_drops_days_of_each_dataset_and_the_audit_trail_has_them(database: Database, storage: Make) -> None:
    for ago in (0, 2, 3, 4):
        fill(database, "enum_event", ago)
        fill(database, "sip_event", ago)
    done = storage(enum={"days": 2}, sip={"days": 3}).round()
    assert (days(database), days(database, "sip_event")) == ([2, 0], [3, 2, 0])
    assert [one["why"] for one in done.dropped] == ["age"] * 3
    trail = query(
        database, "SELECT actor, subject, detail ->> 'why' FROM audit WHERE action = 'storage.drop' ORDER BY 2"
    )
    assert trail == [
        ("retention", "enum_event_20261118", "age"),
        ("retention", "enum_event_20261119", "age"),
        ("retention", "sip_event_20261118", "age"),
    ]


def test_the_disk_is_acted_on_before_it_is_full_and_the_report_says_so(database: Database, storage: Make) -> None:
    for ago in (0, 1, 2):
        fill(database, "enum_event", ago, 2000)
    one = query(database, "SELECT pg_total_relation_size('enum_event_20261120')")[0][0]
    kept = storage(used_percent=86.0, total=100 * one)
    with database.connection() as connection:
        before = storage_report(connection, kept.keeping(), NOW)
    assert before["drops_now"] == [{"partition": "enum_event_20261120", "why": "disk_full"}]
    assert before["drops_next"] == "enum_event_20261121"
    assert before["reason"] == "the disk is 86 % full, 85 % is the limit: the oldest days are dropped"
    done = kept.round()
    assert [(one["partition"], one["why"]) for one in done.dropped] == [("enum_event_20261120", "disk_full")]
    assert days(database) == [1, 0]
    kept.used_percent = 84.0
    assert kept.round().dropped == []
    kept.used_percent = 99.0
    done = kept.round()
    assert days(database) == [0]
    assert done.short_bytes > 0
    with database.connection() as connection:
        report = storage_report(connection, kept.keeping(), NOW)
    assert report["reason"].endswith("85 % is the limit: no closed day is left to drop")


def test_counts_stay_longer_than_calls_and_go_by_their_own_settings(database: Database, storage: Make) -> None:
    with database.connection() as connection:
        for ago in (1, 9, 10, 11, 400):
            connection.execute(
                "INSERT INTO call_minute (minute, device_id, dataset, action, calls) VALUES (%s, 1, 1, 1, 5)",
                [NOW - timedelta(days=ago)],
            )
    done = storage(minute_days=10).round()
    assert done.rollup_rows == {"call_minute": 2}
    assert query(database, "SELECT count(*) FROM call_minute") == [(3,)]


def test_a_second_process_leaves_a_round_alone_that_goes_on(database: Database, storage: Make) -> None:
    from ringfence.storage.expiry import _alone, run_round

    with _alone(database) as is_alone:
        assert is_alone
        assert run_round(database, storage().keeping(), NOW) is None
    assert run_round(database, storage().keeping(), NOW) is not None


def test_autovacuum_stays_on(database: Database) -> None:
    assert query(database, "SHOW autovacuum") == [("on",)]
    stopped = "SELECT relname FROM pg_class WHERE array_to_string(reloptions, ',') LIKE '%%autovacuum_enabled=false%%'"
    assert query(database, stopped) == []


def test_report_has_sizes_by_table_and_day(database: Database, storage: Make) -> None:
    fill(database, "enum_event", 1, 500)
    with database.connection() as connection:
        connection.execute("ANALYZE enum_event")
    with database.connection() as connection:
        report = storage_report(connection, storage(used_percent=10.0).keeping(), NOW)
    assert {one["table"] for one in report["tables"]} >= {"enum_event", "sip_event", "call_minute"}
    (day,) = [one for one in report["days"] if one["day"] == str(date(2026, 11, 21))]
    assert day["rows"] == 500
    assert day["bytes_per_event"] == round(day["bytes"] / 500, 1)
    assert report["disk"]["bytes"] == 10 * GIB
    assert report["reason"] is None


def test_calls_that_are_kept_no_more_are_named_by_what_counts_them(database: Database, storage: Make) -> None:
    for ago in (9, 1):
        fill(database, "enum_event", ago)
    storage(enum={"days": 5}).round()
    period = (NOW - timedelta(days=20), NOW)
    with database.connection() as connection:
        asked = AnalyticsQuery(Dataset.ENUM, "top_source", "period", None, *period, filter=EventFilter(number="+1*"))
        result = run_query(connection, asked, now=NOW)
        kept = run_query(connection, replace(asked, start=NOW - timedelta(days=8)), now=NOW)
    assert result.lost == (NOW.date() - timedelta(days=9),)
    assert [row[1:] for row in result.rows] == [row[1:] for row in kept.rows]
    assert kept.lost == ()
    assert lost_in_words(result.lost) == "The calls of 2026-11-13 (UTC) are kept no more, and are not in these figures."
    with database.connection() as connection:
        assert storage_report(connection, storage().keeping(), NOW)["lost_days"] == {"enum_event": 1}


def test_counts_that_are_kept_no_more_are_made_of_the_calls(busy: World, storage: Make, tmp_path: Path) -> None:
    close_hours(busy.database, LATER, 200)
    period = {"start": FALL_BACK - timedelta(hours=20), "end": LATER, "zone": "Asia/Kathmandu"}

    def answers() -> dict[str, list[tuple[object, ...]]]:
        asked = [(view, by) for view in views_of(Dataset.SIP) for by in ("minute", "day")]
        return {
            f"{view.id} {by}": busy.ask(Dataset.SIP, view.id, by, **period)
            for view, by in asked
            if view.id != "device_health"
        }

    before = answers()
    storage(tmp_path, sip={"days": 1}, enum={"days": 1}, minute_days=1, hour_days=1).round(LATER)
    with busy.database.connection() as connection:
        assert connection.execute("SELECT min(hour) >= '2026-11-02 00:00Z' FROM call_hour").fetchone() == (True,)
    for question, rows in answers().items():
        assert rows == before[question], question
