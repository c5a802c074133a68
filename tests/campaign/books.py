"""What must hold when a run is over, one function a promise: each says how it was broken, or None. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.campaign.callers import Call

# So many cases are shown of a broken promise.
SHOWN = 5
# An event: which device recorded it, and the number that was called.
Key = tuple[str, int]


class BrokenPromiseError(AssertionError):
    """Which one, and what was seen."""


@dataclass(frozen=True)
class Stream:
    """What a database says of a device's stream, and how many rows it has of it."""

    device: str
    stream_id: int
    last_sequence: int
    rows: int
    lost: int


def unanswered(calls: Iterable[Call], has_lived: Callable[[str, float, float], bool]) -> str | None:
    """No call stays unanswered while any ENUM server lived (`has_lived` of a name, throughout a time)."""
    for call in calls:
        if call.answered_by is None:
            for attempt in call.attempts:
                if has_lived(attempt.server, attempt.began_s, attempt.ended_s):
                    waited_s = attempt.ended_s - attempt.began_s
                    return f"{attempt.server} lived and did not answer in {waited_s:.2f} s: call {call}"
    return None


def missing(calls: Iterable[Call], stored: Mapping[Key, int]) -> set[Key]:
    """Answered queries that are not stored yet."""
    return {(call.answered_by, call.number) for call in calls if call.answered_by} - stored.keys()


def surplus(calls: Iterable[Call], stored: Counter[Key]) -> str | None:
    """No event is stored twice, and none of a number that was called elsewhere only."""
    if doubled := {key for key, count in stored.items() if count > 1}:
        return f"stored more than once: {some(doubled)}"
    asked = {(attempt.server, call.number) for call in calls for attempt in call.attempts}
    called = {number for _, number in asked}
    if invented := {key for key in stored.keys() - asked if key[1] in called}:
        return f"stored, and never asked: {some(invented)}"
    return None


def gaps(streams: Iterable[Stream]) -> str | None:
    """Every stream has a row for each of its sequences, and counts none as lost."""
    wrong = [stream for stream in streams if stream.last_sequence != stream.rows or stream.lost]
    return f"streams with a gap: {wrong}" if wrong else None


def went_back(log: Iterable[Mapping[str, Any]], pair_at: Mapping[str, str], holders: Mapping[int, str]) -> str | None:
    """By its log an edge went to no lower term, and gave events to none but the holder of the highest that it knew.

    `pair_at`: the pair behind each address; `holders`: which pair took each epoch.
    """
    highest = 1
    for line in log:
        if line.get("event") == "term.seen":
            if int(line["epoch"]) < highest:
                return f"from epoch {highest} to {line['epoch']}: {line}"
            highest = int(line["epoch"])
        if line.get("event") == "uplink.connected" and pair_at[line["mediation"]] != holders[highest]:
            return (
                f"epoch {highest} of {holders[highest]} was known, events went to {pair_at[line['mediation']]}: {line}"
            )
    return None


def some(keys: set[Key]) -> str:
    """The first of them."""
    ordered = [f"{name} {number}" for name, number in sorted(keys)]
    return ", ".join(ordered[:SHOWN]) + (f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else "")
