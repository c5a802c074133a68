"""Episodes: attacks as they are recorded, so that none is alerted twice; and what containment listed for them.

An episode is one key of one detection from its first crossing until its cool-down after the last. Whoever applies
crossings looks here first, in the same transaction: a crossing that an episode covers extends it, whatever the windows
of this process have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.detection.containment import Cap
from ringfence.detection.firing import Firing
from ringfence.errors import NotFoundError
from ringfence.policy import dynamic

KEPT = timedelta(days=400)

_INSERT = """
INSERT INTO detection_episode (started_at, fired_at, last_at, seen_at, value, peak, threshold, version, window_s,
                               cool_down_s, name, dataset, key_text, key, severity, mode)
VALUES (%(started_at)s, %(at)s, %(last_at)s, %(now)s, %(value)s, %(value)s, %(threshold)s, %(version)s, %(window_s)s,
        %(cool_down_s)s, %(name)s, %(dataset)s, %(key_text)s, %(key)s, %(severity)s, %(mode)s)
RETURNING episode_id
"""
_FIND = """
SELECT * FROM detection_episode
WHERE name = %(name)s AND key_text = %(key_text)s AND last_at >= %(from)s AND fired_at <= %(to)s
ORDER BY last_at DESC LIMIT 1
"""


@dataclass(frozen=True)
class Episode:
    """One attack."""

    episode_id: int
    started_at: datetime
    fired_at: datetime
    last_at: datetime
    seen_at: datetime
    value: float
    peak: float
    threshold: float
    version: int
    window_s: int
    cool_down_s: int
    listed: int
    name: str
    dataset: str
    key_text: str
    key: dict[str, str]
    severity: str
    mode: str
    held_back: dict[str, int]

    def is_running(self, now: datetime) -> bool:
        """Whether its cool-down has not passed."""
        return now <= self.last_at + timedelta(seconds=self.cool_down_s)

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Every field, times as ISO 8601."""
        times = {name: getattr(self, name).isoformat() for name in ("started_at", "fired_at", "last_at", "seen_at")}
        return vars(self) | times | {"is_running": self.is_running(now)}


def find_covering(connection: Connection, firing: Firing, last_at: datetime, cool_down_s: int) -> Episode | None:
    """The episode that a crossing from `firing.at` to `last_at` belongs to."""
    cool_down = timedelta(seconds=cool_down_s)
    with connection.cursor(row_factory=class_row(Episode)) as cursor:
        return cursor.execute(
            _FIND,
            {
                "name": firing.detection,
                "key_text": firing.key_text,
                "from": firing.at - cool_down,
                "to": last_at + cool_down,
            },
        ).fetchone()


def open_episode(connection: Connection, firing: Firing, last_at: datetime, cool_down_s: int, now: datetime) -> int:
    """Record a new attack; its id."""
    values = {
        "started_at": firing.started_at, "at": firing.at, "last_at": last_at, "now": now, "value": firing.value,
        "threshold": firing.threshold, "version": firing.definition_version, "window_s": firing.window_s,
        "cool_down_s": cool_down_s, "name": firing.detection, "dataset": firing.dataset,
        "key_text": firing.key_text, "key": Jsonb(dict(firing.key)), "severity": firing.severity.value,
        "mode": firing.mode.value,
    }  # fmt: skip
    row = connection.execute(_INSERT, values).fetchone()
    assert row is not None  # noqa: S101 - RETURNING
    return int(row[0])


def extend_episode(
    connection: Connection, episode_id: int, firing: Firing, last_at: datetime, now: datetime, *, is_below: bool
) -> None:
    """It goes on; `is_below`: the lower a value, the worse."""
    connection.execute(
        """
        UPDATE detection_episode SET started_at = least(started_at, %(started_at)s),
            fired_at = least(fired_at, %(at)s), last_at = greatest(last_at, %(last_at)s), seen_at = %(now)s,
            peak = CASE WHEN %(is_below)s THEN least(peak, %(value)s) ELSE greatest(peak, %(value)s) END
        WHERE episode_id = %(episode_id)s
        """,
        {
            "started_at": firing.started_at,
            "at": firing.at,
            "last_at": last_at,
            "now": now,
            "value": firing.value,
            "is_below": is_below,
            "episode_id": episode_id,
        },
    )


def record_listing(
    connection: Connection, episode_id: int, name: str, pattern: str, now: datetime, expires_at: datetime
) -> None:
    """Containment put a pattern on a list, or renewed it."""
    connection.execute(
        """
        INSERT INTO detection_listing (list, pattern, episode_id, added_at, expires_at) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (list, pattern, episode_id) DO UPDATE SET expires_at = excluded.expires_at, released_at = NULL,
            released_by = NULL
        """,
        (name, pattern, episode_id, now, expires_at),
    )


def count_listed(connection: Connection, episode_id: int, detection: str, now: datetime) -> tuple[int, int]:
    """(entries made for an episode, entries that its detection made in the minute before)."""
    row = connection.execute(
        """
        SELECT count(*) FILTER (WHERE l.episode_id = %s), count(*) FILTER (WHERE l.added_at > %s)
        FROM detection_listing l JOIN detection_episode e USING (episode_id) WHERE e.name = %s
          AND (l.episode_id = %s OR l.added_at > %s)
        """,
        (episode_id, now - timedelta(minutes=1), detection, episode_id, now - timedelta(minutes=1)),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def record_outcome(connection: Connection, episode_id: int, listed: int, held_back: Mapping[Cap, int]) -> None:
    """Add up what containment did for an episode."""
    row = connection.execute(
        "SELECT held_back FROM detection_episode WHERE episode_id = %s FOR UPDATE", (episode_id,)
    ).fetchone()
    counts: dict[str, int] = dict(row[0]) if row else {}
    for cap, count in held_back.items():
        counts[cap.value] = counts.get(cap.value, 0) + count
    connection.execute(
        "UPDATE detection_episode SET listed = listed + %s, held_back = %s WHERE episode_id = %s",
        (listed, Jsonb(counts), episode_id),
    )


def running_episodes(connection: Connection, names: Sequence[str], now: datetime) -> list[Episode]:
    """Those whose cool-down has not passed, of detections."""
    with connection.cursor(row_factory=class_row(Episode)) as cursor:
        return cursor.execute(
            """
            SELECT * FROM detection_episode
            WHERE name = ANY(%s) AND last_at + cool_down_s * interval '1 second' >= %s
            """,
            (list(names), now),
        ).fetchall()


def list_episodes(connection: Connection, name: str | None = None, limit: int = 100) -> list[Episode]:
    """The newest, of one detection or all."""
    with connection.cursor(row_factory=class_row(Episode)) as cursor:
        return cursor.execute(
            """
            SELECT * FROM detection_episode WHERE %(name)s::text IS NULL OR name = %(name)s
            ORDER BY fired_at DESC, episode_id DESC LIMIT %(limit)s
            """,
            {"name": name, "limit": limit},
        ).fetchall()


def acting_listings(connection: Connection, now: datetime, limit: int = 1000) -> list[dict[str, Any]]:
    """What containment has on lists now, newest first, with the attack that it is for."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT l.list, l.pattern, l.added_at, l.expires_at, e.name AS detection, e.key_text, e.episode_id
            FROM detection_listing l JOIN detection_episode e USING (episode_id)
            WHERE l.released_at IS NULL AND l.expires_at > %s ORDER BY l.added_at DESC, l.pattern LIMIT %s
            """,
            (now, limit),
        ).fetchall()
    return [
        row | {"added_at": row["added_at"].isoformat(), "expires_at": row["expires_at"].isoformat()} for row in rows
    ]


def release(connection: Connection, name: str, pattern: str, actor: str, now: datetime) -> None:
    """Take what containment listed off again; it is not listed again for an hour. NotFoundError: it is not listed."""
    marked = connection.execute(
        """
        UPDATE detection_listing SET released_at = %s, released_by = %s
        WHERE list = %s AND pattern = %s AND released_at IS NULL AND expires_at > %s
        """,
        (now, actor, name, pattern, now),
    ).rowcount
    if not marked:
        raise NotFoundError(f"containment has no entry {pattern} on list {name!r}; it has ended, or a person made it")
    dynamic.remove_entry(connection, name, pattern, actor, now)
    audit.record(connection, actor, "detection.release", name, {"pattern": pattern})


def release_all(connection: Connection, actor: str, now: datetime) -> int:
    """Take everything off that containment has listed; how many entries that were."""
    listed = {(one["list"], one["pattern"]) for one in acting_listings(connection, now, limit=dynamic.MAX_ENTRIES)}
    for name, pattern in sorted(listed):
        release(connection, name, pattern, actor, now)
    return len(listed)


def purge(connection: Connection, now: datetime) -> int:
    """Forget attacks that are long over; how many."""
    return connection.execute("DELETE FROM detection_episode WHERE last_at < %s", (now - KEPT,)).rowcount
