"""Entries of static lists: found, added, edited, taken off; each change is a revision of the list.

A row says how an entry was over a stretch of revisions. Changing an entry ends its row at the new revision and begins
another one, so what a committed version had is always there (docs/decisions/0010-lists.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import class_row

from ringfence._native import pattern_span
from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.dynamic import check_pattern
from ringfence.policy.lists.catalogue import MAX_NOTE, Change, KeptList, begin_change, end_change, read_static
from ringfence.policy.rules import MAX_LIST_ENTRIES

MAX_PAGE = 10_000
_READ = (
    "SELECT pattern, note, origin, added_by, added_at, expires_at FROM policy_list_entry WHERE list_id = %(list_id)s"
)


@dataclass(frozen=True)
class StaticEntry:
    """One entry of a static list. `expires_at` None: it stays until it is removed."""

    pattern: str
    note: str
    origin: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Every field, times as ISO 8601."""
        return asdict(self) | {
            "added_at": self.added_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


@dataclass(frozen=True)
class EntryFilter:
    """Which entries: each field narrows. `number` finds the entries under which a number falls."""

    pattern: str | None = None  # the text begins so
    number: str | None = None  # +E.164
    note: str | None = None  # the note holds this, in any case
    revision: int | None = None  # as the list was at a revision; None: now
    ends_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Entries in the order of their patterns; `after` asks for the following ones, None at the end."""

    revision: int
    entries: list[StaticEntry]
    after: str | None


def find_entries(
    connection: Connection, name: str, wanted: EntryFilter | None = None, *, after: str = "", limit: int = 100
) -> Page:
    """A page of a static list's entries, from behind pattern `after`."""
    wanted = wanted or EntryFilter()
    known = read_static(connection, name)
    revision = known.revision if wanted.revision is None else wanted.revision
    if not 0 <= revision <= known.revision:
        raise NotFoundError(f"list {name!r} has no revision {revision}; its newest is {known.revision}")
    conditions, values = _conditions(known, wanted)
    query = sql.SQL(_READ + " AND {} AND pattern > %(after)s ORDER BY pattern LIMIT %(limit)s")
    with connection.cursor(row_factory=class_row(StaticEntry)) as cursor:
        found = cursor.execute(
            query.format(sql.SQL(" AND ").join(map(sql.SQL, conditions))),
            values | {"after": after, "limit": min(limit, MAX_PAGE) + 1},
        ).fetchall()
    page = found[: min(limit, MAX_PAGE)]
    return Page(revision, page, page[-1].pattern if len(found) > len(page) else None)


def find_entry(connection: Connection, name: str, pattern: str) -> StaticEntry | None:
    """The entry with exactly this pattern."""
    known = read_static(connection, name)
    return _read(connection, known, _span(pattern)[0])


def add_entry(
    connection: Connection,
    site: Site,
    name: str,
    pattern: str,
    actor: str,
    now: datetime,
    *,
    note: str = "",
    expires_at: datetime | None = None,
    origin: str = "by hand",
    seen: int | None = None,
) -> tuple[StaticEntry, Change]:
    """Put a pattern on a static list; one that is there gets the new note and end. `seen`: as in `begin_change`."""
    canonical = check_pattern(pattern, site)
    _check(note, expires_at, now)
    known = begin_change(connection, name, seen)
    before = _read(connection, known, canonical)
    entry = StaticEntry(canonical, note, origin, actor, now, expires_at)
    if before is not None:
        return _edit(connection, known, before, replace(before, note=note, expires_at=expires_at), actor, now)
    if known.entries >= MAX_LIST_ENTRIES:
        raise ConflictError(f"list {name!r} holds {MAX_LIST_ENTRIES} entries, the most", code="conflict.full")
    change = Change(known.revision + 1, added=1)
    _insert(connection, known, entry, change.revision)
    end_change(connection, known, change, "add", actor, now)
    audit.record(connection, actor, "list.add", name, {"revision": change.revision, "after": entry.as_json()})
    return entry, change


def edit_entry(
    connection: Connection,
    name: str,
    pattern: str,
    actor: str,
    now: datetime,
    *,
    note: str,
    expires_at: datetime | None,
    seen: int | None = None,
) -> tuple[StaticEntry, Change]:
    """Give an entry another note and end. NotFoundError when it is not on the list."""
    canonical = _span(pattern)[0]
    _check(note, expires_at, now)
    known = begin_change(connection, name, seen)
    before = _read(connection, known, canonical)
    if before is None:
        raise NotFoundError(f"{canonical} is not on list {name!r}")
    return _edit(connection, known, before, replace(before, note=note, expires_at=expires_at), actor, now)


def remove_entries(
    connection: Connection, name: str, patterns: Sequence[str], actor: str, now: datetime, *, seen: int | None = None
) -> Change:
    """Take patterns off a static list; those that are not on it are passed over."""
    canonical = sorted({_span(pattern)[0] for pattern in patterns})
    known = begin_change(connection, name, seen)
    revision = known.revision + 1
    removed = connection.execute(
        "UPDATE policy_list_entry SET until = %s WHERE list_id = %s AND until IS NULL AND pattern = ANY(%s)",
        (revision, known.list_id, canonical),
    ).rowcount
    if not removed:
        return Change(known.revision)
    change = Change(revision, removed=removed)
    end_change(connection, known, change, "remove", actor, now)
    shown = canonical[:100]
    audit.record(connection, actor, "list.remove", name, {"revision": revision, "removed": removed, "patterns": shown})
    return change


def _edit(
    connection: Connection, known: KeptList, before: StaticEntry, after: StaticEntry, actor: str, now: datetime
) -> tuple[StaticEntry, Change]:
    if before == after:
        return before, Change(known.revision)
    change = Change(known.revision + 1, changed=1)
    connection.execute(
        "UPDATE policy_list_entry SET until = %s WHERE list_id = %s AND until IS NULL AND pattern = %s",
        (change.revision, known.list_id, before.pattern),
    )
    _insert(connection, known, after, change.revision)
    end_change(connection, known, change, "edit", actor, now)
    detail = {"revision": change.revision, "before": before.as_json(), "after": after.as_json()}
    audit.record(connection, actor, "list.edit", known.name, detail)
    return after, change


def _insert(connection: Connection, known: KeptList, entry: StaticEntry, revision: int) -> None:
    _, low, high = _span(entry.pattern)
    connection.execute(
        """
        INSERT INTO policy_list_entry (list_id, since, low, high, pattern, note, origin, added_by, added_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            known.list_id,
            revision,
            low,
            high,
            entry.pattern,
            entry.note,
            entry.origin,
            entry.added_by,
            entry.added_at,
            entry.expires_at,
        ),
    )


def _read(connection: Connection, known: KeptList, pattern: str) -> StaticEntry | None:
    with connection.cursor(row_factory=class_row(StaticEntry)) as cursor:
        return cursor.execute(
            _READ + " AND until IS NULL AND pattern = %(pattern)s", {"list_id": known.list_id, "pattern": pattern}
        ).fetchone()


def _conditions(known: KeptList, wanted: EntryFilter) -> tuple[list[str], dict[str, Any]]:
    """What `wanted` says, as SQL."""
    values: dict[str, Any] = {"list_id": known.list_id}
    conditions = []
    if wanted.revision is None or wanted.revision == known.revision:
        conditions.append("until IS NULL")
    else:
        conditions.append("since <= %(revision)s AND (until IS NULL OR until > %(revision)s)")
        values["revision"] = wanted.revision
    if wanted.pattern:
        conditions.append("starts_with(pattern, %(pattern)s)")
        values["pattern"] = wanted.pattern
    if wanted.number:
        conditions.append(
            "(pattern = ANY(%(covering)s) OR (low < high AND high >= %(number)s AND low <= %(number)s)"
            " OR (strpos(pattern, '?') > 0 AND %(text)s LIKE replace(pattern, '?', '_')))"
        )
        values |= _covering(wanted.number)
    if wanted.note:
        conditions.append("strpos(lower(note), lower(%(note)s)) > 0")
        values["note"] = wanted.note
    if wanted.ends_before is not None:
        conditions.append("expires_at < %(ends_before)s")
        values["ends_before"] = wanted.ends_before
    return conditions, values


def _covering(number: str) -> dict[str, Any]:
    """The texts of every exact pattern and prefix that hold a number, and the number itself."""
    canonical, low, high = _span(number)
    if low is None or low != high:
        raise InvalidInputError(f"number: {number!r} is not one number; expected such as +12105550100", code="invalid")
    covering = [canonical, *(f"{canonical[:end]}*" for end in range(2, len(canonical) + 1))]
    return {"covering": covering, "number": low, "text": canonical}


def _span(pattern: str) -> tuple[str, int | None, int | None]:
    try:
        return pattern_span(pattern.strip())
    except ValueError as error:
        raise InvalidInputError(f"pattern: {pattern!r}: {error}", code="invalid.entry") from None


def _check(note: str, expires_at: datetime | None, now: datetime) -> None:
    if len(note) > MAX_NOTE or "\0" in note:
        raise InvalidInputError(
            f"note: has {len(note)} characters; expected at most {MAX_NOTE}, none of them NUL", code="invalid.entry"
        )
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError(
            f"expires_at: {expires_at.isoformat()} is past; expected a time to come", code="invalid.entry"
        )
