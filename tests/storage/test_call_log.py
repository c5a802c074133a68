"""The call log reaches back into the archive: the same calls, in the same order, by the same filters and pages."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.storage.conftest import NOW, Make, days, fill

from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.database.connection import Database
from ringfence.vocabulary import Action, Dataset

FILTERS: list[dict[str, Any]] = [
    {},
    {"dataset": Dataset.SIP},
    {"number": "+12105550003"},
    {"number": "+1*"},  # either side of each call
    {"device": "enum-2", "action": Action.TERMINATE},
    {"rule": "rule-1"},
    {"start": NOW - timedelta(days=8.5), "end": NOW - timedelta(days=5.9)},
    {"dataset": Dataset.SIP, "call_id": "call-5"},
]


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
    before = [find(database, **wanted) for wanted in FILTERS]
    storage(tmp_path, enum={"days": 5}, sip={"days": 5}).round()
    assert days(database) == [1]
    assert [len(found) for found in before] == [180, 180, 3, 180, 90, 0, 38, 3]
    assert [find(database, **wanted) for wanted in FILTERS] == before
    pages: list[dict[str, Any]] = []
    with database.connection() as connection:
        wanted = CallFilter(limit=77)
        while page := find_calls(connection, wanted, now=NOW):
            pages += [call.as_json() for call in page]
            wanted = CallFilter(limit=77, before=page[-1].cursor)
    assert pages == before[0]
