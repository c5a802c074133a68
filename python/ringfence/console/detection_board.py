"""What the pages of detections show, read in one transaction; values, so that a page knows when nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from ringfence.detection import episodes, store
from ringfence.detection.episodes import Episode
from ringfence.detection.store import AllStop, Detection
from ringfence.detection.summary import Summary, summaries

FIRINGS_SHOWN = 50


@dataclass(frozen=True)
class Row:
    """A detection in the list."""

    detection: Detection
    summary: Summary

    @property
    def mode(self) -> str:
        """`contain`, `report` or `off`."""
        deployed = self.detection.deployment
        return deployed.mode.value if deployed else "off"


@dataclass(frozen=True)
class Contained:
    """An entry that containment has on a list."""

    list: str
    pattern: str
    detection: str
    added_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Board:
    """The whole page."""

    rows: tuple[Row, ...]
    all_stop: AllStop
    contained: tuple[Contained, ...]


@dataclass(frozen=True)
class Found:
    """An attack that was found, live or in a back-test."""

    key: Mapping[str, str]
    started_at: datetime
    fired_at: datetime
    last_at: datetime
    peak: float
    threshold: float
    contained: str

    @property
    def calls_until(self) -> datetime:
        """Up to when the call log is asked for its calls."""
        return self.last_at + timedelta(seconds=1)


Firings = tuple[Found, ...]


def read_board(connection: Connection, now: datetime) -> Board:
    """All detections, the switch, what is contained."""
    known = summaries(connection, now)
    rows = tuple(Row(one, known.get(one.name, Summary())) for one in store.list_detections(connection))
    return Board(rows, store.read_all_stop(connection), read_contained(connection, now))


def read_contained(connection: Connection, now: datetime) -> tuple[Contained, ...]:
    """Each entry once, the newest first, with its newest end."""
    found: dict[tuple[str, str], Contained] = {}
    for one in episodes.acting_listings(connection, now):
        entry = Contained(
            one["list"], one["pattern"], one["detection"], _moment(one["added_at"]), _moment(one["expires_at"])
        )
        before = found.get((entry.list, entry.pattern))
        if before is None or before.expires_at < entry.expires_at:
            found[entry.list, entry.pattern] = entry
    return tuple(found.values())


def read_firings(connection: Connection, name: str) -> Firings:
    """The newest attacks that a detection has found."""
    return tuple(_found(one) for one in episodes.list_episodes(connection, name, FIRINGS_SHOWN))


def _found(one: Episode) -> Found:
    words = [f"{one.listed} listed"] if one.listed else []
    words += [f"{count} held back: {cap}" for cap, count in one.held_back.items()]
    return Found(one.key, one.started_at, one.fired_at, one.last_at, one.peak, one.threshold, "; ".join(words))


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value)
