"""The lists themselves: created, described, deleted. A list is *static* (it acts by policy versions) or *dynamic*.

Static lists change by revisions: whoever changes entries holds the list's row locked, names the revision that it has
seen where it matters, and makes the next one (`begin_change`, `end_change`). Nothing of a revision acts before a
policy version has been committed with it and installed.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

Kind = Literal["static", "dynamic"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
MAX_NOTE = 1000
MAX_LISTS = 10_000
_READ = """
    SELECT list_id, name, kind, note, revision, entries, created_by, created_at, changed_by, changed_at
    FROM policy_list WHERE deleted_at IS NULL
"""


@dataclass(frozen=True)
class KeptList:
    """A list. `revision` and `entries` are of a static one; 0 for a dynamic one."""

    list_id: int
    name: str
    kind: Kind
    note: str
    revision: int
    entries: int
    created_by: str
    created_at: datetime
    changed_by: str
    changed_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Every field but the internal number, times as ISO 8601."""
        fields = asdict(self)
        del fields["list_id"]
        return fields | {"created_at": self.created_at.isoformat(), "changed_at": self.changed_at.isoformat()}


@dataclass(frozen=True)
class Revision:
    """One change of a static list."""

    revision: int
    at: datetime
    actor: str
    what: str
    added: int
    removed: int
    changed: int
    entries: int
    content: str | None

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Change:
    """What a change came to; all 0: it was so already and there is no new revision."""

    revision: int
    added: int = 0
    removed: int = 0
    changed: int = 0

    @property
    def is_change(self) -> bool:
        """Whether the list is another now."""
        return bool(self.added or self.removed or self.changed)

    def as_json(self) -> dict[str, Any]:
        """Revision after it, and how many entries it touched."""
        return asdict(self)


def create_list(
    connection: Connection, name: str, kind: Kind, actor: str, now: datetime, *, note: str = ""
) -> KeptList:
    """Make an empty list. ConflictError when there is one of this name."""
    if not NAME.fullmatch(name):
        raise _invalid(f"name: {name!r}: expected 1 to 64 letters, digits, spaces or ._- and a letter or digit first")
    _check_note(note)
    connection.execute("LOCK TABLE policy_list IN SHARE ROW EXCLUSIVE MODE")
    row = connection.execute("SELECT count(*) FROM policy_list WHERE deleted_at IS NULL").fetchone()
    if row is not None and row[0] >= MAX_LISTS:
        raise ConflictError(f"there are {MAX_LISTS} lists, the most; delete some", code="conflict.full")
    if find_list(connection, name) is not None:
        raise ConflictError(f"list {name!r} exists already", code="conflict.exists")
    connection.execute(
        """
        INSERT INTO policy_list (name, kind, note, created_by, created_at, changed_by, changed_at)
        VALUES (%(name)s, %(kind)s, %(note)s, %(actor)s, %(now)s, %(actor)s, %(now)s)
        """,
        {"name": name, "kind": kind, "note": note, "actor": actor, "now": now},
    )
    audit.record(connection, actor, "list.create", name, {"kind": kind, "note": note})
    return read_list(connection, name)


def describe_list(connection: Connection, name: str, note: str, actor: str, now: datetime) -> KeptList:
    """Give a list another note."""
    _check_note(note)
    known = read_list(connection, name)
    if known.note != note:
        connection.execute(
            "UPDATE policy_list SET note = %s, changed_by = %s, changed_at = %s WHERE list_id = %s",
            (note, actor, now, known.list_id),
        )
        audit.record(connection, actor, "list.describe", name, {"before": known.note, "after": note})
    return read_list(connection, name)


def delete_list(connection: Connection, name: str, actor: str, now: datetime) -> None:
    """Take a list away. Versions keep their contents; a policy that still names the list does not commit."""
    known = read_list(connection, name, lock=True)
    connection.execute("UPDATE policy_list SET deleted_at = %s WHERE list_id = %s", (now, known.list_id))
    connection.execute("DELETE FROM policy_list_feed WHERE list_id = %s", (known.list_id,))
    audit.record(connection, actor, "list.delete", name, {"kind": known.kind, "entries": known.entries})


def all_lists(connection: Connection) -> list[KeptList]:
    """Every list, by name."""
    with connection.cursor(row_factory=class_row(KeptList)) as cursor:
        return cursor.execute(_READ + " ORDER BY lower(name), name").fetchall()


def find_list(connection: Connection, name: str, *, lock: bool = False) -> KeptList | None:
    """A list by its name. With `lock` nobody else changes it before this transaction ends."""
    query = _READ + " AND name = %s"
    with connection.cursor(row_factory=class_row(KeptList)) as cursor:
        return cursor.execute(query + (" FOR UPDATE" if lock else ""), (name,)).fetchone()


def read_list(connection: Connection, name: str, *, lock: bool = False) -> KeptList:
    """As `find_list`. NotFoundError."""
    found = find_list(connection, name, lock=lock)
    if found is None:
        raise NotFoundError(f"list {name!r} does not exist; `ringfence list create {name!r}` makes it")
    return found


def read_static(connection: Connection, name: str, *, lock: bool = False) -> KeptList:
    """As `read_list`, and a static one. InvalidInputError for a dynamic one."""
    found = read_list(connection, name, lock=lock)
    if found.kind != "static":
        raise _invalid(f"list {name!r} is dynamic; this is for static lists")
    return found


def begin_change(connection: Connection, name: str, seen: int | None = None) -> KeptList:
    """Lock a static list for a change. `seen`: the revision that the editor has looked at.

    ConflictError `conflict.list` when somebody changed it since; its detail says who, when and what.
    """
    known = read_static(connection, name, lock=True)
    if seen is None or seen == known.revision:
        return known
    newer = [revision for revision in list_revisions(connection, name) if revision.revision > seen]
    by = ", ".join(sorted({revision.actor for revision in newer})) or known.changed_by
    raise ConflictError(
        f"list {name!r} was changed by {by} and is at revision {known.revision}, not {seen} any more; nothing was "
        "changed: look at it again and repeat what is still needed",
        code="conflict.list",
        detail={"revision": known.revision, "seen": seen, "changes": [revision.as_json() for revision in newer]},
    )


def end_change(connection: Connection, known: KeptList, change: Change, what: str, actor: str, now: datetime) -> None:
    """Record the revision that `begin_change` opened the way for."""
    entries = known.entries + change.added - change.removed
    connection.execute(
        """
        INSERT INTO policy_list_revision (list_id, revision, at, actor, what, added, removed, changed, entries)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (known.list_id, change.revision, now, actor, what, change.added, change.removed, change.changed, entries),
    )
    connection.execute(
        "UPDATE policy_list SET revision = %s, entries = %s, changed_by = %s, changed_at = %s WHERE list_id = %s",
        (change.revision, entries, actor, now, known.list_id),
    )


def list_revisions(connection: Connection, name: str, limit: int = 100) -> list[Revision]:
    """The newest changes of a static list, newest first."""
    known = read_static(connection, name)
    with connection.cursor(row_factory=class_row(Revision)) as cursor:
        return cursor.execute(
            """
            SELECT revision, at, actor, what, added, removed, changed, entries, content FROM policy_list_revision
            WHERE list_id = %s ORDER BY revision DESC LIMIT %s
            """,
            (known.list_id, limit),
        ).fetchall()


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE or "\0" in note:
        raise _invalid(f"note: has {len(note)} characters; expected at most {MAX_NOTE}, none of them NUL")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="invalid.list")
