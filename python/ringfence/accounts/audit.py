"""The audit trail: who changed what, from where, what it was and became; and every sign-in. Rows are only ever added.

An entry is written in the transaction of the change that it describes: there is no change without its entry,
and no entry of a change that was rolled back. The database itself refuses to change or delete one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

_PAGE = 1_000
_address: ContextVar[str | None] = ContextVar("address", default=None)


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

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class AuditFilter:
    """What is looked for; every condition must hold. `action` finds what it begins too: `policy` finds `policy.commit`.

    `text` is looked for in subject and detail, without regard to case. `before` is an audit_id to page on from.
    """

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 100


@contextmanager
def acting_from(address: str | None) -> Iterator[None]:
    """Whatever is recorded inside came from this address."""
    token = _address.set(address)
    try:
        yield
    finally:
        _address.reset(token)


def record(
    connection: Connection,
    actor: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> None:
    """Add an entry. `action` is a stable dotted word (`policy.install`, `sign_in`); `detail` never holds a secret."""
    connection.execute(
        "INSERT INTO audit (actor, address, action, subject, detail) VALUES (%s, %s, %s, %s, %s)",
        (actor, address or _address.get(), action, subject, Jsonb(dict(detail or {}))),
    )


def list_entries(connection: Connection, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest `limit` entries, newest first; `before` (an audit_id) pages on."""
    return find_entries(connection, AuditFilter(limit=limit, before=before))


def find_entries(connection: Connection, wanted: AuditFilter) -> list[AuditEntry]:
    """Entries that are looked for, newest first, at most `wanted.limit`."""
    conditions = asdict(wanted) | {
        "prefix": _like(wanted.action or "") + ".%",
        "containing": f"%{_like(wanted.text or '')}%",
    }
    with connection.cursor(row_factory=class_row(AuditEntry)) as cursor:
        return cursor.execute(
            """
            SELECT audit_id, at, actor, address, action, subject, detail FROM audit
            WHERE (%(before)s::bigint IS NULL OR audit_id < %(before)s)
              AND (%(actor)s::text IS NULL OR actor = %(actor)s)
              AND (%(action)s::text IS NULL OR action = %(action)s OR action LIKE %(prefix)s)
              AND (%(subject)s::text IS NULL OR subject = %(subject)s)
              AND (%(text)s::text IS NULL OR subject ILIKE %(containing)s OR detail::text ILIKE %(containing)s)
              AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
              AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
            ORDER BY audit_id DESC LIMIT %(limit)s
            """,
            conditions,
        ).fetchall()


def all_entries(connection: Connection, wanted: AuditFilter) -> Iterator[AuditEntry]:
    """Every entry that is looked for, newest first, read a page at a time."""
    page = replace(wanted, limit=_PAGE)
    while found := find_entries(connection, page):
        yield from found
        page = replace(page, before=found[-1].audit_id)


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
