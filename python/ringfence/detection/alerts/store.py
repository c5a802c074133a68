"""Alerts in the database: opened, extended, acknowledged, commented, closed; and who is told, in the same transaction.

An episode is known by detection and key. A firing extends the alert of its episode while that is not closed and fired
within `quiet_s`; else it opens another. One whose call lies within what an alert has recorded already (`first_at` to
`last_at`) comes again, because whoever fired it died before it knew, or late: nobody is told twice.

Writers take an advisory lock, so that numbers of changes become visible in their order; hold it briefly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts.audit import record
from ringfence.detection.alerts import outbox
from ringfence.detection.alerts.alert import (
    Alert,
    Contained,
    HeldBack,
    Holding,
    Listing,
    State,
    rank_of,
)
from ringfence.detection.alerts.reading import newest_of, read_alert, recorded_at, written
from ringfence.detection.alerts.words import containment, headline, number, whom
from ringfence.detection.firing import Firing, Mode, Severity
from ringfence.errors import ConflictError, InvalidInputError

CHANNEL = "ringfence_alerts"  # NOTIFY channel; no payload
QUIET_S = 900
MAX_COMMENT = 4000
MAX_LISTED = 500  # entries contained, and held back, that an alert keeps
KEPT = timedelta(days=730)  # closed alerts
SYSTEM = "ringfence"  # who did what no person did
_LOCK = 7_201_005  # advisory lock: changes one after the other

_INSERT = """
INSERT INTO alert (change, is_system, detection, definition_version, dataset, key, key_text, severity, mode, state,
                   count, value, peak, threshold, window_s, started_at, first_at, last_at, opened_at, seen_at, quiet_s,
                   numbers, calls, contained, held_back, note, evidence_due)
VALUES (nextval('alert_change'), %(is_system)s, %(detection)s, %(definition_version)s, %(dataset)s, %(key)s,
        %(key_text)s, %(severity)s, %(mode)s, 'open', 1, %(value)s, %(value)s, %(threshold)s, %(window_s)s,
        %(started_at)s, %(at)s,
        %(at)s, %(now)s, %(now)s, %(quiet_s)s, %(numbers)s, %(calls)s, %(contained)s, %(held_back)s, %(note)s,
        %(evidence_due)s)
"""
_EXTEND = """
UPDATE alert SET change = nextval('alert_change'), count = count + 1, value = %(value)s,
       peak = CASE WHEN %(value)s < %(threshold)s THEN least(peak, %(value)s) ELSE greatest(peak, %(value)s) END,
       severity = greatest(severity, %(severity)s), mode = %(mode)s, threshold = %(threshold)s,
       definition_version = %(definition_version)s, started_at = least(started_at, %(started_at)s),
       first_at = least(first_at, %(at)s), last_at = greatest(last_at, %(at)s), seen_at = greatest(seen_at, %(now)s),
       quiet_s = %(quiet_s)s, numbers = coalesce(nullif(%(numbers)s::text[], '{}'), numbers),
       evidence_due = least(evidence_due, %(evidence_due)s)
WHERE alert_id = %(alert_id)s
"""
_AGAIN_AFTER = timedelta(seconds=30)


def open_or_extend(
    connection: Connection[Any],
    firing: Firing,
    now: datetime,
    *,
    contained: Sequence[Listing] = (),
    held_back: Sequence[Holding] = (),
    calls: Mapping[str, str] | None = None,
    quiet_s: int = QUIET_S,
) -> Alert:
    """The alert that a firing belongs to, in the caller's transaction; a firing that is recorded changes nothing.

    `calls` narrows the calls that it is about beside the key, in the call log's words (`direction`: `inbound`).
    `quiet_s` is the detection's cool-down: within it after the last firing the same key extends its alert. What is
    contained or held back is kept also with a firing that is recorded.
    """
    _lock(connection)
    newest = newest_of(connection, firing.detection, firing.key_text)
    alert = _recorded(connection, firing, newest)
    if alert is None:
        before = newest if newest is not None and newest.state != "closed" and not newest.is_over(now) else None
        alert = _open(connection, firing, now, calls or {}, quiet_s) if before is None else (
            _extend(connection, firing, now, before, quiet_s)
        )  # fmt: skip
        if before is None or alert.severity is not before.severity:
            # Who was told is not told again; who wants only what is graver is.
            outbox.tell(connection, alert, "opened", now)
    return _keep_containment(connection, alert, contained, held_back, now) if contained or held_back else alert


def open_fault(connection: Connection[Any], name: str, key: Mapping[str, str], note: str, now: datetime) -> Alert:
    """The alert that a part of the sending of alerts fails, opened unless it is; critical, so that all hear of it."""
    _lock(connection)
    key_text = ", ".join(f"{word} {value}" for word, value in sorted(key.items()))
    if (known := _unclosed(connection, name, key_text)) is not None:
        return known
    values = {
        "is_system": True, "detection": name, "definition_version": 0,
        "dataset": "", "key": Jsonb(dict(key)), "key_text": key_text, "severity": rank_of(Severity.CRITICAL),
        "mode": Mode.REPORT.value, "value": 1.0, "threshold": 1.0, "window_s": 0, "started_at": now, "at": now,
        "now": now, "quiet_s": 0, "numbers": [], "calls": Jsonb({}), "contained": Jsonb([]), "held_back": Jsonb([]),
        "note": note, "evidence_due": None,
    }  # fmt: skip
    alert = written(connection, _INSERT, values)
    _add_event(connection, alert.alert_id, now, SYSTEM, "opened", note)
    outbox.tell(connection, alert, "opened", now)
    return alert


def close_fault(connection: Connection[Any], name: str, key: Mapping[str, str], words: str, now: datetime) -> None:
    """Close what `open_fault` opened, if anything."""
    _lock(connection)
    key_text = ", ".join(f"{word} {value}" for word, value in sorted(key.items()))
    if (alert := _unclosed(connection, name, key_text)) is not None:
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


def purge(connection: Connection[Any], now: datetime) -> int:
    """Forget closed alerts after KEPT, with their evidence, and messages that are about no alert any more."""
    gone = connection.execute("DELETE FROM alert WHERE closed_at < %s", [now - KEPT]).rowcount
    outbox.purge(connection, now)
    return gone


def _open(connection: Connection[Any], firing: Firing, now: datetime, calls: Mapping[str, str], quiet_s: int) -> Alert:
    values = _values(firing, now, quiet_s) | {
        "calls": Jsonb({**calls, **firing.key}), "contained": Jsonb([]),
        "held_back": Jsonb([]), "is_system": False, "note": None, "evidence_due": now,
    }  # fmt: skip
    alert = written(connection, _INSERT, values)
    words = f"{number(firing.value)} for {whom(alert)}, threshold {number(firing.threshold)}"
    _add_event(connection, alert.alert_id, now, SYSTEM, "opened", words)
    return alert


def _extend(connection: Connection[Any], firing: Firing, now: datetime, before: Alert, quiet_s: int) -> Alert:
    more = {"alert_id": before.alert_id, "evidence_due": now + _AGAIN_AFTER}
    return written(connection, _EXTEND, _values(firing, now, quiet_s) | more)


def _keep_containment(
    connection: Connection[Any], alert: Alert, contained: Sequence[Listing], held_back: Sequence[Holding], now: datetime
) -> Alert:
    """Add what is new; the timeline tells of that alone, for the same comes again with every firing."""
    listed = {(one.list, one.pattern): one for one in alert.contained}
    held = {one.pattern: one for one in alert.held_back}
    fresh = [Contained(one.list, one.pattern, one.expires_at) for one in contained]
    more = [HeldBack(one.pattern, one.why) for one in held_back if one.pattern not in held]
    is_known = {(one.list, one.pattern) for one in fresh} <= set(listed) and not more
    listed |= {(one.list, one.pattern): one for one in fresh}
    held |= {one.pattern: one for one in more}
    kept = replace(alert, contained=tuple(listed.values())[:MAX_LISTED], held_back=tuple(held.values())[:MAX_LISTED])
    if kept == alert:
        return alert
    connection.execute(
        "UPDATE alert SET contained = %s, held_back = %s WHERE alert_id = %s",
        [Jsonb([one.as_json() for one in kept.contained]), Jsonb([one.as_json() for one in kept.held_back]),
         alert.alert_id],
    )  # fmt: skip
    if not is_known:
        told = replace(kept, contained=tuple(fresh), held_back=tuple(more), mode=Mode.CONTAIN)
        kind = "contained" if fresh else "held_back"
        _add_event(connection, alert.alert_id, now, SYSTEM, kind, " ".join(containment(told)))
    return _touch(connection, alert.alert_id)


def _recorded(connection: Connection[Any], firing: Firing, newest: Alert | None) -> Alert | None:
    """The alert among whose firings this one is already."""
    if newest is None or firing.at > newest.last_at:
        return None
    if firing.at >= newest.first_at:
        return newest
    return recorded_at(connection, firing.detection, firing.key_text, firing.at)


def _unclosed(connection: Connection[Any], detection: str, key_text: str) -> Alert | None:
    alert = newest_of(connection, detection, key_text)
    return alert if alert is not None and alert.state != "closed" else None


def _values(firing: Firing, now: datetime, quiet_s: int) -> dict[str, Any]:
    return {
        "detection": firing.detection, "definition_version": firing.definition_version, "dataset": firing.dataset,
        "key": Jsonb(dict(firing.key)), "key_text": firing.key_text, "severity": rank_of(firing.severity),
        "mode": firing.mode.value, "value": firing.value, "threshold": firing.threshold, "window_s": firing.window_s,
        "started_at": firing.started_at, "at": firing.at, "now": now, "quiet_s": quiet_s,
        "numbers": list(firing.numbers[:MAX_LISTED]),
    }  # fmt: skip


def _close(connection: Connection[Any], alert: Alert, actor: str, words: str, now: datetime) -> Alert:
    closed = _set_state(connection, alert.alert_id, "closed", now)
    _add_event(connection, alert.alert_id, now, actor, "closed", words)
    outbox.tell(connection, closed, "closed", now)
    return closed


def _refuse_closed(alert: Alert) -> None:
    if alert.state == "closed":
        raise ConflictError(f"alert {alert.alert_id}: is closed already")


def _set_state(connection: Connection[Any], alert_id: int, state: State, closed_at: datetime | None) -> Alert:
    return written(
        connection,
        "UPDATE alert SET state = %(state)s, closed_at = %(closed_at)s, change = nextval('alert_change')"
        " WHERE alert_id = %(id)s",
        {"id": alert_id, "state": state, "closed_at": closed_at},
    )


def _touch(connection: Connection[Any], alert_id: int) -> Alert:
    statement = "UPDATE alert SET change = nextval('alert_change') WHERE alert_id = %(id)s"
    return written(connection, statement, {"id": alert_id})


def _add_event(connection: Connection[Any], alert_id: int, at: datetime, actor: str, kind: str, words: str) -> None:
    connection.execute(
        "INSERT INTO alert_event (alert_id, at, actor, kind, words) VALUES (%s, %s, %s, %s, %s)",
        (alert_id, at, actor, kind, words),
    )


def _check_text(field: str, text: str, *, least: int) -> None:
    if not least <= len(text.strip()) <= MAX_COMMENT or "\0" in text:
        raise InvalidInputError(f"{field}: must have {least} to {MAX_COMMENT} characters, and none that is NUL")


def _lock(connection: Connection[Any]) -> None:
    """Changes one after the other until the transaction ends; who follows alerts hears of it then."""
    connection.execute("SELECT pg_advisory_xact_lock(%s), pg_notify(%s, '')", (_LOCK, CHANNEL))
