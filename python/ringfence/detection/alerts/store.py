"""Alerts in the database: opened, extended, acknowledged, commented, closed; and who is told, in the same transaction.

An episode is known by detection and key. A firing extends the alert of its episode while that is not closed and fired
within `quiet_s`; else it opens another. A firing is known by detection, key and the time of its call: one that comes
again, because whoever fired it died before it knew, finds itself recorded and changes nothing, so nobody is told twice.

Writers take an advisory lock, so that numbers of changes become visible in their order; hold it briefly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from ringfence.accounts.audit import record
from ringfence.detection.alerts import outbox
from ringfence.detection.alerts.alert import (
    SEVERITIES,
    Alert,
    Contained,
    HeldBack,
    State,
    TimelineEntry,
    rank_of,
)
from ringfence.detection.alerts.words import containment, headline, number
from ringfence.detection.firing import Firing, Mode, Severity
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

CHANNEL = "ringfence_alerts"  # NOTIFY channel; no payload
QUIET_S = 900
MAX_COMMENT = 4000
MAX_LIMIT = 1000
MAX_LISTED = 200  # entries contained or held back that an alert keeps
KEPT = timedelta(days=730)  # closed alerts
SYSTEM = "ringfence"  # who did what no person did
_LOCK = 7_201_005  # advisory lock: changes one after the other

_READ = """
SELECT alert_id, change, is_system, alert.detection, definition_version, dataset, key, alert.key_text, severity, mode,
       state, count, alert.value, peak, threshold, window_s, started_at, first_at, last_at, opened_at, seen_at,
       closed_at, quiet_s, numbers, calls, contained, held_back, note, evidence IS NOT NULL AS has_evidence
FROM alert"""
_INSERT = """
INSERT INTO alert (change, is_system, detection, definition_version, dataset, key, key_text, severity, mode, state,
                   count, value, peak, threshold, window_s, started_at, first_at, last_at, opened_at, seen_at, quiet_s,
                   numbers, calls, contained, held_back, note, evidence_due)
VALUES (%(change)s, %(is_system)s, %(detection)s, %(definition_version)s, %(dataset)s, %(key)s, %(key_text)s,
        %(severity)s, %(mode)s, 'open', 1, %(value)s, %(value)s, %(threshold)s, %(window_s)s, %(started_at)s, %(at)s,
        %(at)s, %(now)s, %(now)s, %(quiet_s)s, %(numbers)s, %(calls)s, %(contained)s, %(held_back)s, %(note)s,
        %(evidence_due)s)
RETURNING alert_id
"""
_EXTEND = """
UPDATE alert SET change = %(change)s, count = count + 1, value = %(value)s, peak = greatest(peak, %(value)s),
       severity = greatest(severity, %(severity)s), mode = %(mode)s, threshold = %(threshold)s,
       definition_version = %(definition_version)s, started_at = least(started_at, %(started_at)s),
       first_at = least(first_at, %(at)s), last_at = greatest(last_at, %(at)s), seen_at = greatest(seen_at, %(now)s),
       quiet_s = %(quiet_s)s, numbers = %(numbers)s, contained = %(contained)s, held_back = %(held_back)s,
       evidence_due = least(evidence_due, %(evidence_due)s)
WHERE alert_id = %(alert_id)s RETURNING alert_id
"""
_AGAIN_AFTER = timedelta(seconds=30)


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


def open_or_extend(
    connection: Connection[Any],
    firing: Firing,
    now: datetime,
    *,
    contained: Sequence[Contained] = (),
    held_back: Sequence[HeldBack] = (),
    calls: Mapping[str, str] | None = None,
    quiet_s: int = QUIET_S,
) -> Alert:
    """The alert that a firing belongs to, in the caller's transaction; a firing that is recorded changes nothing.

    `calls` narrows the calls that it is about beside the key, in the call log's words (`direction`: `inbound`).
    `quiet_s` is the detection's cool-down: within it after the last firing the same key extends its alert.
    """
    _lock(connection)
    if (known := _recorded(connection, firing)) is not None:
        return known
    before = _unclosed(connection, firing.detection, firing.key_text, now)
    values = _values(firing, now, quiet_s) | {"change": _next_change(connection)}
    kept = _merge(before.contained if before else (), contained)
    back = tuple({one.pattern: one for one in (*(before.held_back if before else ()), *held_back)}.values())
    values |= {
        "contained": Jsonb([one.as_json() for one in kept[-MAX_LISTED:]]),
        "held_back": Jsonb([one.as_json() for one in back[-MAX_LISTED:]]),
        "calls": Jsonb({**(calls or {}), **firing.key}),
    }
    if before is None:
        values |= {"is_system": False, "note": None, "evidence_due": now}
        alert = _written(connection, _INSERT, values)
        _add_event(connection, alert.alert_id, now, SYSTEM, "opened", _opening_words(firing))
    else:
        values |= {"alert_id": before.alert_id, "evidence_due": now + _AGAIN_AFTER}
        alert = _written(connection, _EXTEND, values)
    connection.execute(
        "INSERT INTO alert_firing (detection, key_text, at, alert_id, value) VALUES (%s, %s, %s, %s, %s)",
        (firing.detection, firing.key_text, firing.at, alert.alert_id, firing.value),
    )
    if contained or held_back:
        kind = "contained" if contained else "held_back"
        _add_event(connection, alert.alert_id, now, SYSTEM, kind, " ".join(_new_words(alert, contained, held_back)))
    if before is None or alert.severity is not before.severity:
        # Who was told is not told again; who wants only what is graver is.
        outbox.tell(connection, alert, "opened", now)
    _notify(connection)
    return alert


def open_fault(connection: Connection[Any], name: str, key: Mapping[str, str], note: str, now: datetime) -> Alert:
    """The alert that a part of the sending of alerts fails, opened unless it is; critical, so that all hear of it."""
    _lock(connection)
    key_text = ", ".join(f"{word} {value}" for word, value in sorted(key.items()))
    if (known := _unclosed(connection, name, key_text, None)) is not None:
        return known
    values = {
        "change": _next_change(connection), "is_system": True, "detection": name, "definition_version": 0,
        "dataset": "", "key": Jsonb(dict(key)), "key_text": key_text, "severity": rank_of(Severity.CRITICAL),
        "mode": Mode.REPORT.value, "value": 1.0, "threshold": 1.0, "window_s": 0, "started_at": now, "at": now,
        "now": now, "quiet_s": 0, "numbers": [], "calls": Jsonb({}), "contained": Jsonb([]), "held_back": Jsonb([]),
        "note": note, "evidence_due": None,
    }  # fmt: skip
    alert = _written(connection, _INSERT, values)
    _add_event(connection, alert.alert_id, now, SYSTEM, "opened", note)
    outbox.tell(connection, alert, "opened", now)
    _notify(connection)
    return alert


def close_fault(connection: Connection[Any], name: str, key: Mapping[str, str], words: str, now: datetime) -> None:
    """Close what `open_fault` opened, if anything."""
    _lock(connection)
    key_text = ", ".join(f"{word} {value}" for word, value in sorted(key.items()))
    if (alert := _unclosed(connection, name, key_text, None)) is not None:
        _close(connection, alert, SYSTEM, words, now)


def acknowledge(connection: Connection[Any], alert_id: int, actor: str, now: datetime) -> Alert:
    """Somebody looks after it. ConflictError when it is closed; one that is acknowledged stays with who did it."""
    _lock(connection)
    alert = read_alert(connection, alert_id)
    if alert.state == "acknowledged":
        return alert
    _refuse_closed(alert)
    alert = _set_state(connection, alert_id, "acknowledged", None)
    _add_event(connection, alert_id, now, actor, "acknowledged", "")
    record(connection, actor, "alert.acknowledge", str(alert_id), {"words": headline(alert)})
    return alert


def close(connection: Connection[Any], alert_id: int, actor: str, now: datetime, words: str = "") -> Alert:
    """It is dealt with; `words` say how. ConflictError when it is closed already."""
    _check_text("comment", words, least=0)
    _lock(connection)
    alert = read_alert(connection, alert_id)
    _refuse_closed(alert)
    alert = _close(connection, alert, actor, words, now)
    record(connection, actor, "alert.close", str(alert_id), {"words": headline(alert), "comment": words})
    return alert


def comment(connection: Connection[Any], alert_id: int, actor: str, text: str, now: datetime) -> Alert:
    """Add what somebody has to say; to a closed one too. InvalidInputError."""
    _check_text("text", text, least=1)
    _lock(connection)
    read_alert(connection, alert_id)
    connection.execute(
        "INSERT INTO alert_comment (alert_id, at, actor, text) VALUES (%s, %s, %s, %s)", (alert_id, now, actor, text)
    )
    record(connection, actor, "alert.comment", str(alert_id), {"comment": text})
    return _touch(connection, alert_id)


def read_alert(connection: Connection[Any], alert_id: int) -> Alert:
    """One. NotFoundError."""
    found = _all(connection, f"{_READ} WHERE alert_id = %(id)s", {"id": alert_id})
    if not found:
        raise NotFoundError(f"alert {alert_id}: there is none of this number")
    return found[0]


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


def purge(connection: Connection[Any], now: datetime) -> int:
    """Forget closed alerts after KEPT, with their evidence, and messages that are about no alert any more."""
    gone = connection.execute("DELETE FROM alert WHERE closed_at < %s", [now - KEPT]).rowcount
    outbox.purge(connection, now)
    return gone


def _by_severity(counts: Iterable[tuple[Any, ...]]) -> dict[Severity, int]:
    found = {row[0]: int(row[1]) for row in counts}
    return {severity: found.get(rank_of(severity), 0) for severity in SEVERITIES}


def _recorded(connection: Connection[Any], firing: Firing) -> Alert | None:
    found = _all(
        connection,
        f"{_READ} JOIN alert_firing AS firing USING (alert_id) WHERE firing.detection = %(detection)s"
        " AND firing.key_text = %(key_text)s AND firing.at = %(at)s",
        {"detection": firing.detection, "key_text": firing.key_text, "at": firing.at},
    )
    return found[0] if found else None


def _unclosed(connection: Connection[Any], detection: str, key_text: str, now: datetime | None) -> Alert | None:
    """The newest, unless it is closed, or its episode is over at `now`."""
    found = _all(
        connection,
        f"{_READ} WHERE detection = %(detection)s AND key_text = %(key_text)s ORDER BY alert_id DESC LIMIT 1",
        {"detection": detection, "key_text": key_text},
    )
    alert = found[0] if found else None
    if alert is None or alert.state == "closed" or (now is not None and alert.is_over(now)):
        return None
    return alert


def _values(firing: Firing, now: datetime, quiet_s: int) -> dict[str, Any]:
    return {
        "detection": firing.detection, "definition_version": firing.definition_version, "dataset": firing.dataset,
        "key": Jsonb(dict(firing.key)), "key_text": firing.key_text, "severity": rank_of(firing.severity),
        "mode": firing.mode.value, "value": firing.value, "threshold": firing.threshold, "window_s": firing.window_s,
        "started_at": firing.started_at, "at": firing.at, "now": now, "quiet_s": quiet_s,
        "numbers": list(firing.numbers[:MAX_LISTED]),
    }  # fmt: skip


def _merge(before: Sequence[Contained], more: Sequence[Contained]) -> tuple[Contained, ...]:
    """Each entry once, with its newest end."""
    return tuple({(one.list, one.pattern): one for one in (*before, *more)}.values())


def _opening_words(firing: Firing) -> str:
    return f"{number(firing.value)} for {firing.key_text}, threshold {number(firing.threshold)}"


def _new_words(alert: Alert, contained: Sequence[Contained], held_back: Sequence[HeldBack]) -> list[str]:
    fresh = {**vars(alert), "contained": tuple(contained), "held_back": tuple(held_back), "mode": Mode.CONTAIN}
    return containment(Alert(**fresh))


def _close(connection: Connection[Any], alert: Alert, actor: str, words: str, now: datetime) -> Alert:
    closed = _set_state(connection, alert.alert_id, "closed", now)
    _add_event(connection, alert.alert_id, now, actor, "closed", words)
    outbox.tell(connection, closed, "closed", now)
    return closed


def _refuse_closed(alert: Alert) -> None:
    if alert.state == "closed":
        raise ConflictError(f"alert {alert.alert_id}: is closed already")


def _set_state(connection: Connection[Any], alert_id: int, state: State, closed_at: datetime | None) -> Alert:
    values = {"id": alert_id, "state": state, "closed_at": closed_at, "change": _next_change(connection)}
    connection.execute(
        "UPDATE alert SET state = %(state)s, closed_at = %(closed_at)s, change = %(change)s WHERE alert_id = %(id)s",
        values,
    )
    _notify(connection)
    return read_alert(connection, alert_id)


def _touch(connection: Connection[Any], alert_id: int) -> Alert:
    values = {"id": alert_id, "change": _next_change(connection)}
    connection.execute("UPDATE alert SET change = %(change)s WHERE alert_id = %(id)s", values)
    _notify(connection)
    return read_alert(connection, alert_id)


def _add_event(connection: Connection[Any], alert_id: int, at: datetime, actor: str, kind: str, words: str) -> None:
    connection.execute(
        "INSERT INTO alert_event (alert_id, at, actor, kind, words) VALUES (%s, %s, %s, %s, %s)",
        (alert_id, at, actor, kind, words),
    )


def _check_text(field: str, text: str, *, least: int) -> None:
    if not least <= len(text.strip()) <= MAX_COMMENT or "\0" in text:
        raise InvalidInputError(f"{field}: must have {least} to {MAX_COMMENT} characters, and none that is NUL")


def _lock(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def _next_change(connection: Connection[Any]) -> int:
    row = connection.execute("SELECT nextval('alert_change')").fetchone()
    return int(row[0]) if row else 0


def _notify(connection: Connection[Any]) -> None:
    connection.execute(f"NOTIFY {CHANNEL}")


def _written(connection: Connection[Any], query: str, values: dict[str, Any]) -> Alert:
    row = connection.execute(query.encode(), values).fetchone()
    return read_alert(connection, int(row[0]) if row else 0)


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
