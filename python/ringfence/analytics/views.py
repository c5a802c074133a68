"""The views of analytics: the one definition that API, CLI, console, exports and reports share.

question ─► views (looks names up, cuts the period) ─► series, values, tops, peaks, health ─► counting: SQL

What adds up is read from counts that ingest keeps in the same transaction as the calls, where the filters allow;
everything else from the calls themselves, wherever their day is: in the database or in the archive. Both are the same
committed state, so a view always equals a plain `count(*)` over the calls of its period.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ringfence.analytics import health, peaks, series, tops, values
from ringfence.analytics.buckets import GROUPINGS, QUERY_TIMEOUT_S, cut_period, time_limit
from ringfence.analytics.counting import OF_FIGURES
from ringfence.analytics.filters import FILTERS, EventFilter, filters_of
from ringfence.analytics.question import MAX_LIMIT, OUTCOMES, AnalyticsQuery, Asked, Row, View
from ringfence.analytics.words import one_of
from ringfence.database.sight import present_sight
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.storage.places import hold_days
from ringfence.storage.rollups import kept_since
from ringfence.vocabulary import Dataset

__all__ = [
    "FILTERS",
    "GROUPINGS",
    "MAX_LIMIT",
    "OUTCOMES",
    "VIEWS",
    "AnalyticsQuery",
    "AnalyticsResult",
    "EventFilter",
    "View",
    "filters_of",
    "run_query",
    "views_of",
]


@dataclass(frozen=True)
class AnalyticsResult:
    """The answer; `query` carries the period as it was widened. The first column is the bucket's start (UTC), or with
    grouping `hour_of_week` the hour, 0 for Monday from midnight to one. None is "no figure", as a share of nothing.

    `lost` are days (UTC) whose calls would have had to be counted and are gone: the figures are those of the others.
    """

    query: AnalyticsQuery
    columns: tuple[str, ...]
    rows: list[Row]
    lost: tuple[date, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        query = self.query
        return {
            "dataset": query.dataset.word,
            "view": query.view,
            "unit": VIEWS[query.view].unit,
            "grouping": query.grouping,
            "device": query.device,
            "filter": query.filter.as_json(),
            "zone": query.zone,
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "columns": list(self.columns),
            "lost_days": [day.isoformat() for day in self.lost],
            "rows": [[row[0].isoformat() if isinstance(row[0], date) else row[0], *row[1:]] for row in self.rows],
        }


_DEVICE = "SELECT device_id FROM device WHERE name = %s"
_SITE = "SELECT site_id FROM site WHERE name = %s"
_AT_SITE = "SELECT device_id FROM device WHERE site_id = %s ORDER BY device_id"


def run_query(
    connection: psycopg.Connection,
    query: AnalyticsQuery,
    *,
    now: datetime | None = None,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> AnalyticsResult:
    """Answer a query. InvalidInputError, NotFoundError (device, site), UnavailableError (timed out)."""
    view = VIEWS[one_of("view", query.view, tuple(VIEWS))]
    if query.dataset not in view.datasets:
        others = ", ".join(dataset.word for dataset in view.datasets)
        raise InvalidInputError(f"dataset: view {view.id} is of dataset {others}, not {query.dataset.word}")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit: {query.limit} must be from 1 to {MAX_LIMIT}")
    if connection.info.transaction_status is TransactionStatus.IDLE:
        # One committed state for all statements of the question, or counts and calls would differ by what came between.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with time_limit(connection, timeout_s):
        hold_days(connection)
        buckets = cut_period(connection, query.grouping, query.zone, query.start, query.end)
        kept = kept_since(connection)
        asked = Asked(connection, query, buckets, _devices(connection, query), now or datetime.now(UTC), kept)
        rows = view.fetch(asked)
    columns = view.columns_of(query.dataset)
    if query.grouping == "hour_of_week":
        columns = ("hour_of_week", *columns[1:])
    lost = tuple(sorted(asked.lost))
    return AnalyticsResult(replace(query, start=buckets.start, end=buckets.end), columns, rows, lost)


def views_of(dataset: Dataset) -> tuple[View, ...]:
    """The views that a dataset has, in the order that people look for."""
    return tuple(view for view in VIEWS.values() if dataset in view.datasets)


def _devices(connection: psycopg.Connection, query: AnalyticsQuery) -> list[int] | None:
    """The devices that are asked for; None: all."""
    device: int | None = None
    if query.device is not None:
        row = connection.execute(_DEVICE, [query.device]).fetchone()
        if row is None:
            raise NotFoundError(f"device: there is none named {query.device!r}")
        device = row[0]
    if query.filter.site is None:
        if device is None and present_sight().sites is not None:
            # What is kept of all devices together is not for who sees some.
            return [found for (found,) in connection.execute("SELECT device_id FROM device ORDER BY device_id")]
        return None if device is None else [device]
    row = connection.execute(_SITE, [query.filter.site]).fetchone()
    if row is None:
        raise NotFoundError(f"site: there is none named {query.filter.site!r}")
    at_site = [found for (found,) in connection.execute(_AT_SITE, [row[0]])]
    return at_site if device is None else [found for found in at_site if found == device]


_BOTH = (Dataset.ENUM, Dataset.SIP)
_ENUM = (Dataset.ENUM,)
_SIP = (Dataset.SIP,)

VIEWS = {
    view.id: view
    for view in (
        View(
            "average_cps",
            "Average CPS",
            "calls per second",
            ("time", "calls", "cps"),
            series.fetch_average_cps,
            rollup_filters=OF_FIGURES,
        ),
        View("peak_cps", "Peak CPS", "calls per second", ("time", "calls", "peak"), peaks.fetch_peak_cps),
        View(
            "calls",
            "Calls",
            "calls",
            ("time", "calls", "allow", "terminate", "redirect", "none"),
            series.fetch_calls,
            "stack",
            rollup_filters=OF_FIGURES,
            has_outcomes=True,
        ),
        View(
            "concurrent",
            "Concurrent calls",
            "calls in progress",
            ("time", "average", "peak"),
            peaks.fetch_concurrent,
            datasets=_SIP,
        ),
        View(
            "top_source",
            "Top 10 Source",
            "calls",
            ("time", "rank", "source", "calls"),
            tops.by_calls("source"),
            "ranks",
        ),
        View(
            "top_destination",
            "Top 10 Destination",
            "calls",
            ("time", "rank", "destination", "calls"),
            tops.by_calls("destination"),
            "ranks",
        ),
        View(
            "top_pair",
            "Top 10 Pairs",
            "calls",
            ("time", "rank", "source", "destination", "calls"),
            tops.by_calls("source", "destination"),
            "ranks",
        ),
        View(
            "countries",
            "Countries",
            "calls",
            ("time", "country", "calls"),
            values.by_value("country"),
            "parts",
            _BOTH,
            values.OF_VALUES,
        ),
        View(
            "call_types",
            "Call types",
            "calls",
            ("time", "call_type", "calls"),
            values.by_word("call_type"),
            "parts",
            _BOTH,
            OF_FIGURES,
        ),
        View(
            "directions",
            "Directions",
            "calls",
            ("time", "direction", "calls"),
            values.by_word("direction"),
            "parts",
            _BOTH,
            OF_FIGURES,
        ),
        View(
            "actions",
            "Actions",
            "calls",
            ("time", "action", "calls"),
            values.by_word("action"),
            "parts",
            _ENUM,
            OF_FIGURES,
        ),
        View(
            "results",
            "Results",
            "calls",
            ("time", "result", "calls"),
            values.by_word("result"),
            "parts",
            _SIP,
            OF_FIGURES,
        ),
        View(
            "rules",
            "Rules hit",
            "calls",
            ("time", "rule", "hits", "monitored"),
            values.fetch_rules,
            "parts",
            _ENUM,
            values.OF_VALUES,
        ),
        View(
            "asr",
            "ASR",
            "percent of calls answered",
            ("time", "calls", "answered", "asr", "ser"),
            series.by_figures(("calls", "answered", "try_again"), series.asr),
            datasets=_SIP,
            rollup_filters=OF_FIGURES,
        ),
        View(
            "ner",
            "NER",
            "percent of calls that reached the called end",
            ("time", "calls", "effective", "ner", "seer", "isa"),
            series.by_figures(("calls", "effective", "reached", "try_again", "ineffective"), series.ner),
            datasets=_SIP,
            rollup_filters=OF_FIGURES,
        ),
        View(
            "acd",
            "ACD",
            "seconds",
            ("time", "answered", "seconds", "acd"),
            series.by_figures(("answered", "duration_ms"), series.acd),
            datasets=_SIP,
            rollup_filters=OF_FIGURES,
        ),
        View(
            "pdd",
            "PDD",
            "milliseconds",
            ("time", "calls", "average_ms", "max_ms"),
            series.by_figures(("pdd_calls", "pdd_ms", "pdd_ms_max"), series.pdd),
            datasets=_SIP,
            rollup_filters=OF_FIGURES,
        ),
        View(
            "response_codes",
            "Response codes",
            "calls",
            ("time", "code", "calls"),
            values.by_value("code"),
            "parts",
            _BOTH,
            values.OF_VALUES,
        ),
        View(
            "release_side",
            "Release side",
            "calls",
            ("time", "released_by", "calls"),
            values.by_value("released_by"),
            "parts",
            _SIP,
            values.OF_VALUES,
        ),
        View(
            "quality",
            "MOS and loss",
            "MOS",
            ("time", "calls", "streams", "mos", "poor", "packets", "lost", "loss"),
            series.by_figures(("calls", "streams", "mos_100", "poor", "packets", "lost"), series.quality),
            datasets=_SIP,
            rollup_filters=OF_FIGURES,
        ),
        View(
            "codecs",
            "Codecs",
            "calls",
            ("time", "codec", "calls"),
            values.by_value("codec"),
            "parts",
            _SIP,
            values.OF_VALUES,
        ),
        View(
            "attestation",
            "Attestation",
            "calls",
            ("time", "attestation", "calls"),
            values.by_value("attestation"),
            "parts",
            _SIP,
            values.OF_VALUES,
        ),
        View(
            "latency",
            "Decision latency",
            "microseconds",
            ("time", "calls", "average_us", "p50_us", "p95_us", "p99_us", "max_us"),
            series.fetch_latency,
            datasets=_ENUM,
            rollup_filters=values.OF_VALUES,
        ),
        View(
            "device_health",
            "Device health",
            "percent of minutes heard from",
            ("time", "device", "calls", "heard", "clock_offset_ms", "unsent", "lost"),
            health.fetch_health,
            "table",
        ),
    )
}
