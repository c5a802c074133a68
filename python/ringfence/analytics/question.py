"""A question to analytics and its answer: dataset, view, grouping, device, filters, time.

API, CLI and console build an `AnalyticsQuery`; `views` answers it. `Asked` is the question once names are looked up and
the period is cut: what each view works on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeAlias

import psycopg

from ringfence.analytics.buckets import Buckets
from ringfence.analytics.filters import EventFilter
from ringfence.storage.rollups import ALWAYS, KeptSince
from ringfence.vocabulary import Action, CallResult, Dataset

MAX_LIMIT = 1000

Row: TypeAlias = tuple[Any, ...]

TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}
# How calls come out, in the order that people look for.
OUTCOMES: dict[Dataset, tuple[Action, ...] | tuple[CallResult, ...]] = {
    Dataset.ENUM: (Action.ALLOW, Action.TERMINATE, Action.REDIRECT, Action.NONE),
    Dataset.SIP: (
        CallResult.ANSWERED,
        CallResult.BUSY,
        CallResult.NO_ANSWER,
        CallResult.CANCELLED,
        CallResult.NOT_FOUND,
        CallResult.REJECTED,
        CallResult.REDIRECTED,
        CallResult.UNAUTHORIZED,
        CallResult.FAILED,
        CallResult.UNFINISHED,
    ),
}


@dataclass(frozen=True)
class AnalyticsQuery:
    """One question. [start, end) is widened to whole minutes (seconds, by second); `device` None: all; `zone` cuts
    hours, days and weeks; `limit` is the ranks of each bucket in a top view."""

    dataset: Dataset
    view: str
    grouping: str
    device: str | None
    start: datetime
    end: datetime
    limit: int = 10
    zone: str = "UTC"
    filter: EventFilter = field(default_factory=EventFilter)


@dataclass(frozen=True)
class Asked:
    """A question on its way. `devices` None: all; else those of the device and the site that were asked for.

    `kept` says from when on counts are whole; `lost` gathers the days whose calls had to be counted and are gone.
    """

    connection: psycopg.Connection
    query: AnalyticsQuery
    buckets: Buckets
    devices: list[int] | None
    now: datetime
    kept: KeptSince = ALWAYS
    lost: set[date] = field(default_factory=set)


@dataclass(frozen=True)
class View:
    """What can be asked. `columns` are those of the first of its datasets; others' come from `columns_of`.

    `chart` says how it reads best: `line` (one figure over time), `stack` (parts of a whole over time, in columns),
    `parts` (the same with a row for each part), `ranks` (a row for each rank), `table`.
    `rollup_filters` are the filters that it answers from counts that are kept, beside device and site; with others, and
    by second, it counts the calls themselves: as exact, not as fast.
    """

    id: str
    title: str
    unit: str
    columns: tuple[str, ...]
    fetch: Callable[[Asked], list[Row]]
    chart: str = "line"
    datasets: tuple[Dataset, ...] = (Dataset.ENUM, Dataset.SIP)
    rollup_filters: frozenset[str] = frozenset()
    has_outcomes: bool = False

    def columns_of(self, dataset: Dataset) -> tuple[str, ...]:
        """The columns for a dataset: ENUM queries come out as actions, SIP calls as results."""
        if not self.has_outcomes:
            return self.columns
        return ("time", "calls", *(outcome.word for outcome in OUTCOMES[dataset]))
