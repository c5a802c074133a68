"""Calls of probes: exactly once, numbers by the site's dial plan, direction by trunk side, then own ranges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.ingest.conftest import AddDevice
from tests.ingest.samples import NOON
from tests.ingest.sip_samples import sip_upload

from ringfence._native import Normaliser
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError
from ringfence.mediation.ingest.store import Ingest
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of

NOW = NOON + timedelta(hours=1)
JOURNAL = 77


@pytest.fixture
def probe(add_device: AddDevice, database: Database) -> int:
    device = add_device("probe-1")
    with database.connection() as connection:
        connection.execute("UPDATE site SET own_ranges = '{+12105550000-+12105559999}'")
    return device


def query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(statement.encode()).fetchall()


def send(ingest: Ingest, probe: int, *events: dict[str, Any], first: int = 1) -> int:
    return ingest.accept(probe, "sip", JOURNAL, 0, sip_upload(events, first), NOW)


def test_a_call_is_stored_with_its_numbers_in_e164_and_its_direction(
    ingest: Ingest, probe: int, database: Database
) -> None:
    assert send(ingest, probe, {}) == 1
    assert query(
        database,
        "SELECT source, source_class, source_raw, destination, destination_class, destination_raw, direction, result,"
        " pdd_ms, answer_ms, duration_ms, forward_mos_100, source_address, call_id, details FROM sip_event",
    ) == [
        (
            *(12105550123, 1, "2105550123", 19005550100, 1, None, 2),
            *(1, 180, 4000, 61_500, 431, "192.0.2.7", "a84b4c76e66710@192.0.2.7", '{"hops":1}'),
        )
    ]


def test_what_did_not_happen_is_null(ingest: Ingest, probe: int, database: Database) -> None:
    nothing = dict.fromkeys(("pdd_ms", "answer_ms", "duration_ms"), -1)
    silent = dict.fromkeys((f"{way}_{what}" for way in ("forward", "backward") for what in _MEDIA), 0)
    texts = dict.fromkeys(("codec", "user_agent", "details"), "")
    send(ingest, probe, nothing | silent | texts | {"result": 4, "status": 487, "cause_q850": 0})
    (row,) = query(
        database,
        "SELECT pdd_ms, answer_ms, duration_ms, forward_packets, forward_lost, forward_jitter_us, forward_mos_100,"
        " backward_packets, backward_mos_100, codec, user_agent, details, cause_q850 FROM sip_event",
    )
    assert set(row) == {None}


_MEDIA = ("packets", "lost", "jitter_us", "mos_100")


@pytest.mark.parametrize(
    ("source", "destination", "side", "direction"),
    [
        ("2105550123", "19005550100", 0, 2),
        ("+19005550100", "+12105550123", 0, 1),
        ("2105550123", "2105550199", 0, 3),
        ("+442079460000", "+19005550100", 0, 4),
        ("anonymous", "2105550123", 0, 1),
        # An own number that comes in on the trunk is inbound: that is how a spoofed one is seen.
        ("2105550123", "2105550199", 1, 1),
        ("+442079460000", "+19005550100", 2, 2),
        ("2105550123", "19005550100", 3, 2),
    ],
)
def test_direction_is_the_trunk_sides_then_the_own_ranges(
    ingest: Ingest, probe: int, database: Database, source: str, destination: str, side: int, direction: int
) -> None:
    send(ingest, probe, {"source_raw": source, "destination_raw": destination, "side": side})
    assert query(database, "SELECT direction FROM sip_event") == [(direction,)]


def test_calls_are_counted_by_minute_and_result_apart_from_queries(
    ingest: Ingest, probe: int, database: Database
) -> None:
    later = NOON + timedelta(minutes=1)
    send(ingest, probe, {}, {"result": 2}, {"result": 2}, {"time": later})
    assert query(database, "SELECT dataset, minute, action, calls FROM call_minute ORDER BY minute, action") == [
        (2, NOON, 1, 1),
        (2, NOON, 2, 2),
        (2, later, 1, 1),
    ]


def test_what_was_sent_before_is_trimmed_and_a_gap_is_refused(ingest: Ingest, probe: int, database: Database) -> None:
    assert send(ingest, probe, {}, {}) == 2
    assert send(ingest, probe, {}, {}, {}) == 3
    with pytest.raises(ConflictError) as refused:
        send(ingest, probe, {}, first=5)
    assert refused.value.detail == {"received": 3}
    assert query(database, "SELECT sequence FROM sip_event ORDER BY 1") == [(1,), (2,), (3,)]
    assert query(database, "SELECT sum(calls)::int FROM call_minute") == [(3,)]


def test_a_stream_of_queries_is_not_taken_for_calls(ingest: Ingest, probe: int) -> None:
    with pytest.raises(InvalidInputError, match=r"schema is 'sip\.1', must be 'enum\.1'"):
        ingest.accept(probe, "enum", JOURNAL, 0, sip_upload([{}]), NOW)


def test_a_changed_site_is_used_for_the_calls_that_come_after(
    ingest: Ingest, probe: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.mediation.ingest.store.SITE_FOR_S", -1.0)
    send(ingest, probe, {})
    with database.connection() as connection:
        connection.execute("UPDATE site SET own_ranges = '{}'")
    send(ingest, probe, {}, first=2)
    assert query(database, "SELECT direction FROM sip_event ORDER BY sequence") == [(2,), (0,)]


def test_one_call_and_a_batch_are_normalised_alike() -> None:
    normaliser = normaliser_of(Site("main", "US", ("+12105550000-+12105559999",)))
    assert normaliser.call("2105550123", "911", 0) == (12105550123, 1, 0, 5, 2)
    assert normaliser.call("", "", 0) == (0, 0, 0, 0, 0)


def test_a_stream_that_is_no_batch_of_calls_is_refused() -> None:
    normaliser = normaliser_of(Site("main", "US"))
    for stream in (b"", b"x" * 100, sip_upload([{}])):
        with pytest.raises(ValueError, match=r"column|Arrow|stream|Ipc"):
            normaliser.calls(stream)
    with pytest.raises(ValueError, match="country_code"):
        Normaliser("{}")
