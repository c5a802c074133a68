"""Containment, decided: which numbers of a firing go on which list, and which a cap holds back and why. Pure.

Reports are cheap, a wrong block is not: whatever speaks against an entry wins, and is said. The order of the reasons is
the order in which an engineer would want to know them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ringfence.detection.definition import Contain

Side = Literal["source", "destination"]
# Fewer calls than this in the hour before are no share of anything.
MIN_CALLS_OF_SHARE = 10


class Cap(StrEnum):
    """Why a number was not listed; a sentence of an alert."""

    ALL_STOP = "all containment is stopped"
    PROTECTED = "an emergency number or another protected number"
    OWN = "an own number"
    ALLOWED = "on an allow list"
    NEVER = "excepted by the definition"
    RELEASED = "released by a person during this attack"
    SHARE = "too many of the site's usual calls"
    ENTRIES = "the firing's limit of entries is reached"
    RATE = "the limit of new entries a minute is reached"
    LIST = "the list does not take it"


@dataclass(frozen=True)
class Candidate:
    """A number that would go on a list."""

    list: str
    pattern: str
    side: Side


@dataclass(frozen=True)
class Standing:
    """What is known of a candidate. `share` of the site's calls in the hour before, of `calls` calls."""

    is_protected: bool = False
    is_own: bool = False
    is_allowed: bool = False
    is_excepted: bool = False
    is_released: bool = False
    is_listed: bool = False
    calls: int = 0
    share: float = 0.0


@dataclass(frozen=True)
class Room:
    """How much may be listed: whether anything, and how many were, of this firing and in the minute before."""

    is_stopped: bool
    of_firing: int
    in_minute: int


@dataclass(frozen=True)
class HeldBack:
    """A number that was not listed, and why."""

    pattern: str
    why: str


@dataclass(frozen=True)
class Listed:
    """An entry that was made."""

    list: str
    pattern: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Plan:
    """What is to be listed, what is listed already, what is held back."""

    listings: tuple[Candidate, ...]
    known: tuple[Candidate, ...]
    held_back: tuple[tuple[Candidate, Cap], ...]


def candidates(contain: Contain, key: Mapping[str, str], numbers: Sequence[str]) -> list[Candidate]:
    """What a firing has to list: its key's numbers, and callers that were seen; the called number first."""
    found = []
    if contain.destinations is not None and "destination" in key:
        found.append(Candidate(contain.destinations, key["destination"], "destination"))
    if contain.sources is not None:
        callers = [key["source"]] if "source" in key else list(numbers)
        if "source_prefix" in key:
            callers = [f"{key['source_prefix']}*"]
        found.extend(Candidate(contain.sources, one, "source") for one in callers)
    return found


def decide(contain: Contain, wanted: Sequence[Candidate], standings: Mapping[Candidate, Standing], room: Room) -> Plan:
    """List what nothing speaks against, in the order given, while there is room."""
    listings: list[Candidate] = []
    known: list[Candidate] = []
    held_back: list[tuple[Candidate, Cap]] = []
    for one in wanted:
        standing = standings.get(one, Standing())
        if (cap := _against(contain, one, standing, room)) is not None:
            held_back.append((one, cap))
        elif standing.is_listed:
            known.append(one)
        elif room.of_firing + len(listings) >= contain.max_entries:
            held_back.append((one, Cap.ENTRIES))
        elif room.in_minute + len(listings) >= contain.max_per_minute:
            held_back.append((one, Cap.RATE))
        else:
            listings.append(one)
    return Plan(tuple(listings), tuple(known), tuple(held_back))


def _against(contain: Contain, one: Candidate, standing: Standing, room: Room) -> Cap | None:
    # An own number is listed only as the one under attack, which is what `destinations` is for.
    against = (
        (room.is_stopped, Cap.ALL_STOP),
        (standing.is_protected, Cap.PROTECTED),
        (standing.is_own and one.side == "source", Cap.OWN),
        (standing.is_allowed, Cap.ALLOWED),
        (standing.is_excepted, Cap.NEVER),
        (standing.is_released, Cap.RELEASED),
        (standing.calls >= MIN_CALLS_OF_SHARE and standing.share > contain.max_share, Cap.SHARE),
    )
    return next((cap for speaks, cap in against if speaks), None)
