"""Views: calls counted over time, by dataset, grouping and device.

`average_cps` and `calls` read the counts per minute that ingest keeps in the same transaction as the rows; the top-N
views read the rows themselves and are exact. Both see the same committed state, so a view always equals a plain
`count(*)` over the same whole minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from ringfence.analytics.buckets import GROUPINGS, QUERY_TIMEOUT_S, Buckets, cut_period, time_limit
from ringfence.analytics.words import number_text, one_of
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.vocabulary import Action, CallResult, Dataset

__all__ = ["GROUPINGS", "MAX_LIMIT", "VIEWS", "AnalyticsQuery", "AnalyticsResult", "View", "run_query"]

MAX_LIMIT = 1000

Row = tuple[Any, ...]


@dataclass(frozen=True)
class AnalyticsQuery:
    """One question. [start, end) is widened to whole minutes; `device` None: all; `zone` cuts hours and days."""

    dataset: Dataset
    view: str
    grouping: str
    device: str | None
    start: datetime
    end: datetime
    limit: int = 10
    zone: str = "UTC"


@dataclass(frozen=True)
class AnalyticsResult:
    """The answer; `query` carries the period as it was widened, the first column is the bucket's start (UTC)."""

    query: AnalyticsQuery
    columns: tuple[str, ...]
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        query = self.query
        return {
            "dataset": query.dataset.word,
            "view": query.view,
            "unit": VIEWS[query.view].unit,
            "grouping": query.grouping,
            "device": query.device,
            "zone": query.zone,
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "columns": list(self.columns),
            "rows": [[row[0].isoformat(), *row[1:]] for row in self.rows],
        }


@dataclass(frozen=True)
class View:
    """What a view is called, what its figures are counted in, and its columns.

    `columns` are those of dataset ENUM; another dataset's come from `columns_of`.
    """

    id: str
    title: str
    unit: str
    columns: tuple[str, ...]
    fetch: Callable[[psycopg.Connection, AnalyticsQuery, Buckets, datetime], list[Row]]
    has_outcomes: bool = False

    def columns_of(self, dataset: Dataset) -> tuple[str, ...]:
        """The columns for a dataset: ENUM queries come out as actions, SIP calls as results."""
        if not self.has_outcomes:
            return self.columns
        return ("time", "calls", *(outcome.word for outcome in OUTCOMES[dataset]))


_DATASETS = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}
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

_DEVICE = "SELECT device_id FROM device WHERE name = %s"

_COUNTS = """
SELECT width_bucket(minute, %(bounds)s::timestamptz[]) AS bucket, action, sum(calls)::bigint
FROM call_minute
WHERE dataset = %(dataset)s AND minute >= %(start)s AND minute < %(end)s
  AND (%(device_id)s::smallint IS NULL OR device_id = %(device_id)s)
GROUP BY bucket, action
"""

# Not a number: the raw text stands for it, or the word of its class where there is none.
_TOP = """
WITH counted AS (
    SELECT width_bucket(time, %(bounds)s::timestamptz[]) AS bucket, {number} AS number,
           CASE WHEN {number} = 0 THEN {raw} END AS raw,
           CASE WHEN {number} = 0 AND {raw} IS NULL THEN {class} END AS class, count(*) AS calls
    FROM {table}
    WHERE time >= %(start)s AND time < %(end)s AND (%(device_id)s::smallint IS NULL OR device_id = %(device_id)s)
    GROUP BY 1, 2, 3, 4
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY bucket ORDER BY calls DESC, number, raw, class) AS rank FROM counted
)
SELECT bucket, rank, number, raw, class, calls FROM ranked WHERE rank <= %(limit)s ORDER BY bucket, rank
"""


def run_query(
    connection: psycopg.Connection,
    query: AnalyticsQuery,
    *,
    now: datetime | None = None,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> AnalyticsResult:
    """Answer a query. InvalidInputError, NotFoundError (device), UnavailableError (timed out)."""
    view = VIEWS[one_of("view", query.view, tuple(VIEWS))]
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit: {query.limit} must be from 1 to {MAX_LIMIT}")
    with time_limit(connection, timeout_s):
        buckets = cut_period(connection, query.grouping, query.zone, query.start, query.end)
        rows = view.fetch(connection, query, buckets, now or datetime.now(UTC))
    columns = view.columns_of(query.dataset)
    return AnalyticsResult(replace(query, start=buckets.start, end=buckets.end), columns, rows)


def _fetch_calls(connection: psycopg.Connection, query: AnalyticsQuery, buckets: Buckets, _now: datetime) -> list[Row]:
    """(bucket start, calls, and of these how many came out in each way)."""
    counts = _count(connection, query, buckets)
    outcomes = OUTCOMES[query.dataset]
    return [
        (bound, sum(by_outcome.values()), *(by_outcome.get(int(outcome), 0) for outcome in outcomes))
        for bound, by_outcome in zip(buckets.bounds, counts, strict=True)
    ]


def _fetch_average_cps(
    connection: psycopg.Connection, query: AnalyticsQuery, buckets: Buckets, now: datetime
) -> list[Row]:
    """(bucket start, calls, calls per second of the part of the bucket that has passed)."""
    counts = _count(connection, query, buckets)
    return [
        (bound, calls := sum(counts[index].values()), calls / buckets.seconds(index, now))
        for index, bound in enumerate(buckets.bounds)
    ]


def _count(connection: psycopg.Connection, query: AnalyticsQuery, buckets: Buckets) -> list[dict[int, int]]:
    """Calls by outcome of each bucket, in order; buckets without a call are there, empty."""
    counts: list[dict[int, int]] = [{} for _ in buckets.bounds]
    values = {**_values(connection, query, buckets), "dataset": int(query.dataset)}
    for bucket, outcome, calls in connection.execute(_COUNTS, values):
        counts[bucket - 1][outcome] = calls
    return counts


def _fetch_top(side: str) -> Callable[[psycopg.Connection, AnalyticsQuery, Buckets, datetime], list[Row]]:
    def fetch(connection: psycopg.Connection, query: AnalyticsQuery, buckets: Buckets, _now: datetime) -> list[Row]:
        """(bucket start, rank, number, calls); a bucket without a call has no row."""
        statement = sql.SQL(_TOP).format(
            table=sql.Identifier(_DATASETS[query.dataset]),
            number=sql.Identifier(side),
            raw=sql.Identifier(f"{side}_raw"),
            **{"class": sql.Identifier(f"{side}_class")},
        )
        values = {**_values(connection, query, buckets), "limit": query.limit}
        return [
            (buckets.bounds[bucket - 1], rank, number_text(number, raw, number_class or 0), calls)
            for bucket, rank, number, raw, number_class, calls in connection.execute(statement, values)
        ]

    return fetch


def _values(connection: psycopg.Connection, query: AnalyticsQuery, buckets: Buckets) -> dict[str, Any]:
    device_id: int | None = None
    if query.device is not None:
        row = connection.execute(_DEVICE, [query.device]).fetchone()
        if row is None:
            raise NotFoundError(f"device: there is none named {query.device!r}")
        device_id = row[0]
    return {"bounds": buckets.bounds, "start": buckets.start, "end": buckets.end, "device_id": device_id}


VIEWS = {
    view.id: view
    for view in (
        View("average_cps", "Average CPS", "calls per second", ("time", "calls", "cps"), _fetch_average_cps),
        View(
            "calls", "Calls", "calls", ("time", "calls", "allow", "terminate", "redirect", "none"), _fetch_calls, True
        ),
        View("top_source", "Top 10 Source", "calls", ("time", "rank", "source", "calls"), _fetch_top("source")),
        View(
            "top_destination",
            "Top 10 Destination",
            "calls",
            ("time", "rank", "destination", "calls"),
            _fetch_top("destination"),
        ),
    )
}
