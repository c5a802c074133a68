"""Lists as files, in and out: a million lines, all or nothing, every fault with its line.

parts of a file ─► ListReader (Rust: checks, canonical form, order) ─► COPY ─► staging table ─► one revision
list at a revision ─► pages of the database's own making ─► CSV or one number a line
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection, sql

from ringfence._native import ListBatch, ListReader
from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.lists.catalogue import Change, KeptList, begin_change, end_change, read_static
from ringfence.policy.rules import MAX_LIST_ENTRIES

Format = Literal["csv", "numbers"]
MAX_FAULTS = 100
MAX_FILE_BYTES = 512 << 20
_ROWS = 50_000  # of one COPY message
_EXPORT_ROWS = 20_000
_CSV_HEAD = b"pattern,note,expires\r\n"

# Told as the work goes on: what is done, of how much, of which phase.
Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Imported:
    """What an import came to. `read`: entries of the file; `repeated`: lines whose pattern came again later."""

    change: Change
    read: int
    repeated: int

    def as_json(self) -> dict[str, Any]:
        """Every field, those of the change among them."""
        return self.change.as_json() | {"read": self.read, "repeated": self.repeated}


def read_file(parts: Iterable[bytes], size: int, format_: Format, site: Site, told: Told) -> ListBatch:
    """Check a whole file. InvalidInputError `invalid.list_file` names every bad line, up to MAX_FAULTS."""
    reader = ListReader(format_, json.dumps(site.as_document()), MAX_LIST_ENTRIES, MAX_FAULTS)
    done = 0
    for part in parts:
        reader.feed(part)
        done += len(part)
        told(done, size, "checking")
    batch = reader.finish()
    if batch.fault_count:
        raise _refused(batch)
    return batch


def import_entries(
    connection: Connection,
    name: str,
    batch: ListBatch,
    actor: str,
    now: datetime,
    told: Told,
    *,
    replace: bool = False,
    origin: str = "import",
    what: str = "import",
    seen: int | None = None,
) -> Imported:
    """Put what was read on a static list as one revision; with `replace` nothing else stays on it.

    An entry that is there just so keeps who added it and when; one with another note or end is changed.
    """
    known = begin_change(connection, name, seen)
    _stage(connection, batch, told)
    told(len(batch), len(batch), "comparing")
    change = _merge(connection, known, replace, {"actor": actor, "now": now, "origin": origin})
    connection.execute("DROP TABLE staged_entry")
    if known.entries + change.added - change.removed > MAX_LIST_ENTRIES:
        raise ConflictError(f"list {name!r} would hold more than {MAX_LIST_ENTRIES} entries", code="conflict.full")
    if not change.is_change:
        return Imported(Change(known.revision), len(batch), batch.repeated)
    end_change(connection, known, change, what, actor, now)
    audit.record(connection, actor, f"list.{what}", name, change.as_json() | {"replace": replace, "origin": origin})
    return Imported(change, len(batch), batch.repeated)


def export_entries(connection: Connection, name: str, format_: Format, revision: int | None = None) -> Iterator[bytes]:
    """A list as a file that `read_file` takes again: ordered by pattern, in parts."""
    known = read_static(connection, name)
    at = known.revision if revision is None else revision
    if format_ == "csv":
        yield _CSV_HEAD
    after = ""
    while page := _export_page(connection, known, at, format_, after):
        body, after = page
        yield body


def _stage(connection: Connection, batch: ListBatch, told: Told) -> None:
    connection.execute(
        """
        CREATE TEMPORARY TABLE staged_entry (
            pattern text COLLATE "C" NOT NULL, low bigint, high bigint, note text NOT NULL, expires_at timestamptz
        ) ON COMMIT DROP
        """
    )
    with connection.cursor().copy("COPY staged_entry FROM STDIN (FORMAT binary)") as copy:
        for first in range(0, max(len(batch), 1), _ROWS):
            copy.write(batch.copy_rows(first, _ROWS))
            told(min(first + _ROWS, len(batch)), len(batch), "storing")
    connection.execute("ANALYZE staged_entry")


def _merge(connection: Connection, known: KeptList, replace: bool, values: dict[str, Any]) -> Change:
    """Staged entries into the list, by what differs."""
    revision = known.revision + 1
    values = values | {"list_id": known.list_id, "revision": revision}
    removed = changed = 0
    if known.entries:
        if replace:
            removed = connection.execute(
                """
                UPDATE policy_list_entry e SET until = %(revision)s
                WHERE e.list_id = %(list_id)s AND e.until IS NULL
                  AND NOT EXISTS (SELECT 1 FROM staged_entry s WHERE s.pattern = e.pattern)
                """,
                values,
            ).rowcount
        changed = connection.execute(
            """
            WITH ended AS (
                UPDATE policy_list_entry e SET until = %(revision)s FROM staged_entry s
                WHERE e.list_id = %(list_id)s AND e.until IS NULL AND s.pattern = e.pattern
                  AND (e.note, e.expires_at) IS DISTINCT FROM (s.note, s.expires_at)
                RETURNING e.pattern, e.origin, e.added_by, e.added_at
            )
            INSERT INTO policy_list_entry (list_id, since, pattern, low, high, note, expires_at, origin, added_by,
                                           added_at)
            SELECT %(list_id)s, %(revision)s, s.pattern, s.low, s.high, s.note, s.expires_at, d.origin, d.added_by,
                   d.added_at
            FROM ended d JOIN staged_entry s USING (pattern)
            """,
            values,
        ).rowcount
    added = connection.execute(
        sql.SQL(
            """
            INSERT INTO policy_list_entry (list_id, since, pattern, low, high, note, expires_at, origin, added_by,
                                           added_at)
            SELECT %(list_id)s, %(revision)s, s.pattern, s.low, s.high, s.note, s.expires_at, %(origin)s, %(actor)s,
                   %(now)s
            FROM staged_entry s {}
            """
        ).format(sql.SQL(_ONLY_NEW if known.entries else "")),
        values,
    ).rowcount
    return Change(revision, added, removed, changed)


_ONLY_NEW = """
    WHERE NOT EXISTS (SELECT 1 FROM policy_list_entry e
                      WHERE e.list_id = %(list_id)s AND e.until IS NULL AND e.pattern = s.pattern)
"""
# The apostrophe keeps a spreadsheet from running a note as a formula (CWE-1236); `ListReader` takes it away again.
_CSV_LINE = r"""
    pattern || ',' || CASE WHEN note = '' THEN '' ELSE
        '"' || replace(CASE WHEN note ~ E'^''*[=+@\t\r\n-]' THEN '''' || note ELSE note END, '"', '""') || '"' END
    || ',' || coalesce(to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '') || E'\r\n'
"""


def _export_page(
    connection: Connection, known: KeptList, revision: int, format_: Format, after: str
) -> tuple[bytes, str] | None:
    line = _CSV_LINE if format_ == "csv" else r"pattern || E'\n'"
    is_now = revision == known.revision
    held = "until IS NULL" if is_now else "since <= %(revision)s AND (until IS NULL OR until > %(revision)s)"
    row = connection.execute(
        sql.SQL(
            """
            SELECT string_agg(line, '' ORDER BY pattern), max(pattern) FROM (
                SELECT pattern, {line} AS line FROM policy_list_entry
                WHERE list_id = %(list_id)s AND {held} AND pattern > %(after)s ORDER BY pattern LIMIT %(limit)s
            ) AS page
            """
        ).format(line=sql.SQL(line), held=sql.SQL(held)),
        {"list_id": known.list_id, "revision": revision, "after": after, "limit": _EXPORT_ROWS},
    ).fetchone()
    return None if row is None or row[0] is None else (row[0].encode(), row[1])


def _refused(batch: ListBatch) -> InvalidInputError:
    faults = [{"line": line, "text": text, "problem": problem} for line, text, problem in batch.faults]
    count = batch.fault_count
    first = faults[0]
    more = f" (and {count - 1} more)" if count > 1 else ""
    return InvalidInputError(
        f"nothing was imported: line {first['line']}: {first['text']!r}: {first['problem']}{more}",
        code="invalid.list_file",
        detail={"faults": faults, "fault_count": count},
    )
