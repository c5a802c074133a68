"""Windows and SQL say the same of random traffic: which keys cross when, for every exact measure and condition."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from ringfence._native import Windows
from ringfence.analytics.recorded import RecordingDevice
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import Database
from ringfence.database.partitions import ensure_between
from ringfence.detection.applying import Crossing, microseconds
from ringfence.detection.calls import TABLES, as_stream, read_period
from ringfence.detection.compiled import specification
from ringfence.detection.definition import Definition, definition_from
from ringfence.detection.firing import Dataset
from ringfence.detection.sql import crossings_sql
from ringfence.detection.surroundings import Surroundings
from ringfence.numbering.dial_plan import Site

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
END = START + timedelta(minutes=10)
AROUND = Surroundings(
    (RecordingDevice(1, "one", "main"), RecordingDevice(2, "two", "far")),
    (Site("main", "US", ("+1210555000?",)), Site("far", "DE", ("+4930123*",))),
)
NUMBERS = (0, 12105550001, 12105550002, 12105550003, 12105550104, 4930123456, 493012345678)
MEASURES: tuple[tuple[str, Any, float], ...] = (
    ("enum", "count", 3),
    ("enum", "rate", 0.1),
    ("enum", {"kind": "distinct", "of": "destination"}, 3),
    ("enum", {"kind": "distinct", "of": "source"}, 2),
    ("enum", {"kind": "adjacent", "of": "destination", "gap": 1}, 2),
    ("enum", {"kind": "share", "of": "terminated"}, 0.5),
    ("sip", "duration_total", 40),
    ("sip", "duration_mean", 15),
    ("sip", "concurrency", 2),
    ("sip", {"kind": "share", "of": "short"}, 0.5),
    ("sip", {"kind": "share", "of": "answered"}, 0.5),
    ("sip", {"kind": "share", "of": "unanswered"}, 0.5),
)
PARTIES: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {}, {}, {"own": True}, {"own": False}, {"patterns": ["+1210*"]}, {"except": ["+1210555000?"]},
    {"patterns": ["+12105550001-+12105550003"]}, {"classes": ["number"]},
)  # fmt: skip


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    dataset, measure, value = draw(st.sampled_from(MEASURES))
    keys = ["source", "destination", "pair", "source_prefix", "country", "site", "device", "all"]
    if isinstance(measure, dict) and measure["kind"] == "distinct":
        keys = [key for key in keys if key not in (measure["of"], "pair")]
    condition: dict[str, Any] = {
        "source": draw(st.sampled_from(PARTIES)),
        "destination": draw(st.sampled_from(PARTIES)),
    }
    condition |= draw(
        st.sampled_from(
            [
                {},
                {},
                {},
                {},
                {"direction": ["inbound"]},
                {"foreign": True},
                {"same_prefix": 4},
                {"call_types": ["mobile"]},
            ]
            + ([{"duration": {"max_ms": 20000}}, {"results": ["answered"]}] if dataset == "sip" else [])
        )
    )
    more: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {},
                {},
                {"sites": ["far"]},
                {"schedule": {"zone": "America/Chicago", "from": "06:03", "to": "06:07"}},
                {"schedule": {"zone": "UTC", "from": "12:03", "to": "12:07"}, "outside_schedule": True},
            ]
        )
    )
    window_s = draw(st.integers(10, 60))
    return definition_from(
        {
            "name": "x", "title": "X", "dataset": dataset, "condition": condition, "key": draw(st.sampled_from(keys)),
            "prefix_digits": 6, "measure": measure, "window_s": window_s,
            "threshold": {"value": value, "at_least": draw(st.sampled_from([1, 2]))}, "cool_down_s": window_s, **more,
        }
    )  # fmt: skip


call = st.fixed_dictionaries(
    {
        "second": st.integers(0, 200),
        "source": st.sampled_from(NUMBERS),
        "destination": st.sampled_from(NUMBERS),
        "device_id": st.sampled_from([1, 2]),
        "direction": st.sampled_from([1, 2]),
        "outcome": st.sampled_from([1, 2, 3]),
        "source_class": st.sampled_from([1, 3]),
        "call_type": st.sampled_from([2, 3]),
        "country": st.sampled_from([0, 84, 540]),
        "duration_s": st.sampled_from([None, 3, 10, 20, 30]),
    }
)


def store_calls(connection: Connection, dataset: Dataset, calls: list[dict[str, Any]]) -> None:
    """Rows with what detections look at; everything else is filler."""
    connection.execute(f"DELETE FROM {TABLES[dataset]}")
    rows = []
    for sequence, one in enumerate(calls, 1):
        seconds = one["duration_s"]
        row = {name: value for name, value in one.items() if name not in ("second", "outcome", "duration_s")}
        row |= {"time": START + timedelta(seconds=one["second"]), "sequence": sequence, "stream_id": 1}
        row["destination_class"] = 1
        if dataset == "enum":
            row["action"] = one["outcome"]
        else:
            row |= {"result": 1 if seconds is not None else 1 + one["outcome"], "total_ms": 1000 * (seconds or 0)}
            row["duration_ms"] = None if seconds is None else seconds * 1000
        rows.append(row)
    table = TABLES[dataset]
    connection.execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, %s::jsonb || one)).*"
        " FROM jsonb_array_elements(%s::jsonb) AS one",
        (json.dumps(filler(connection, table)), json.dumps(rows, default=str)),
    )


def filler(connection: Connection, table: str) -> dict[str, Any]:
    """A value for each column that must have one."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull",
        (table,),
    ).fetchall()
    return {name: "" if kind == "text" else START.isoformat() if "time" in kind else 0 for name, kind in rows}


@pytest.fixture
def filled(database: Database) -> Database:
    with database.connection() as connection:
        for name in TABLES.values():
            ensure_between(connection, name, START, END, START)
    return database


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])
@given(wanted=st.lists(definitions(), min_size=12, max_size=12), calls=st.lists(call, min_size=60, max_size=80))
def test_windows_and_sql_agree(filled: Database, wanted: list[Definition], calls: list[dict[str, Any]]) -> None:
    with filled.connection() as connection:
        for dataset in TABLES:
            store_calls(connection, dataset, calls)
        expected = [by_sql(connection, definition) for definition in wanted]
    with columnar_reader(filled.url) as reader:
        batches = {
            dataset: [as_stream(batch) for _, batch in read_period(reader, dataset, START, END)] for dataset in TABLES
        }
    for definition, of_sql in zip(wanted, expected, strict=True):
        found = by_windows(definition, batches[definition.dataset])
        if definition.measure.kind == "concurrency":
            assert {key: at[0] for key, at in found.items()} == {key: at[0] for key, at in of_sql.items()}, definition
        elif definition.measure.kind in ("share", "duration_mean"):
            # Of calls of the same moment windows see one after the other, and may be beyond before the last.
            assert not [key for key in of_sql if key not in found], definition
        else:
            assert found == of_sql, definition


def by_sql(connection: Connection, definition: Definition) -> dict[tuple[int, int], list[int]]:
    """Key → when each of its episodes begins."""
    found: dict[tuple[int, int], list[int]] = {}
    last: dict[tuple[int, int], int] = {}
    for first, second, at, _ in connection.execute(crossings_sql(definition, AROUND, START, END)):
        key, at_us = (int(first), int(second)), microseconds(at)
        if key not in last or at_us > last[key] + definition.cool_down_s * 1_000_000:
            found.setdefault(key, []).append(at_us)
        last[key] = at_us
    return found


def by_windows(definition: Definition, streams: list[bytes]) -> dict[tuple[int, int], list[int]]:
    """The same, by the windows."""
    windows = Windows(specification([definition], AROUND, (START, END)), 1000, 1)
    found: dict[tuple[int, int], list[int]] = {}
    for stream in streams:
        for crossing in (Crossing(*one) for one in windows.feed(definition.dataset, stream, microseconds(END))):
            if crossing.is_new:
                found.setdefault(crossing.key, []).append(crossing.at_us)
    return found
