"""From a figure to the calls that it counts: the call log's parameters behind a row of a view. Pure.

The rows behind a figure are exactly those that it counts: a test asks the call log for them and compares.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ringfence.analytics.asking import FILTER_WORDS, filter_words
from ringfence.analytics.question import AnalyticsQuery, Row

# Columns whose value is what the call log filters by under the same name.
_DIMENSIONS = (
    "source", "destination", "country", "call_type", "direction", "action", "result", "rule", "code", "released_by",
    "codec", "attestation", "device",
)  # fmt: skip
# Words that stand for "there is none"; the call log has no question for it.
_NOTHING = {"country": "unknown", "codec": "none"}
_LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "15_minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
}
_DAYS = {"day": 1, "week": 7}


def calls_behind(query: AnalyticsQuery, columns: tuple[str, ...], row: Row) -> dict[str, str] | None:
    """Parameters of the call log that show the calls of a row; None where they are no stretch of time, or not asked."""
    start = row[0]
    if not isinstance(start, datetime):  # hours of many weeks
        return None
    found = {
        **filter_words(query.filter),
        "dataset": query.dataset.word,
        "start": _iso(max(start, query.start)),
        "end": _iso(min(bucket_end(start, query.grouping, query.zone, query.end), query.end)),
    }
    if query.device is not None:
        found["device"] = query.device
    for name, value in zip(columns, row, strict=True):
        if name not in _DIMENSIONS or value is None:
            continue
        text = str(value)
        if _NOTHING.get(name) == text or text.startswith("#") or text not in FILTER_WORDS.get(name, (text,)):
            return None
        found[name] = text
    return found


def bucket_end(start: datetime, grouping: str, zone: str, end: datetime) -> datetime:
    """First instant after the bucket that begins at `start`; a local day may have 23 or 25 hours."""
    if grouping in _LENGTHS:
        return start + _LENGTHS[grouping]
    if grouping not in _DAYS:  # one bucket for the whole period
        return end
    midnight = datetime.combine(
        start.astimezone(ZoneInfo(zone)).date() + timedelta(days=_DAYS[grouping]), datetime.min.time()
    )
    return midnight.replace(tzinfo=ZoneInfo(zone))


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
