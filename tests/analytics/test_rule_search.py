"""A search by rule passes over hours without a call of it, and finds what one that reads every hour would."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.analytics.conftest import AddCalls, AddRule
from tests.ingest.samples import NOON

from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.analytics.rule_hours import hours_without
from ringfence.database.connection import Database
from ringfence.database.sight import FULL, Sight, seeing
from ringfence.mediation.ingest.closing import close_hours
from ringfence.vocabulary import Dataset

NOW = NOON + timedelta(hours=10, minutes=30)
DAWN = NOON - timedelta(hours=30)
_FORGOTTEN = (
    "DELETE FROM hour_total WHERE hour = %s",
    "DELETE FROM hour_part WHERE hour = %s",
    "DELETE FROM part_hour WHERE hour = %s",
)


def found(database: Database, sight: Sight, **wanted: Any) -> list[tuple[datetime, int, int, str | None]]:
    with seeing(sight), database.connection() as connection:
        calls = find_calls(connection, CallFilter(**{"limit": 10_000, **wanted}), now=NOW)
    return [(call.time, call.stream, call.sequence, call.rule) for call in calls]  # type: ignore[union-attr]


def passed_over(database: Database, rule: str) -> list[datetime]:
    with database.connection() as connection:
        return hours_without(connection, rule, DAWN - timedelta(days=1), NOW + timedelta(days=1))


def one_site(database: Database, device: str) -> Sight:
    """Sees this device alone."""
    with database.connection() as connection:
        row = connection.execute("INSERT INTO site (name, country) VALUES ('apart', 'US') RETURNING site_id").fetchone()
        assert row is not None
        connection.execute("UPDATE device SET site_id = %s WHERE name = %s", [row[0], device])
    return Sight(frozenset((row[0],)))


def check(database: Database, rules: dict[str, int], sights: tuple[Sight, ...], draw: random.Random) -> None:
    """Every rule, seen by everyone, whole and in pieces."""
    start = DAWN + timedelta(minutes=draw.randrange(2000))
    pieces: tuple[dict[str, Any], ...] = (
        {},
        {"limit": 2},
        {"start": start, "end": start + timedelta(minutes=draw.randrange(600))},
        {"device": "enum-2"},
    )
    for sight in sights:
        for piece in pieces:
            every = found(database, sight, **{**piece, "limit": 10_000})
            for rule in rules:
                expected = [call for call in every if call[3] == rule][: piece.get("limit")]
                assert found(database, sight, rule=rule, **piece) == expected, (rule, piece, sight)


def test_it_finds_what_a_search_of_every_hour_finds(database: Database, add_calls: AddCalls, add_rule: AddRule) -> None:
    draw = random.Random(11)
    rules = {name: add_rule(name) for name in ("often", "seldom", "never")}

    def add(hours: int, ids: Callable[[], int]) -> None:
        for device in ("enum-1", "enum-2"):
            times = [DAWN + timedelta(minutes=draw.randrange(60 * hours)) for _ in range(40)]
            add_calls([{"time": time, "rule_id": ids()} for time in times], device)

    add(40, lambda: draw.choice([0, 0, rules["often"]]))
    sights = (FULL, one_site(database, "enum-2"))
    check(database, rules, sights, draw)
    assert len(passed_over(database, "never")) > 30
    while close_hours(database, NOW):
        pass
    check(database, rules, sights, draw)
    # Late batches: hours that are closed get calls of a rule that they did not have.
    add(36, lambda: draw.choice([0] * 9 + [rules["seldom"]]))
    check(database, rules, sights, draw)
    assert set(passed_over(database, "seldom")) < set(passed_over(database, "never"))
    while close_hours(database, NOW):
        pass
    # Hours without counts prove nothing: they are read.
    some = passed_over(database, "often")[:2] + [DAWN + timedelta(hours=hour) for hour in (1, 5, 9)]
    with database.connection() as connection:
        for hour in some:
            for statement in _FORGOTTEN:
                connection.execute(statement.encode(), [hour])
    assert not set(some) & set(passed_over(database, "often"))
    check(database, rules, sights, draw)


def test_a_search_reads_no_more_than_the_hours_that_are_left(
    database: Database, add_calls: AddCalls, add_rule: AddRule
) -> None:
    rule = add_rule("once")
    add_calls([{"time": DAWN + timedelta(hours=hour), "rule_id": rule if hour == 3 else 0} for hour in range(30)])
    hours = passed_over(database, "once")
    assert sorted(hours) == [DAWN + timedelta(hours=hour) for hour in range(30) if hour != 3]
    assert len(passed_over(database, "unheard-of")) == 30
    with database.connection() as connection:
        assert sorted(hours_without(connection, "once", DAWN + timedelta(hours=2), DAWN + timedelta(hours=5))) == [
            DAWN + timedelta(hours=2), DAWN + timedelta(hours=4)
        ]  # fmt: skip
        # As if the hours had only now been archived and let go: no count of before is believed.
        connection.execute(
            "INSERT INTO setting (key, value, changed_at) VALUES ('storage.rollups_since', %s, now())",
            [f'{{"minutes": "{NOON.isoformat()}", "hours": "{NOON.isoformat()}"}}'],
        )
    assert all(hour >= NOON for hour in passed_over(database, "once"))
    assert [call[3] for call in found(database, FULL, rule="once", dataset=Dataset.ENUM)] == ["once"]
