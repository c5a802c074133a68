"""Compares the books of a healed world: what callers saw, what the active pair stored, what all say of terms."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import psycopg
from tests.campaign import books
from tests.campaign.books import BrokenPromiseError, Key, Stream
from tests.campaign.callers import Call
from tests.campaign.pair import Pair
from tests.campaign.world import World

from ringfence.database.cluster import embedded_url

ARRIVE_S = 120.0


def audit(world: World, calls: list[Call]) -> int:
    """BrokenPromiseError says which promise did not hold; else how many events the active pair has.

    `calls` are those of the last run; of events those of all runs are looked at.
    """
    _hold("no query unanswered", books.unanswered(calls, lambda name, *span: world.servers[name].lived(*span)))
    stored = _stored_when_all_have_come(world)
    _hold("no event doubled", books.surplus(world.callers.calls, stored))
    _hold("no event lost", books.gaps(_streams(world.active)))
    for name, server in world.servers.items():
        pair_at = {line.url: pair for pair, line in server.lines.items()}
        _hold(f"terms never go back ({name})", books.went_back(server.said(), pair_at, world.holders))
    _hold("one pair is active", _who_else_is_active(world))
    return sum(stored.values())


def _hold(promise: str, broken: str | None) -> None:
    if broken is not None:
        raise BrokenPromiseError(f"{promise}: {broken}")


def _stored_when_all_have_come(world: World) -> Counter[Key]:
    give_up = time.monotonic() + ARRIVE_S
    while missing := books.missing(world.callers.calls, stored := _stored(world.active)):
        if time.monotonic() > give_up:
            raise BrokenPromiseError(
                f"no event lost: {len(missing)} answered queries are not stored at {world.active.name} "
                f"{ARRIVE_S:.0f} s after healing: {books.some(missing)}; {_streams(world.active)}"
            )
        time.sleep(0.2)
    return stored


def _who_else_is_active(world: World) -> str | None:
    if world.wrong_answers:
        return world.wrong_answers[0]
    epoch = world.epoch(world.active)
    if epoch != max(world.holders) or world.holders[epoch] != world.active.name:
        return f"{world.active.name} has epoch {epoch}, taken were {world.holders}"
    status, text = world.standby.answer()
    return f"{world.standby.name} takes work beside {world.active.name}: {text}" if status == 200 else None


def _stored(pair: Pair) -> Counter[Key]:
    """How often each event is stored."""
    query = "SELECT d.name, e.destination, count(*) FROM enum_event e JOIN device d USING (device_id) GROUP BY 1, 2"
    return Counter({(name, int(destination)): count for name, destination, count in _rows(pair, query)})


def _streams(pair: Pair) -> list[Stream]:
    query = """
        SELECT d.name, s.stream_id, s.last_sequence,
               (SELECT count(*) FROM enum_event e WHERE e.stream_id = s.stream_id), s.lost
        FROM device_stream s JOIN device d USING (device_id) ORDER BY 1, 2
    """
    return [Stream(*row) for row in _rows(pair, query)]


def _rows(pair: Pair, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded_url(pair.data), options="-c search_path=ringfence") as connection:
        return connection.execute(query.encode()).fetchall()
