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
    waiting: int  # events that it had recorded when it came and that are not here yet


class Awaited:
    """Devices on their way, look by look: each is here once the database has what the device had when it came.

    What it records afterwards is ordinary work: while calls go on, there is always something on its way.
    """

    def __init__(self, before: dict[str, str | None]) -> None:
        """`before`: when each was heard of last, as the database that was taken over has it."""
        self._before = before
        self._came: dict[str, str] = {}
        self._wanted: dict[str, int] = {}

    def look(self, devices: list[tuple[str, str | None, int, int]]) -> list[Arrival]:
        """Name, last heard of, events received, and events recorded as it last said, of every device → arrivals."""
        return [self._arrival(*device) for device in devices]

    def are_here(self, found: list[Arrival]) -> bool:
        """Whether nobody is waited for any more."""
        return all(one.name in self._wanted and not one.waiting for one in found)

    def _arrival(self, name: str, seen: str | None, received: int, durable: int) -> Arrival:
        if seen is None or seen == self._before.get(name):
            return Arrival(name, False, 0)
        # Its greeting comes first and tells nothing of its journal: the report after it does.
        if seen != self._came.setdefault(name, seen):
            self._wanted.setdefault(name, durable)
        return Arrival(name, True, max(0, self._wanted.get(name, durable) - received))


def positions(connection: psycopg.Connection[Any]) -> dict[str, list[int]]:
    """device/journal/stream → last sequence and events counted as lost."""
    return {row[0]: [row[1], row[2]] for row in connection.execute(_POSITIONS).fetchall()}


def last_seen(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """When each registered device was heard of, as the database that was taken over has it."""
    return dict(connection.execute(_SEEN).fetchall())


def devices(connection: psycopg.Connection[Any]) -> list[tuple[str, str | None, int, int]]:
    """Every registered device: name, last heard of, events received, events recorded as it last said."""
    rows = connection.execute(_DEVICES).fetchall()
    return [(name, seen, received or 0, durable or 0) for name, seen, received, durable in rows]


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
