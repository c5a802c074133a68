"""Who follows this node, seen from the active: slots of streaming standbys, and who fetched backups over the API.

A standby that copies by rsync over ssh leaves no trace here; it says itself how it stands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from ringfence.accounts.audit import AuditFilter, find_entries


@dataclass(frozen=True)
class Follower:
    """One standby. `behind_bytes`: WAL kept for it; `problem`: why it does not follow, None when it does."""

    name: str
    mode: str
    behind_bytes: int | None
    last_at: datetime | None
    last_backup: str | None
    problem: str | None

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        return asdict(self) | {"last_at": self.last_at.isoformat() if self.last_at else None}


def read_followers(connection: Connection) -> list[Follower]:
    """Streaming ones first, by name; then those that fetched a backup, each with its newest."""
    return [*_streaming(connection), *_copying(connection)]


def _streaming(connection: Connection) -> list[Follower]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = (
            cursor.execute(
                """
            SELECT slot_name, active, wal_status, inactive_since,
                   pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS behind
            FROM pg_replication_slots WHERE slot_type = 'physical' AND slot_name LIKE 'standby\\_%' ORDER BY slot_name
            """
            ).fetchall()
            if _knows_inactive_since(connection)
            else []
        )
    return [
        Follower(
            row["slot_name"].removeprefix("standby_"), "streaming", row["behind"], row["inactive_since"], None,
            _problem(is_active=row["active"], wal_status=row["wal_status"]),
        )
        for row in rows
    ]  # fmt: skip


def _knows_inactive_since(connection: Connection) -> bool:
    return connection.info.server_version >= 170_000  # an embedded server is; others replicate by their own means


def _problem(*, is_active: bool, wal_status: str | None) -> str | None:
    if wal_status in ("lost", "unreserved"):
        return "it has missed more than is kept: `ringfence standby init` again"
    return None if is_active else "it is away"


def _copying(connection: Connection) -> list[Follower]:
    newest: dict[str, Follower] = {}
    for entry in find_entries(connection, AuditFilter(action="backup.download", limit=200)):
        newest.setdefault(entry.actor, Follower(entry.actor, "backup", None, entry.at, entry.subject, None))
    return sorted(newest.values(), key=lambda follower: follower.name)
