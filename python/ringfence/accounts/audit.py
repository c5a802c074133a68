"""The audit trail: who changed what, and every sign-in. Rows are only ever added.

An entry is written in the transaction of the change that it describes: there is no change without its entry,
and no entry of a change that was rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class AuditEntry:
    """One line of the trail."""

    audit_id: int
    at: datetime
    actor: str
    address: str | None
    action: str
    subject: str
    detail: dict[str, Any]


def record(
    connection: Connection,
    actor: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> None:
    """Add an entry. `action` is a stable dotted word (`policy.apply`, `sign_in`); `detail` never holds a secret."""
    connection.execute(
        "INSERT INTO audit (actor, address, action, subject, detail) VALUES (%s, %s, %s, %s, %s)",
        (actor, address, action, subject, Jsonb(dict(detail or {}))),
    )


def list_entries(connection: Connection, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest `limit` entries, newest first; `before` (an audit_id) pages on."""
    with connection.cursor(row_factory=class_row(AuditEntry)) as cursor:
        return cursor.execute(
            """
            SELECT audit_id, at, actor, address, action, subject, detail FROM audit
            WHERE %(before)s::bigint IS NULL OR audit_id < %(before)s
            ORDER BY audit_id DESC LIMIT %(limit)s
            """,
            {"before": before, "limit": limit},
        ).fetchall()
