"""Exactly once, whatever happens on the way (R: no call lost, none doubled)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingest.conftest import AddDevice
from tests.ingest.samples import NOON, every_second, upload

from ringfence.database.connection import Database
from ringfence.database.partitions import drop_before
from ringfence.errors import ConflictError, InvalidInputError, RingfenceError, UnavailableError
from ringfence.mediation.ingest.store import Ingest

JOURNAL = 2**62 + 5
NOW = NOON + timedelta(hours=1)


def send(ingest: Ingest, device: int, count: int, first: int = 1, stream: int = 0, **fields: Any) -> int:
    fields = {"rule_id": 1 + first % 3, "monitored": [7, 9]} | fields
    body = upload(every_second(count, NOON + timedelta(seconds=first), **fields), first)
    return ingest.accept(device, "enum", JOURNAL, stream, body, NOW)


def query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(statement.encode()).fetchall()


def sequences(database: Database) -> list[int]:
    return [row[0] for row in query(database, "SELECT sequence FROM enum_event ORDER BY stream_id, sequence")]


def assert_counts_agree(database: Database) -> None:
    """Rows, minute counts, hits of rules and stream positions tell the same story."""
    rows = query(
        database,
        "SELECT device_id, date_trunc('minute', time), action, count(*) FROM enum_event"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    counts = query(database, "SELECT device_id, minute, action, calls FROM call_minute ORDER BY 1, 2, 3")
    assert rows == counts
    for unit in ("minute", "hour"):
        hits = query(
            database,
            f"SELECT device_id, rule_id, date_trunc('{unit}', time), count(*) FILTER (WHERE decided),"
            " count(*) FILTER (WHERE NOT decided), max(time) FROM (SELECT device_id, rule_id, time, true AS decided"
            " FROM enum_event WHERE rule_id <> 0 UNION ALL SELECT device_id, unnest(monitored), time, false"
            " FROM enum_event) AS matched GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        )
        assert hits == query(
            database, f"SELECT device_id, rule_id, {unit}, hits, monitored, last_at FROM rule_{unit} ORDER BY 1, 2, 3"
        )
    gaps = query(
        database,
        "SELECT s.stream_id, s.last_sequence, count(e.*), count(DISTINCT e.sequence), max(e.sequence)"
        " FROM device_stream s LEFT JOIN enum_event e USING (stream_id) GROUP BY 1, 2"
        " HAVING NOT (s.last_sequence = count(e.*) AND count(e.*) = count(DISTINCT e.sequence)"
        "             AND s.last_sequence = coalesce(max(e.sequence), 0))",
    )
    assert gaps == []


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        time.sleep(0.02)


def test_rows_are_stored_as_the_edge_wrote_them(ingest: Ingest, device: int, database: Database) -> None:
    event = {"time": NOON, "source": 0, "source_raw": "anonymous ☎", "source_class": 3, "monitored": [7, 9], "rcode": 3}
    assert ingest.accept(device, "enum", JOURNAL, 4, upload([event]), NOW) == 1
    (row,) = query(
        database,
        "SELECT time, reported_time, device_id, sequence, peer, peer_port, transport, source, destination, target,"
        " source_class, destination_class, source_origin, direction, action, reason, rcode, rule_id, policy_version,"
        " latency_ns, source_raw, destination_raw, monitored FROM enum_event",
    )
    assert row == (
        *(NOON, None, device, 1, "192.0.2.7", 40_000, 1, 0, 19005550100, 0),
        *(3, 1, 1, 2, 1, 2, 3, 0, 7, 12_500, "anonymous ☎", None, [7, 9]),
    )
    streams = query(database, "SELECT device_id, journal_id, stream, last_sequence FROM device_stream")
    assert streams == [(device, JOURNAL, 4, 1)]


def test_the_same_batch_twice_is_stored_once(ingest: Ingest, device: int, database: Database) -> None:
    assert send(ingest, device, 100) == 100
    assert send(ingest, device, 100) == 100
    assert sequences(database) == list(range(1, 101))
    assert_counts_agree(database)


def test_what_overlaps_is_trimmed(ingest: Ingest, device: int, database: Database) -> None:
    assert send(ingest, device, 100) == 100
    assert send(ingest, device, 100, first=51) == 150
    assert send(ingest, device, 10, first=20) == 150
    assert sequences(database) == list(range(1, 151))
    assert_counts_agree(database)


def test_a_gap_is_refused_and_says_from_where_to_send(ingest: Ingest, device: int, database: Database) -> None:
    assert send(ingest, device, 10) == 10
    with pytest.raises(ConflictError) as caught:
        send(ingest, device, 10, first=12)
    assert caught.value.code == "gap"
    assert caught.value.detail == {"received": 10}
    assert send(ingest, device, 11, first=11) == 21
    assert sequences(database) == list(range(1, 22))
    with pytest.raises(ConflictError) as caught:
        send(ingest, device, 1, first=2, stream=9)
    assert caught.value.detail == {"received": 0}
    assert_counts_agree(database)


def test_a_hole_that_the_journal_admits_is_counted_as_lost(ingest: Ingest, device: int, database: Database) -> None:
    def after_drop(first: int, first_kept: int) -> int:
        return ingest.accept(device, "enum", JOURNAL, 0, upload([{}] * 5, first), NOW, first_kept=first_kept)

    assert send(ingest, device, 10) == 10
    for first_kept in (5, 19, 21):
        with pytest.raises(ConflictError):
            after_drop(20, first_kept)
    for _ in range(2):
        assert after_drop(20, 20) == 24
    assert sequences(database) == [*range(1, 11), *range(20, 25)]
    assert query(database, "SELECT last_sequence, lost FROM device_stream") == [(24, 9)]
    # It does not hide a mistake afterwards, nor count what overlaps.
    assert after_drop(23, 20) == 27
    assert query(database, "SELECT last_sequence, lost FROM device_stream") == [(27, 9)]


def test_an_empty_upload_answers_what_is_held(ingest: Ingest, device: int) -> None:
    assert send(ingest, device, 10) == 10
    assert ingest.accept(device, "enum", JOURNAL, 0, upload([]), NOW) == 10


def test_streams_journals_and_devices_do_not_mix(
    ingest: Ingest, add_device: AddDevice, device: int, database: Database
) -> None:
    other = add_device("enum-2")
    for target, journal, stream in [(device, 1, 0), (device, 1, 1), (device, 2, 0), (other, 1, 0)]:
        assert ingest.accept(target, "enum", journal, stream, upload(every_second(5)), NOW) == 5
    assert len(sequences(database)) == 20
    assert_counts_agree(database)


def test_a_refused_upload_leaves_nothing(ingest: Ingest, device: int, database: Database) -> None:
    for body in (b"", upload(every_second(9))[:-300], upload([{"sequence": 1}, {"sequence": 3}])):
        with pytest.raises(InvalidInputError):
            ingest.accept(device, "enum", JOURNAL, 0, body, NOW)
    assert query(database, "SELECT * FROM device_stream") == []
    assert sequences(database) == []


@pytest.mark.parametrize(("journal", "stream"), [(-1, 0), (2**63, 0), (1, -1), (1, 2**15)])
def test_stream_keys_outside_their_range_are_refused(ingest: Ingest, device: int, journal: int, stream: int) -> None:
    with pytest.raises(InvalidInputError, match="journal_id"):
        ingest.accept(device, "enum", journal, stream, upload([{}]), NOW)


def test_two_mediations_at_the_same_stream_store_each_event_once(database: Database, device: int) -> None:
    """Overlapping pieces of one stream come at the same time, in any order; a gap is answered as the edge would."""
    total, piece = 2000, 150

    def mediation(offset: int) -> None:
        ingest, position = Ingest(database), 0
        while position < total:
            first = max(1, position + 1 - offset)
            try:
                position = send(ingest, device, min(piece, total - first + 1), first)
            except ConflictError as error:
                position = error.detail["received"]

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(mediation, offset) for offset in (0, 0, 40, 149)]:
            future.result(60)
    assert sequences(database) == list(range(1, total + 1))
    assert_counts_agree(database)


def test_streams_of_one_device_upload_side_by_side_without_deadlock(database: Database, device: int) -> None:
    def uploads(stream: int) -> None:
        ingest = Ingest(database)
        for round_ in range(8):
            # Minutes and actions in another order on each stream.
            events = every_second(300)[:: 1 if stream % 2 else -1]
            body = upload([{**e, "action": i % 4} for i, e in enumerate(events)], first=1 + 300 * round_)
            ingest.accept(device, "enum", JOURNAL, stream, body, NOW)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(uploads, stream) for stream in range(4)]:
            future.result(60)
    assert len(sequences(database)) == 4 * 8 * 300
    assert_counts_agree(database)


class HeldUpload:
    """An upload stopped after COPY and before COMMIT: another session holds the minute's counter."""

    def __init__(self, database: Database, ingest: Ingest, device: int) -> None:
        self.database = database
        self.outcome: list[int | BaseException] = []
        assert send(ingest, device, 10) == 10
        self._blocker = psycopg.connect(database.url)
        self._blocker.execute("SELECT 1 FROM ringfence.call_minute FOR UPDATE")
        self._thread = threading.Thread(target=self._send, args=(ingest, device))
        self._thread.start()
        until(self.waiting_backend, "upload waits for the counter")

    def _send(self, ingest: Ingest, device: int) -> None:
        try:
            self.outcome.append(send(ingest, device, 10, first=11))
        except RingfenceError as error:
            self.outcome.append(error)

    def waiting_backend(self) -> int | None:
        rows = query(
            self.database,
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO call_minute%'"
            " AND datname = current_database()",
        )
        return rows[0][0] if rows else None

    def release(self) -> None:
        self._blocker.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_a_connection_cut_between_copy_and_commit_loses_and_doubles_nothing(
    ingest: Ingest, device: int, database: Database
) -> None:
    held = HeldUpload(database, ingest, device)
    query(database, f"SELECT pg_terminate_backend({held.waiting_backend()})")
    held.release()
    assert isinstance(held.outcome[0], UnavailableError)
    assert sequences(database) == list(range(1, 11))
    assert_counts_agree(database)
    # What the edge does then: the same batch again.
    assert send(ingest, device, 10, first=11) == 20
    assert sequences(database) == list(range(1, 21))
    assert_counts_agree(database)


def test_an_upload_that_waits_too_long_gives_up_and_may_be_repeated(
    ingest: Ingest, device: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.mediation.ingest.store.LOCK_TIMEOUT_MS", 500)
    held = HeldUpload(database, ingest, device)
    until(lambda: held.outcome, "upload gives up")
    held.release()
    assert isinstance(held.outcome[0], UnavailableError)
    assert send(ingest, device, 10, first=11) == 20
    assert sequences(database) == list(range(1, 21))
    assert_counts_agree(database)


def test_a_database_that_is_away_is_unavailable_not_an_error_of_the_edge(device: int, database: Database) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", pool_size=2, checkout_timeout_s=0.2)
    try:
        with pytest.raises(UnavailableError):
            send(Ingest(away), device, 1)
    finally:
        away.close()


def test_a_batch_across_midnight_lies_in_both_days(ingest: Ingest, device: int, database: Database) -> None:
    events = every_second(10, datetime(2026, 11, 19, 23, 59, 55, tzinfo=UTC))
    assert ingest.accept(device, "enum", JOURNAL, 0, upload(events), NOW) == 10
    parts = query(database, "SELECT tableoid::regclass::text, count(*) FROM enum_event GROUP BY 1 ORDER BY 1")
    assert parts == [("enum_event_20261119", 5), ("enum_event_20261120", 5)]
    assert_counts_agree(database)


def test_events_of_a_device_whose_clock_stepped_are_kept(ingest: Ingest, device: int, database: Database) -> None:
    stepped = [
        datetime(1970, 1, 1, tzinfo=UTC),
        NOW - timedelta(days=399),
        NOW - timedelta(days=3),
        NOW + timedelta(hours=30),
        datetime(2199, 1, 1, tzinfo=UTC),
    ]
    assert ingest.accept(device, "enum", JOURNAL, 0, upload([{"time": time} for time in stepped]), NOW) == 5
    rows = query(database, "SELECT time, reported_time FROM enum_event ORDER BY sequence")
    assert rows == [(NOW, stepped[0]), *((time, None) for time in stepped[1:4]), (NOW, stepped[4])]
    # One partition for each day that has a row, not for the days between; those that always exist aside.
    with_rows = query(database, "SELECT count(DISTINCT tableoid) FROM enum_event")
    assert with_rows == [(4,)]
    names = "relname BETWEEN 'enum_event_2025' AND 'enum_event_202611169' AND relkind = 'r'"
    assert query(database, f"SELECT count(*) FROM pg_class WHERE {names}") == [(1,)]
    assert_counts_agree(database)


@pytest.mark.parametrize("offset", [timedelta(seconds=90), timedelta(seconds=-3), timedelta(days=-20_000)])
def test_a_clock_that_is_measured_to_be_wrong_is_corrected_for(
    ingest: Ingest, device: int, database: Database, offset: timedelta
) -> None:
    with database.connection() as connection:
        microseconds = offset // timedelta(microseconds=1)
        connection.execute("UPDATE device SET clock_offset_us = %s", [microseconds])
    said = [NOON + offset, NOON + offset + timedelta(seconds=70)]
    assert ingest.accept(device, "enum", JOURNAL, 0, upload([{"time": time} for time in said]), NOW) == 2
    rows = query(database, "SELECT time, reported_time FROM enum_event ORDER BY sequence")
    assert rows == [(NOON, said[0]), (NOON + timedelta(seconds=70), said[1])]
    assert_counts_agree(database)


def test_an_offset_that_the_network_explains_is_left_alone(ingest: Ingest, device: int, database: Database) -> None:
    with database.connection() as connection:
        connection.execute("UPDATE device SET clock_offset_us = -499999")
    assert send(ingest, device, 1) == 1
    (row,) = query(database, "SELECT time, reported_time FROM enum_event")
    assert row == (NOON + timedelta(seconds=1), None)


def test_times_at_the_very_bounds_find_their_partition(ingest: Ingest, device: int, database: Database) -> None:
    for hour in (0, 11, 13, 23):
        now = NOON.replace(hour=hour, minute=30)
        edges = [now - timedelta(days=400), now + timedelta(days=2)]
        events = [{"time": time} for time in edges]
        assert ingest.accept(device, "enum", hour, 0, upload(events), now) == 2
    assert query(database, "SELECT count(*) FROM enum_event WHERE reported_time IS NULL") == [(8,)]


def test_a_partition_dropped_meanwhile_is_made_again(ingest: Ingest, device: int, database: Database) -> None:
    send(ingest, device, 10)
    drop_before(database, "enum_event", date(2026, 11, 21))
    assert send(ingest, device, 10, first=11) == 20
    assert sequences(database) == list(range(11, 21))


@given(
    pieces=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 25), st.integers(0, 1)), max_size=12),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_uploads_leaves_a_prefix_of_each_stream(
    ingest: Ingest, add_device: AddDevice, database: Database, pieces: list[tuple[int, int, int]]
) -> None:
    """The model: a stream is the longest prefix that the uploads reached without a gap."""
    with database.connection() as connection:
        connection.execute("TRUNCATE device, device_stream, enum_event, call_minute, rule_minute, rule_hour CASCADE")
    device = add_device("enum-model")
    model = {0: 0, 1: 0}
    for first, count, stream in pieces:
        if first > model[stream] + 1:
            with pytest.raises(ConflictError):
                send(ingest, device, count, first, stream)
        else:
            model[stream] = max(model[stream], first + count - 1)
            assert send(ingest, device, count, first, stream) == model[stream]
    assert len(sequences(database)) == sum(model.values())
    assert_counts_agree(database)
