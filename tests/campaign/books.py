"""What must hold when a run is over: the promises that the campaign looks at, with the evidence when one is broken."""

from __future__ import annotations

import time
from collections import Counter

import psycopg
from tests.campaign.callers import Call
from tests.campaign.pair import Pair
from tests.campaign.world import World

from ringfence.database.cluster import embedded_url

ARRIVE_S = 120.0
# So many cases are shown of a broken promise.
SHOWN = 5


class BrokenPromiseError(AssertionError):
    """Which one, and what was seen."""


Key = tuple[str, int]


def check_answers(world: World, calls: list[Call]) -> None:
    """No call stays unanswered while any ENUM server lived: running and not paused."""
    for call in calls:
        for attempt in call.attempts:
            lived = world.servers[attempt.server].lived_from_to(attempt.began_s, attempt.ended_s)
            if call.answered_by is None and lived:
                waited_s = attempt.ended_s - attempt.began_s
                raise BrokenPromiseError(
                    f"call {call.number} was not answered by {attempt.server} in {waited_s:.2f} s, though it lived"
                )


def check_events(world: World) -> int:
    """Each answered query, ever, is stored once at the active pair, nothing twice, nothing that nobody asked.

    How many events there are.
    """
    answered = {(call.answered_by, call.number) for call in world.callers.calls if call.answered_by}
    asked = {(attempt.server, call.number) for call in world.callers.calls for attempt in call.attempts}
    give_up = time.monotonic() + ARRIVE_S
    while True:
        stored = _stored(world.active)
        missing = answered - stored.keys()
        if not missing:
            break
        if time.monotonic() > give_up:
            raise BrokenPromiseError(
                f"{len(missing)} of {len(answered)} answered queries are not stored at {world.active.name} "
                f"{ARRIVE_S:.0f} s after healing: {_some(missing)}; streams {_streams(world.active)}"
            )
        time.sleep(0.2)
    if doubled := {key for key, count in stored.items() if count > 1}:
        raise BrokenPromiseError(f"stored more than once at {world.active.name}: {_some(doubled)}")
    called = {number for _, number in asked}
    if invented := {key for key in stored.keys() - asked if key[1] in called}:
        raise BrokenPromiseError(f"stored, and never asked: {_some(invented)}")
    wrong = [stream for stream in _streams(world.active) if stream[2] != stream[3] or stream[4]]
    if wrong:
        raise BrokenPromiseError(f"streams with a gap (device, stream, last sequence, rows, lost): {wrong}")
    return sum(stored.values())


def check_terms(world: World) -> None:
    """No edge went back to a lower term, or gave its events to another pair than the holder of the highest it knew."""
    if world.wrong_answers:
        raise BrokenPromiseError(world.wrong_answers[0])
    for name, server in world.servers.items():
        pair_of = {line.url: pair for pair, line in server.lines.items()}
        highest = 1
        for line in server.said():
            if line.get("event") == "term.seen":
                if int(line["epoch"]) < highest:
                    raise BrokenPromiseError(f"{name} went back from term {highest} to {line['epoch']}: {line}")
                highest = int(line["epoch"])
            if line.get("event") == "uplink.connected" and pair_of[line["mediation"]] != world.holders[highest]:
                raise BrokenPromiseError(
                    f"{name} knew term {highest} of {world.holders[highest]} and gave events to "
                    f"{pair_of[line['mediation']]}: {line}"
                )
    active, standby = world.epoch(world.active), world.standby
    if active != max(world.holders) or world.holders[active] != world.active.name:
        raise BrokenPromiseError(f"{world.active.name} has epoch {active}, taken were {world.holders}")
    if standby.answer()[0] == 200:
        raise BrokenPromiseError(f"{standby.name} takes work beside {world.active.name}: {standby.answer()}")


def _stored(pair: Pair) -> Counter[Key]:
    """How often each (device, destination) is stored."""
    rows = _rows(
        pair,
        """
        SELECT d.name, e.destination, count(*) FROM enum_event e JOIN device d USING (device_id) GROUP BY 1, 2
        """,
    )
    return Counter({(str(name), int(destination)): int(count) for name, destination, count in rows})


def _streams(pair: Pair) -> list[tuple[object, ...]]:
    """Device, stream, its last sequence, how many rows there are, events counted as lost."""
    return _rows(
        pair,
        """
        SELECT d.name, s.stream_id, s.last_sequence,
               (SELECT count(*) FROM enum_event e WHERE e.stream_id = s.stream_id), s.lost
        FROM device_stream s JOIN device d USING (device_id) ORDER BY 1, 2
        """,
    )


def _rows(pair: Pair, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(embedded_url(pair.data), options="-c search_path=ringfence") as connection:
        return connection.execute(query.encode()).fetchall()


def _some(keys: set[Key] | set[tuple[str | None, int]]) -> str:
    ordered = sorted(f"{name} {number}" for name, number in keys)
    return ", ".join(ordered[:SHOWN]) + (f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else "")
