"""Alerts read from the database: one, those that are looked for, what changed since, what happened to one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from ringfence.detection.alerts.alert import SEVERITIES, Alert, Contained, HeldBack, TimelineEntry, rank_of
from ringfence.detection.firing import Mode, Severity
from ringfence.errors import InvalidInputError, NotFoundError

MAX_LIMIT = 1000
_READ = """
SELECT alert_id, change, is_system, detection, definition_version, dataset, key, key_text, severity, mode,
       state, count, value, peak, threshold, window_s, started_at, first_at, last_at, opened_at, seen_at,
       closed_at, quiet_s, numbers, calls, contained, held_back, note, evidence IS NOT NULL AS has_evidence
FROM alert"""


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts; None matches all. `state` may be `unclosed`. `before` is an alert's id to page on from."""

    state: str | None = None
    severity: Severity | None = None
    """At least."""
    detection: str | None = None
    text: str | None = None
    """Anywhere in detection, key, numbers, without regard to case."""
    since: datetime | None = None
    before: int | None = None
    limit: int = 100


def read_alert(connection: Connection[Any], alert_id: int) -> Alert:
    """One. NotFoundError."""
    found = _all(connection, f"{_READ} WHERE alert_id = %(id)s", {"id": alert_id})
    if not found:
        raise NotFoundError(f"alert {alert_id}: there is none of this number")
    return found[0]


def written(connection: Connection[Any], statement: str, values: dict[str, Any]) -> Alert:
    """The alert that a statement inserts or updates, as it is then."""
    return _all(connection, f"WITH alert AS ({statement} RETURNING *) {_READ}", values)[0]


def find_alerts(connection: Connection[Any], wanted: AlertFilter) -> list[Alert]:
    """Those that are looked for, newest first."""
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit: {wanted.limit} must be from 1 to {MAX_LIMIT}")
    text = (wanted.text or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    values = vars(wanted) | {"severity": rank_of(wanted.severity) if wanted.severity else None, "text": f"%{text}%"}
    return _all(
        connection,
        f"""
        {_READ}
        WHERE (%(state)s::text IS NULL OR state = %(state)s OR (%(state)s = 'unclosed' AND state <> 'closed'))
          AND (%(severity)s::integer IS NULL OR severity >= %(severity)s)
          AND (%(detection)s::text IS NULL OR detection = %(detection)s)
          AND (detection ILIKE %(text)s OR key_text ILIKE %(text)s OR numbers::text ILIKE %(text)s)
          AND (%(since)s::timestamptz IS NULL OR seen_at >= %(since)s)
          AND (%(before)s::bigint IS NULL OR alert_id < %(before)s)
        ORDER BY alert_id DESC LIMIT %(limit)s
        """,
        values,
    )


def alerts_since(connection: Connection[Any], change: int, limit: int = 100) -> list[Alert]:
    """Those that were opened or changed after a change, in order of changes."""
    query = f"{_READ} WHERE change > %(change)s ORDER BY change LIMIT %(limit)s"
    return _all(connection, query, {"change": change, "limit": limit})


def newest_change(connection: Connection[Any]) -> int:
    """0 before the first."""
    (change,) = connection.execute("SELECT coalesce(max(change), 0) FROM alert").fetchone() or (0,)
    return int(change)


def timeline(connection: Connection[Any], alert_id: int) -> list[TimelineEntry]:
    """What happened to it, oldest first."""
    with connection.cursor(row_factory=class_row(TimelineEntry)) as cursor:
        return cursor.execute(
            """
            SELECT at, actor, kind, words FROM (
                SELECT at, actor, kind, words, event_id AS place FROM alert_event WHERE alert_id = %(id)s
                UNION ALL
                SELECT at, actor, 'comment', text, comment_id FROM alert_comment WHERE alert_id = %(id)s
            ) AS entries ORDER BY at, kind <> 'opened', place
            """,
            {"id": alert_id},
        ).fetchall()


def unclosed_by_severity(connection: Connection[Any]) -> dict[Severity, int]:
    """How many are open or acknowledged."""
    return _by_severity(connection.execute("SELECT severity, count(*) FROM alert WHERE state <> 'closed' GROUP BY 1"))


def opened_by_severity(connection: Connection[Any]) -> dict[Severity, int]:
    """How many there are, closed ones too."""
    return _by_severity(connection.execute("SELECT severity, count(*) FROM alert GROUP BY 1"))


def recorded_at(connection: Connection[Any], detection: str, key_text: str, at: datetime) -> Alert | None:
    """The one whose firings lie around a time of a call."""
    found = _all(
        connection,
        f"{_READ} WHERE detection = %(detection)s AND key_text = %(key_text)s AND %(at)s BETWEEN first_at AND last_at"
        " ORDER BY alert_id DESC LIMIT 1",
        {"detection": detection, "key_text": key_text, "at": at},
    )
    return found[0] if found else None


def newest_of(connection: Connection[Any], detection: str, key_text: str) -> Alert | None:
    """The newest about a key."""
    found = _all(
        connection,
        f"{_READ} WHERE detection = %(detection)s AND key_text = %(key_text)s ORDER BY alert_id DESC LIMIT 1",
        {"detection": detection, "key_text": key_text},
    )
    return found[0] if found else None


def _by_severity(counts: Iterable[tuple[Any, ...]]) -> dict[Severity, int]:
    found = {row[0]: int(row[1]) for row in counts}
    return {severity: found.get(rank_of(severity), 0) for severity in SEVERITIES}


def _all(connection: Connection[Any], query: str, values: dict[str, Any]) -> list[Alert]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_alert(row) for row in cursor.execute(query.encode(), values)]


def _alert(row: dict[str, Any]) -> Alert:
    read = {
        "severity": SEVERITIES[row["severity"] - 1],
        "mode": Mode(row["mode"]),
        "numbers": tuple(row["numbers"]),
        "contained": tuple(
            Contained(
                one["list"], one["pattern"], datetime.fromisoformat(one["expires_at"]) if one["expires_at"] else None
            )
            for one in row["contained"]
        ),
        "held_back": tuple(HeldBack(one["pattern"], one["why"]) for one in row["held_back"]),
    }
    return Alert(**row | read)
