"""What a failover recovered and what it lost, from facts: positions before, positions after, changes known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

_POSITIONS = """
SELECT d.name || '/' || s.journal_id || '/' || s.stream, s.last_sequence, s.lost
FROM device_stream s JOIN device d USING (device_id)
"""
_SEEN = "SELECT name, last_seen_at::text FROM device WHERE revoked_at IS NULL"
# An edge has one journal at a time; of those that it had before, none is on its way any more.
_DEVICES = """
SELECT d.name, d.last_seen_at::text, max(j.received)::bigint,
       CASE WHEN jsonb_typeof(d.report #> '{journal,durable}') = 'number'
            THEN (d.report #>> '{journal,durable}')::bigint END
FROM device d LEFT JOIN (
    SELECT device_id, journal_id, sum(last_sequence) AS received FROM device_stream GROUP BY device_id, journal_id
) AS j USING (device_id)
WHERE d.revoked_at IS NULL GROUP BY d.device_id ORDER BY d.name
"""


@dataclass(frozen=True)
class Arrival:
    """A device, and how far it is."""

    name: str
    has_come: bool
    waiting: int  # events that it has recorded and that are not here yet, as it last said


def positions(connection: psycopg.Connection[Any]) -> dict[str, list[int]]:
    """device/journal/stream → last sequence and events counted as lost."""
    return {row[0]: [row[1], row[2]] for row in connection.execute(_POSITIONS).fetchall()}


def last_seen(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """When each registered device was heard of, as the database that was taken over has it."""
    return dict(connection.execute(_SEEN).fetchall())


def arrivals(connection: psycopg.Connection[Any], before: dict[str, str | None]) -> list[Arrival]:
    """Every registered device; it has come when it was heard of otherwise than `before`."""
    return [
        Arrival(name, seen is not None and seen != before.get(name), max(0, (durable or 0) - (received or 0)))
        for name, seen, received, durable in connection.execute(_DEVICES).fetchall()
    ]


def events_since(connection: psycopg.Connection[Any], before: dict[str, list[int]]) -> dict[str, int]:
    """How many events came since, the edges' re-sending and new calls alike, and how many of them were holes."""
    now = positions(connection)
    lost = sum(held[1] - before.get(stream, [0, 0])[1] for stream, held in now.items())
    came = sum(held[0] - before.get(stream, [0, 0])[0] for stream, held in now.items())
    return {"received": came - lost, "lost": lost}


def in_short(facts: dict[str, Any]) -> dict[str, Any]:
    """For the log."""
    changes = facts.get("lost_changes")
    return {
        "events": facts.get("events"),
        "devices": sum(facts.get("devices", {}).values()),
        "changes_lost": len(changes) if changes is not None else None,
    }


def arrivals_in_words(found: list[Arrival]) -> str:
    """Who has come, who has not, and what is still on its way."""
    missing = [one.name for one in found if not one.has_come]
    waiting = [f"{one.waiting:,} of {one.name}" for one in found if one.has_come and one.waiting]
    words = f"all {len(found)} have come"
    if missing:
        words = f"{len(found) - len(missing)} of {len(found)} have come; not yet: {', '.join(missing)}"
    return f"{words}; events still on their way: {', '.join(waiting)}" if waiting else words


def in_words(mode: str, facts: dict[str, Any]) -> str:
    """What to tell the operator."""
    events = facts["events"]
    missing = sorted(name for name, has_come in facts.get("devices", {}).items() if not has_come)
    words = [f"{events['received']:,} events received since, {events['lost']:,} events lost"]
    if missing:
        words.append(f"what {', '.join(missing)} recorded comes when they do")
    words.append(_configuration(mode, facts))
    return "; ".join(words)


def _configuration(mode: str, facts: dict[str, Any]) -> str:
    if facts.get("is_complete"):
        return "no configuration is lost"
    if mode == "streaming":
        return "configuration: what the old pair had not streamed when it was lost, at most its last moments"
    changes, since = facts.get("lost_changes"), str(facts.get("backup_made_at"))[:19].replace("T", " ")
    if changes is None:
        return f"configuration changed after {since} UTC is lost; the old pair's audit trail names it"
    known_at = facts.get("changes_known_at")
    as_known = f", as known at {known_at[:19].replace('T', ' ')} UTC" if known_at else ""
    if not changes:
        return f"no configuration is lost{as_known or ', as far as is known'}"
    named = ", ".join(f"{change.get('action')} {change.get('subject')}".strip() for change in changes[:20])
    more = f" and {len(changes) - 20:,} more" if len(changes) > 20 else ""
    return f"lost are {len(changes):,} changes{as_known}: {named}{more}"
