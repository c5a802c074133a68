"""Answers of analytics as they would come, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence.analytics.views import VIEWS, AnalyticsQuery, AnalyticsResult
from ringfence.vocabulary import Dataset

START = datetime(2026, 11, 27, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = "<script>alert(1)</script>#panic[x] & 'it'\x1b[2J"


def answer(
    view: str, rows: list[tuple[Any, ...]], grouping: str = "hour", dataset: Dataset = Dataset.ENUM
) -> AnalyticsResult:
    """A day's answer in Chicago's hours."""
    query = AnalyticsQuery(dataset, view, grouping, None, START, START + 24 * HOUR, zone="America/Chicago")
    return AnalyticsResult(query, VIEWS[view].columns_of(dataset), rows)


def calls_by_hour() -> AnalyticsResult:
    """Allowed, terminated and redirected calls over 24 hours."""
    return answer("calls", [(START + hour * HOUR, 1203 + hour, 1200, hour, 3, 0) for hour in range(24)])


def top_sources(buckets: int = 1) -> AnalyticsResult:
    """Ranks, one of them a stranger's text."""
    names = (HOSTILE, *(f"+1210555{number:04}" for number in range(11)))
    return answer(
        "top_source",
        [
            (START + bucket * HOUR, rank, name, 1000 - 50 * rank)
            for bucket in range(buckets)
            for rank, name in enumerate(names, start=1)
        ],
        "hour" if buckets > 1 else "period",
    )
