"""Dataset SIP in every view and in the call log, all probes and one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.ingest.conftest import AddDevice
from tests.ingest.samples import NOON
from tests.ingest.sip_samples import sip_upload

from ringfence.analytics.calls import CallFilter, find_calls, follow_calls
from ringfence.analytics.sip_calls import SipCall
from ringfence.analytics.views import VIEWS, AnalyticsQuery, run_query
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.mediation.ingest.store import Ingest
from ringfence.vocabulary import Action, CallResult, Dataset

HOUR = timedelta(hours=1)
AddSipCalls = Callable[..., None]


@pytest.fixture
def add_sip_calls(ingest: Ingest, add_device: AddDevice) -> AddSipCalls:
    """`add_sip_calls({...}, {...}, device="probe-1")`: one more batch, fields as in `sip_samples`."""
    devices: dict[str, int] = {}
    received: dict[str, int] = {}

    def add(*events: dict[str, Any], device: str = "probe-1") -> None:
        if device not in devices:
            devices[device] = add_device(device)
        first = received.get(device, 0) + 1
        received[device] = ingest.accept(devices[device], "sip", 1, 0, sip_upload(events, first), NOON + HOUR)

    return add


def ask(database: Database, view: str, device: str | None = None, grouping: str = "hour") -> Any:
    query = AnalyticsQuery(Dataset.SIP, view, grouping, device, NOON, NOON + HOUR)
    with database.connection() as connection:
        return run_query(connection, query, now=NOON + 2 * HOUR)


def find(database: Database, **fields: Any) -> list[SipCall]:
    with database.connection() as connection:
        found = find_calls(connection, CallFilter(dataset=Dataset.SIP, **fields), now=NOON + HOUR)
    assert all(isinstance(call, SipCall) for call in found)
    return [call for call in found if isinstance(call, SipCall)]


def test_calls_are_split_by_result(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({}, {}, {"result": 2}, {"result": 9}, {"result": 0})
    result = ask(database, "calls")
    assert result.columns == VIEWS["calls"].columns_of(Dataset.SIP)
    (row,) = result.rows
    counts = dict(zip(result.columns, row, strict=True))
    assert counts | {"time": NOON} == counts
    assert {name: count for name, count in counts.items() if count and name != "time"} == {
        "calls": 5,
        "answered": 2,
        "busy": 1,
        "failed": 1,
        "unfinished": 1,
    }


def test_top_numbers_and_calls_a_second_are_of_the_probe_that_was_asked_for(
    database: Database, add_sip_calls: AddSipCalls
) -> None:
    add_sip_calls({}, {"source_raw": "2105550144"}, {})
    add_sip_calls({"source_raw": "anonymous"}, device="probe-2")
    assert [row[1:] for row in ask(database, "top_source").rows] == [
        (1, "+12105550123", 2),
        (2, "+12105550144", 1),
        (3, "anonymous", 1),
    ]
    assert [row[1:] for row in ask(database, "top_destination", "probe-2").rows] == [(1, "+19005550100", 1)]
    assert ask(database, "average_cps", "probe-1").rows == [(NOON, 3, 3 / 3600)]


def test_datasets_are_counted_apart(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({})
    query = AnalyticsQuery(Dataset.ENUM, "calls", "hour", None, NOON, NOON + HOUR)
    with database.connection() as connection:
        assert [row[1] for row in run_query(connection, query, now=NOON + HOUR).rows] == [0]


def test_a_call_is_read_in_words_and_milliseconds(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({"flags": 0b101 | 1 << 24, "backward_packets": 0, "backward_mos_100": 0})
    (call,) = find(database)
    shown = call.as_json()
    assert (shown["source"], shown["destination"], shown["direction"]) == ("+12105550123", "+19005550100", "unknown")
    assert (shown["result"], shown["status"], shown["released_by"]) == ("answered", 200, "destination")
    assert (shown["pdd_ms"], shown["answer_ms"], shown["duration_ms"]) == (180, 4000, 61_500)
    assert shown["mos"] == 4.31
    assert shown["media"] == {
        "forward": {"packets": 3075, "lost": 4, "jitter_ms": 1.25, "mos": 4.31},
        "backward": {},
    }
    assert shown["flags"] == ["start_missed", "evicted", "anonymous"]
    assert (shown["source_peer"], shown["destination_peer"]) == ("192.0.2.7:5060", "[2001:db8::9]:5062")
    assert (shown["attestation"], shown["transport"], shown["details"]) == ("a", "udp", {"hops": 1})
    assert shown["correlation"] == "fffffffffffffffe"


def test_the_call_log_is_filtered_by_number_result_and_call_id(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({}, {"result": 2, "call_id": "two@example"}, {"source_raw": "+442079460000"})
    assert [call.sequence for call in find(database, result=CallResult.BUSY)] == [2]
    assert [call.sequence for call in find(database, call_id="two@example")] == [2]
    assert [call.sequence for call in find(database, number="442079460000")] == [3]
    with pytest.raises(InvalidInputError, match="action: calls of dataset sip have none"):
        find(database, action=Action.ALLOW)
    with pytest.raises(InvalidInputError, match="result: calls of dataset enum have none"), database.connection() as c:
        find_calls(c, CallFilter(result=CallResult.BUSY))


def test_pages_of_calls_join_without_a_gap(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls(*({"time": NOON + timedelta(seconds=second)} for second in range(9)))
    first = find(database, limit=5)
    rest = find(database, limit=5, before=first[-1].cursor)
    assert [call.sequence for call in first + rest] == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_new_calls_are_followed(database: Database, add_sip_calls: AddSipCalls) -> None:
    wanted = CallFilter(dataset=Dataset.SIP)
    with database.connection() as connection:
        _, position = follow_calls(connection, wanted, None)
    add_sip_calls({}, {})
    with database.connection() as connection:
        calls, _ = follow_calls(connection, wanted, position)
    assert [call.sequence for call in calls] == [1, 2]


def test_details_that_are_no_json_do_not_hide_the_call(database: Database, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({"details": "{"}, {"details": "[1]"})
    assert [call.details for call in find(database)] == [{}, {}]
