"""Evidence of an alert: what the call data say of the time around it, kept with the alert, for calls are kept no longer
than retention says.

What FBI and APCO ask victims of telephony denial of service to keep: call logs before and during, times, originating
numbers, call-back number (here: the number as it was presented), traffic characteristics, start and stop. Collected
right after the alert opens and, because more comes, again in growing steps until its episode is over. Bounded: it
samples calls, and says of how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.analytics.asking import parse_filter
from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.analytics.filters import filters_of
from ringfence.analytics.views import AnalyticsQuery, run_query
from ringfence.database.connection import Database
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.reading import read_alert
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.vocabulary import Dataset

FORMAT = 1
# Most calls of each part: before the first of the window; up to the one that passed the threshold; since then.
PARTS = {"before": 50, "rising": 100, "during": 100}
MAX_SOURCES, MAX_DESTINATIONS = 50, 20
TIMEOUT_S = 10.0  # of each question
_SHORTEST_LEAD, _LONGEST_LEAD = timedelta(minutes=2), timedelta(hours=1)
_TAIL = timedelta(seconds=30)
_INSTANT = timedelta(microseconds=1)
# Longest period by grouping: about six hundred points of a chart.
_GROUPINGS = (("second", timedelta(minutes=10)), ("minute", timedelta(hours=10)), ("hour", timedelta(days=25)))
_MOST_AT_ONCE = 20
log = structlog.get_logger()


def is_due(connection: Connection[Any], now: datetime) -> bool:
    """Whether any is to be collected."""
    row = connection.execute("SELECT EXISTS (SELECT FROM alert WHERE evidence_due <= %s)", [now]).fetchone()
    return bool(row and row[0])


def collect_due(database: Database, now: datetime) -> int:
    """Collect what is due, the alert that waits longest first; how many. A question that fails is evidence too."""
    with database.connection() as connection:
        query = "SELECT alert_id FROM alert WHERE evidence_due <= %s ORDER BY evidence_due LIMIT %s"
        numbers = [row[0] for row in connection.execute(query, [now, _MOST_AT_ONCE])]
    for number in numbers:
        with database.connection() as connection:
            alert = read_alert(connection, number)
        try:
            with database.connection() as connection:
                found = collect(connection, alert, now)
        except RingfenceError as error:
            log.warning("alerts.no_evidence", alert=number, error=error.message)
            found = _frame(alert, now) | {"fault": error.message}
        with database.connection() as connection:
            connection.execute(
                # What was collected once is not lost because later nothing can be.
                "UPDATE alert SET evidence = CASE WHEN %(has_fault)s AND evidence IS NOT NULL THEN evidence"
                " ELSE %(evidence)s END, evidence_due = %(due)s WHERE alert_id = %(id)s",
                {"evidence": Jsonb(found), "has_fault": "fault" in found, "due": _due_again(alert, now), "id": number},
            )
    return len(numbers)


def read_evidence(connection: Connection[Any], alert_id: int) -> dict[str, Any]:
    """What was kept. NotFoundError: no such alert, or nothing was collected yet."""
    row = connection.execute("SELECT evidence FROM alert WHERE alert_id = %s", [alert_id]).fetchone()
    if row is None:
        raise NotFoundError(f"alert {alert_id}: there is none of this number")
    if row[0] is None:
        raise NotFoundError(f"alert {alert_id}: its evidence is not collected yet, or there is none")
    evidence: dict[str, Any] = row[0]
    return evidence


def collect(connection: Connection[Any], alert: Alert, now: datetime) -> dict[str, Any]:
    """All of it, as plain values. RingfenceError when a question cannot be answered."""
    asked = asked_calls(alert)
    start, end = period_of(alert, now)
    base = CallFilter.of(parse_filter(asked), _dataset(alert), device=asked.get("device"))
    calls = {
        part: [
            call.as_json()
            for call in find_calls(
                connection, replace(base, start=since, end=until, limit=PARTS[part]), now=now, timeout_s=TIMEOUT_S
            )
        ]
        for part, since, until in (
            ("before", start, alert.started_at),
            ("rising", alert.started_at, alert.first_at + _INSTANT),
            ("during", alert.first_at + _INSTANT, end),
        )
    }
    newest = calls["during"] or calls["rising"]
    return _frame(alert, now) | {
        "asked": asked,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "stopped_at": newest[0]["time"] if newest else None,
        "calls": calls,
        "series": _series(connection, alert, asked, start, end),
        **_traffic(connection, alert, asked, end),
    }


def asked_calls(alert: Alert) -> dict[str, str]:
    """The call log's filter for the alert's calls: what of key and filter the call log knows."""
    known = {*filters_of(_dataset(alert)), "device"}
    asked = {name: word for name, word in alert.calls.items() if name in known}
    for side in ("source", "destination"):
        if beginning := alert.calls.get(f"{side}_prefix"):
            asked.setdefault(side, f"{beginning.rstrip('*')}*")
    return asked


def period_of(alert: Alert, now: datetime) -> tuple[datetime, datetime]:
    """From well before the first call of the window to a little after the last firing, but not after now."""
    lead = min(max(timedelta(seconds=2 * alert.window_s), _SHORTEST_LEAD), _LONGEST_LEAD)
    tail = timedelta(seconds=alert.quiet_s) if alert.is_over(now) else _TAIL
    return alert.started_at - lead, max(min(alert.last_at + tail, now), alert.last_at + _INSTANT)


def call_rows(evidence: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(part, call) of every call kept, oldest first."""
    for part in PARTS:
        for call in reversed(evidence.get("calls", {}).get(part, [])):
            yield part, call


def _due_again(alert: Alert, now: datetime) -> datetime | None:
    """After half a minute, then each time at double its age, and once more when its episode is over."""
    if alert.is_over(now):
        return None
    over = alert.seen_at + timedelta(seconds=alert.quiet_s + 1)
    return min(max(now + _TAIL, alert.opened_at + 2 * (now - alert.opened_at)), max(over, now))


def _frame(alert: Alert, now: datetime) -> dict[str, Any]:
    return {"format": FORMAT, "collected_at": now.isoformat(), "alert": alert.as_json()}


def _dataset(alert: Alert) -> Dataset:
    return Dataset.SIP if alert.dataset == Dataset.SIP.word else Dataset.ENUM


def _series(
    connection: Connection[Any], alert: Alert, asked: dict[str, str], start: datetime, end: datetime
) -> dict[str, Any]:
    grouping = next((name for name, longest in _GROUPINGS if end - start <= longest), "day")
    result = run_query(connection, _query(alert, asked, "calls", grouping, start, end), timeout_s=TIMEOUT_S)
    return {
        "grouping": grouping,
        "columns": list(result.columns),
        "rows": [[row[0].isoformat(), *row[1:]] for row in result.rows],
    }


def _traffic(connection: Connection[Any], alert: Alert, asked: dict[str, str], end: datetime) -> dict[str, Any]:
    """Numbers and characteristics from the first call of the window on."""

    def ask(view: str, limit: int = 10) -> list[dict[str, Any]]:
        query = _query(alert, asked, view, "period", alert.started_at, end, limit)
        result = run_query(connection, query, timeout_s=TIMEOUT_S)
        return [dict(zip(result.columns[1:], row[1:], strict=True)) for row in result.rows]

    views = ["calls", "peak_cps", *(["acd", "asr"] if alert.dataset == Dataset.SIP.word else [])]
    return {
        "traffic": {view: found[0] if (found := ask(view)) else None for view in views},
        "sources": ask("top_source", MAX_SOURCES),
        "destinations": ask("top_destination", MAX_DESTINATIONS),
    }


def _query(
    alert: Alert, asked: dict[str, str], view: str, grouping: str, start: datetime, end: datetime, limit: int = 10
) -> AnalyticsQuery:
    return AnalyticsQuery(
        _dataset(alert), view, grouping, asked.get("device"), start, end, limit, filter=parse_filter(asked)
    )
