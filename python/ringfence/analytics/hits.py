"""How often, and when last, each rule decided calls (hits) or would have in monitor mode (monitored).

From the counts that ingest keeps: by minute for the newest days, by hour for the rest. A period is widened to whole
buckets of the counts that it is answered from; `resolution` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ringfence.analytics.recorded import check_period

# Minutes answer a period that is short, and lies within what is kept of them.
MINUTES_SPAN = timedelta(hours=6)
MINUTES_KEPT = timedelta(days=7)

_HITS = """
SELECT rule_id, {bucket} AS bucket, sum(hits)::bigint, sum(monitored)::bigint
FROM {table} WHERE {bucket} >= date_trunc(%(unit)s, %(start)s::timestamptz, 'UTC') AND {bucket} < %(end)s
  AND (%(device)s::text IS NULL OR device_id = (SELECT device_id FROM device WHERE name = %(device)s))
  AND (%(rules)s::integer[] IS NULL OR rule_id = ANY(%(rules)s))
GROUP BY rule_id, bucket ORDER BY rule_id, bucket
"""
_TABLES = {
    "minute": _HITS.format(bucket="minute", table="rule_minute"),
    "hour": _HITS.format(bucket="hour", table="rule_hour"),
}
_LAST = """
SELECT rule_id, max(last_at) FILTER (WHERE hits > 0), max(last_at), min(hour)
FROM rule_hour
WHERE %(device)s::text IS NULL OR device_id = (SELECT device_id FROM device WHERE name = %(device)s)
GROUP BY rule_id
"""
# Counting began with the first hour of any rule, or of any call.
_SINCE = "SELECT min(minute) FROM call_minute"


@dataclass(frozen=True)
class RuleHits:
    """One rule's counts. `last_at`: of the newest call that it decided, or matched in monitor mode; None: never."""

    rule_id: int
    name: str
    hits: int
    monitored: int
    last_at: datetime | None
    last_hit_at: datetime | None
    series: tuple[tuple[int, int], ...]  # (hits, monitored) of each bucket

    def as_json(self) -> dict[str, Any]:
        """Plain values; the series as two columns."""
        return {
            "id": self.rule_id,
            "name": self.name,
            "hits": self.hits,
            "monitored": self.monitored,
            "last_at": _iso(self.last_at),
            "last_hit_at": _iso(self.last_hit_at),
            "series": {"hits": [h for h, _ in self.series], "monitored": [m for _, m in self.series]},
        }


@dataclass(frozen=True)
class HitReport:
    """Hits of rules over a period. `buckets` are the starts of the series' buckets."""

    start: datetime
    end: datetime
    resolution: str
    counted_since: datetime | None
    buckets: tuple[datetime, ...]
    rules: tuple[RuleHits, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "resolution": self.resolution,
            "counted_since": _iso(self.counted_since),
            "buckets": [bucket.isoformat() for bucket in self.buckets],
            "rules": [rule.as_json() for rule in self.rules],
        }


def rule_hits(
    connection: psycopg.Connection,
    start: datetime,
    end: datetime,
    *,
    device: str | None = None,
    rules: Sequence[int] | None = None,
    now: datetime | None = None,
) -> HitReport:
    """Every rule that has ever matched, or those of `rules` in their order, matched or not. InvalidInputError."""
    check_period(start, end)
    newest = now or datetime.now(UTC)
    is_fine = end - start <= MINUTES_SPAN and start >= newest - MINUTES_KEPT
    unit = "minute" if is_fine else "hour"
    buckets = _buckets(start, end, unit)
    place = {bucket: index for index, bucket in enumerate(buckets)}
    values = {"unit": unit, "start": start, "end": end, "device": device, "rules": list(rules) if rules else None}
    series: dict[int, list[tuple[int, int]]] = {}
    for rule, bucket, hits, monitored in connection.execute(_TABLES[unit].encode(), values):
        series.setdefault(rule, [(0, 0)] * len(buckets))[place[bucket.astimezone(UTC)]] = (hits, monitored)
    last = {row[0]: row[1:] for row in connection.execute(_LAST, {"device": device})}
    wanted = list(rules) if rules is not None else sorted(last)
    names: dict[int, str] = dict(
        connection.execute("SELECT rule_id, name FROM policy_rule WHERE rule_id = ANY(%s)", (wanted,)).fetchall()
    )
    nothing = [(0, 0)] * len(buckets)
    found = []
    for rule in wanted:
        counts = series.get(rule, nothing)
        last_hit, last_any, _ = last.get(rule, (None, None, None))
        total, watched = sum(hits for hits, _ in counts), sum(monitored for _, monitored in counts)
        found.append(RuleHits(rule, names.get(rule, f"#{rule}"), total, watched, last_any, last_hit, tuple(counts)))
    since = connection.execute(_SINCE).fetchone()
    return HitReport(start, end, unit, since[0] if since else None, tuple(buckets), tuple(found))


def _buckets(start: datetime, end: datetime, unit: str) -> list[datetime]:
    step = timedelta(minutes=1) if unit == "minute" else timedelta(hours=1)
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    if unit == "hour":
        first = first.replace(minute=0)
    return [first + step * index for index in range(-((first - end) // step))]


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
