"""The call log reaches back into the archive: the same calls, in the same order, by the same filters and pages."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.storage.conftest import NOW, Make, days, fill

from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.database.connection import Database
from ringfence.vocabulary import Action, Dataset, Part

FILTERS: list[dict[str, Any]] = [
    {},
    {"dataset": Dataset.SIP},
    {"number": "+12105550003"},
    {"number": "+1*"},  # either side of each call
    {"device": "enum-2", "action": Action.TERMINATE},
    {"rule": "rule-1"},
    {"start": NOW - timedelta(days=8.5), "end": NOW - timedelta(days=5.9)},
    {"dataset": Dataset.SIP, "call_id": "call-5"},
    # Each in several ways that a call can match by, some in two at once.
    {"number": "+12105550004", "destination": "+19005550004"},
    {"source": "sip:20@example.com"},
    {"number": "anonymous"},
    {"number": "+12105550020"},
    {"rule": "rule-2", "number": "+1*"},
]

# Counts of the calls, as ingest keeps them.
COUNTED = (
    "INSERT INTO hour_total (hour, calls, device_id, dataset)"
    " SELECT date_trunc('hour', time), count(*), device_id, 1 FROM enum_event GROUP BY 1, 3",
    "INSERT INTO part_hour (hour, calls, device_id, dataset, part, direction, value)"
    " SELECT date_trunc('hour', time), count(*), device_id, 1, %s, direction, rule_id::text FROM enum_event"
    " WHERE rule_id <> 0 GROUP BY 1, 3, direction, rule_id",
)
# Text in a number's place, nothing in it, the same number on both sides, calls of a rule.
UNLIKE = """
UPDATE enum_event SET source = CASE WHEN sequence % 10 = 0 THEN 0 ELSE source END,
  source_class = CASE WHEN sequence % 20 = 10 THEN 3 ELSE 1 END,
  source_raw = CASE WHEN sequence % 20 <> 10 THEN source_raw END,
  destination = CASE WHEN sequence % 50 = 20 THEN 12105550020 ELSE destination END,
  rule_id = CASE WHEN sequence % 25 = 4 THEN (SELECT rule_id FROM policy_rule WHERE name = 'rule-2') ELSE 0 END
"""


@pytest.fixture
def named(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
        for number in (1, 2, 3):
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash) SELECT %s, 'enum', site_id, %s FROM site",
                [f"enum-{number}", bytes([number])],
            )
        for number in range(9):
            connection.execute("INSERT INTO policy_rule (name) VALUES (%s)", [f"rule-{number}"])


def find(database: Database, **wanted: Any) -> list[dict[str, Any]]:
    with database.connection() as connection:
        return [one.as_json() for one in find_calls(connection, CallFilter(**{"limit": 1000, **wanted}), now=NOW)]


@pytest.mark.usefixtures("named")
def test_every_filter_and_page_finds_the_same_calls_when_days_are_archived(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    for ago in (1, 6, 9):
        fill(database, "enum_event", ago, 60, first=ago * 1000)
        fill(database, "sip_event", ago, 60, first=ago * 1000)
    with database.connection() as connection:
        connection.execute(UNLIKE)
    before = [find(database, **wanted) for wanted in FILTERS]
    storage(tmp_path, enum={"days": 5}, sip={"days": 5}).round()
    assert days(database) == [1]
    assert [len(found) for found in before] == [180, 180, 3, 180, 90, 0, 38, 3, 3, 3, 9, 3, 9]
    assert [find(database, **wanted) for wanted in FILTERS] == before
    with database.connection() as connection:
        for statement in COUNTED:
            connection.execute(statement.encode(), [int(Part.RULE)] if "%s" in statement else [])
    assert [find(database, **wanted) for wanted in FILTERS] == before
    pages: list[dict[str, Any]] = []
    with database.connection() as connection:
        wanted = CallFilter(limit=77)
        while page := find_calls(connection, wanted, now=NOW):
            pages += [call.as_json() for call in page]
            wanted = CallFilter(limit=77, before=page[-1].cursor)
    assert pages == before[0]
