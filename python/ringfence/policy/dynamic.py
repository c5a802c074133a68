"""Dynamic entries: what operators and detections put on a policy's dynamic lists, without a policy version.

    add, remove ──► dynamic_entry (what acts) + dynamic_change (which entries each change touched)
                         └── NOTIFY at commit ──► mediation's feed ──► long polls of the edges wake

Every change has a number, greater than all before. Numbers are microseconds of the clock: a database restored from a
backup goes on above what it once gave out, so an edge that has seen a lost change is told the whole set. Changes are
made one after the other (advisory lock), so that none becomes visible after a greater one. An entry that has ended
acts nowhere, by each edge's own clock; `expire` only tidies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from ringfence._native import DynamicEntries, canonical_pattern
from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.policy import versions

CHANNEL = "ringfence_entries"  # NOTIFY channel: payload is the number of the change
FORMAT = 1
MAX_ENTRIES = 100_000  # over all lists; the data plane refuses more
MAX_NOTE = 1000
MAX_LASTS = timedelta(days=3660)
CHANGES_KEPT = timedelta(days=1)
_LOCK = 7_201_004  # advisory lock: changes one after the other


@dataclass(frozen=True)
class Entry:
    """One entry of a dynamic list. `expires_at` None: it stays until it is removed."""

    list: str
    pattern: str
    note: str
    origin: str
    added_at: datetime
    expires_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Every field, times as ISO 8601."""
        return {
            "list": self.list,
            "pattern": self.pattern,
            "note": self.note,
            "origin": self.origin,
            "added_at": self.added_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


@dataclass(frozen=True)
class Outcome:
    """What adding came to; with `is_changed` false the entry was there just so."""

    entry: Entry
    is_changed: bool


def add_entry(
    connection: Connection,
    site: Site,
    name: str,
    pattern: str,
    origin: str,
    now: datetime,
    *,
    note: str = "",
    lasts: timedelta | None = None,
) -> Outcome:
    """Put a pattern on a dynamic list, for `lasts` or until it is removed. One that is there gets the new end and note.

    Refused: a list that neither the installed policy declares nor somebody made, a protected destination, more than
    MAX_ENTRIES.
    """
    declared = _declared(connection, name)
    canonical = check_pattern(pattern, site, declared.protected)
    if len(note) > MAX_NOTE:
        raise _invalid(f"note: has {len(note)} characters; expected at most {MAX_NOTE}")
    if lasts is not None and not timedelta(0) < lasts <= MAX_LASTS:
        raise _invalid(f"expires: {lasts} is not a duration; expected more than nothing and at most {MAX_LASTS.days} d")
    expires_at = now + lasts if lasts is not None else None
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    known = _read(connection, name, canonical)
    acts = known is not None and (known.expires_at is None or known.expires_at > now)
    if known is not None and acts and (known.note, known.expires_at) == (note, expires_at):
        return Outcome(known, is_changed=False)
    if known is None:
        _check_room(connection, now)
    connection.execute(
        """
        INSERT INTO dynamic_entry (list, pattern, note, origin, added_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (list, pattern) DO UPDATE
        SET note = excluded.note, origin = excluded.origin, added_at = excluded.added_at,
            expires_at = excluded.expires_at
        """,
        (name, canonical, note, origin, now, expires_at),
    )
    entry = Entry(name, canonical, note, origin, now, expires_at)
    _record_change(connection, now, [(name, canonical)])
    detail = {"pattern": canonical, "expires_at": entry.as_json()["expires_at"], "note": note}
    audit.record(connection, origin, "list.add", name, detail)
    return Outcome(entry, is_changed=True)


def remove_entry(connection: Connection, name: str, pattern: str, actor: str, now: datetime) -> bool:
    """Take a pattern off a dynamic list; whether it was on it. Also of a list that no policy declares any more."""
    canonical = _canonical(pattern)
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    removed = connection.execute("DELETE FROM dynamic_entry WHERE list = %s AND pattern = %s", (name, canonical))
    if removed.rowcount == 0:
        return False
    _record_change(connection, now, [(name, canonical)])
    audit.record(connection, actor, "list.remove", name, {"pattern": canonical})
    return True


def list_entries(connection: Connection, name: str, now: datetime, limit: int = MAX_ENTRIES) -> list[Entry]:
    """The acting entries of a list, newest first. NotFoundError when no policy declares it and it holds none."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(
            """
            SELECT list, pattern, note, origin, added_at, expires_at FROM dynamic_entry
            WHERE list = %s AND (expires_at IS NULL OR expires_at > %s) ORDER BY added_at DESC, pattern LIMIT %s
            """,
            (name, now, limit),
        ).fetchall()
    if not found:
        _declared(connection, name)
    return found


def find_entry(connection: Connection, name: str, pattern: str, now: datetime) -> Entry | None:
    """The acting entry with exactly this pattern in canonical form, whether or not any policy declares the list."""
    known = _read(connection, name, pattern)
    return known if known is not None and (known.expires_at is None or known.expires_at > now) else None


def acting_entries(connection: Connection, name: str, now: datetime) -> list[Entry]:
    """The acting entries of a list, whether or not any policy declares it."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            """
            SELECT list, pattern, note, origin, added_at, expires_at FROM dynamic_entry
            WHERE list = %s AND (expires_at IS NULL OR expires_at > %s) ORDER BY added_at DESC, pattern
            """,
            (name, now),
        ).fetchall()


def expire(connection: Connection, now: datetime) -> int:
    """Tidy: forget entries that have ended, and changes older than a day. How many entries went.

    Tells nobody: edges hold the ends themselves.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    gone = connection.execute("DELETE FROM dynamic_entry WHERE expires_at <= %s", (now,)).rowcount
    # The newest change stays: its number is what every edge that is up to date has.
    connection.execute(
        "DELETE FROM dynamic_change WHERE change < %s AND change < (SELECT max(change) FROM dynamic_change)",
        (_us(now - CHANGES_KEPT),),
    )
    return gone


def last_change(connection: Connection) -> int:
    """Number of the newest change; 0 when there never was one."""
    row = connection.execute("SELECT coalesce(max(change), 0) FROM dynamic_change").fetchone()
    return int(row[0]) if row else 0


def changes_since(connection: Connection, have: int, now: datetime) -> dict[str, Any]:
    """What an edge that has change `have` lacks (docs/contracts.md 2): `since` null is the whole set.

    All of one moment: every query sees what the change number sees.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    newest = last_change(connection)
    is_known = connection.execute("SELECT 1 FROM dynamic_change WHERE change = %s LIMIT 1", (have,)).fetchone()
    if is_known is None:
        return {"format": FORMAT, "change": newest, "since": None, "lists": _acting(connection, now), "removed": {}}
    rows = connection.execute(
        """
        SELECT DISTINCT c.list, c.pattern, e.pattern IS NOT NULL AS is_there, e.expires_at
        FROM dynamic_change c LEFT JOIN dynamic_entry e USING (list, pattern) WHERE c.change > %s
        """,
        (have,),
    ).fetchall()
    lists: dict[str, dict[str, int | None]] = {}
    removed: dict[str, list[str]] = {}
    for name, pattern, is_there, expires_at in rows:
        if is_there:
            lists.setdefault(name, {})[pattern] = _end_us(expires_at)
        else:
            removed.setdefault(name, []).append(pattern)
    return {"format": FORMAT, "change": newest, "since": have, "lists": lists, "removed": removed}


def compile_entries(connection: Connection, now: datetime) -> DynamicEntries:
    """All acting entries, as an edge has them: for explaining."""
    document = {"format": FORMAT, "change": 0, "lists": _acting(connection, now)}
    return DynamicEntries(json.dumps(document, separators=(",", ":")).encode())


def check_pattern(pattern: str, site: Site, protected: Iterable[str] = ()) -> str:
    """A pattern's canonical form. InvalidInputError: it is none, it is any number, or it is a protected destination."""
    digits = pattern.strip().removeprefix("+")
    plan = dial_plan_of(site.country)
    emergency = {number.removeprefix("+") for number in (*plan.emergency, *protected)}
    if digits in emergency or (digits.removeprefix(plan.country_code) in emergency and digits.isdigit()):
        raise _invalid(
            f"pattern: {pattern} is an emergency number or another protected destination; "
            "those are allowed before any rule and cannot be put on a list"
        )
    canonical = _canonical(pattern)
    if canonical == "*":
        raise _invalid("pattern: * is every number; a dynamic entry is a number, a prefix, a range or a wildcard")
    return canonical


def _canonical(pattern: str) -> str:
    try:
        return canonical_pattern(pattern.strip())
    except ValueError as error:
        raise _invalid(f"pattern: {pattern!r}: {error}") from None


def _declared(connection: Connection, name: str) -> versions.DynamicLists:
    declared = versions.installed_dynamic_lists(connection)
    if name not in declared.names and not _is_kept(connection, name):
        known = f"it declares {', '.join(declared.names)}" if declared.names else "it declares none"
        of = f"policy version {declared.version}" if declared.version else "a policy, and none is installed"
        raise NotFoundError(
            f"list {name!r} is not a dynamic list of {of}; {known}: `lists: {{{name}: {{dynamic: true}}}}`"
        )
    return declared


def _is_kept(connection: Connection, name: str) -> bool:
    """Made by `ringfence list create --dynamic`: its entries wait for a policy that names it."""
    query = "SELECT 1 FROM policy_list WHERE name = %s AND kind = 'dynamic' AND deleted_at IS NULL"
    return connection.execute(query, (name,)).fetchone() is not None


def _check_room(connection: Connection, now: datetime) -> None:
    row = connection.execute(
        "SELECT count(*) FROM dynamic_entry WHERE expires_at IS NULL OR expires_at > %s", (now,)
    ).fetchone()
    if row is not None and row[0] >= MAX_ENTRIES:
        raise ConflictError(
            f"dynamic lists hold {MAX_ENTRIES} entries, the most; remove some, or put them into the policy's lists",
            code="conflict.full",
        )


def _read(connection: Connection, name: str, pattern: str) -> Entry | None:
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            """
            SELECT list, pattern, note, origin, added_at, expires_at FROM dynamic_entry
            WHERE list = %s AND pattern = %s
            """,
            (name, pattern),
        ).fetchone()


def _record_change(connection: Connection, now: datetime, touched: list[tuple[str, str]]) -> None:
    """Number the change and wake the mediations. Within the lock."""
    change = max(last_change(connection) + 1, _us(now))
    for name, pattern in touched:
        connection.execute(
            "INSERT INTO dynamic_change (change, list, pattern) VALUES (%s, %s, %s)", (change, name, pattern)
        )
    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(change)))


def _acting(connection: Connection, now: datetime) -> dict[str, dict[str, int | None]]:
    lists: dict[str, dict[str, int | None]] = {}
    rows = connection.execute(
        "SELECT list, pattern, expires_at FROM dynamic_entry WHERE expires_at IS NULL OR expires_at > %s", (now,)
    )
    for name, pattern, expires_at in rows:
        lists.setdefault(name, {})[pattern] = _end_us(expires_at)
    return lists


def _end_us(expires_at: datetime | None) -> int | None:
    return None if expires_at is None else _us(expires_at)


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="invalid.entry")
