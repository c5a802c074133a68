"""How each detection has done: when it fired last, how many alerts it opened in the past day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Summary:
    """Of one detection; without a firing `last_fired_at` is None."""

    last_fired_at: datetime | None = None
    alerts_24h: int = 0


def summaries(connection: Connection, now: datetime) -> dict[str, Summary]:
    """By name, of detections that have ever fired."""
    fired = connection.execute("SELECT name, max(fired_at) FROM detection_episode GROUP BY name").fetchall()
    opened = connection.execute(
        "SELECT detection, count(*) FROM alert WHERE NOT is_system AND opened_at > %s GROUP BY detection", (now - DAY,)
    ).fetchall()
    last: dict[str, datetime] = dict(fired)
    alerts: dict[str, int] = dict(opened)
    return {name: Summary(last.get(name), alerts.get(name, 0)) for name in {*last, *alerts}}
