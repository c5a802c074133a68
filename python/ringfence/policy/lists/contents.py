"""Contents of lists: the octets that edges compile, named by their SHA-256 (docs/contracts.md 4).

    list at a revision ── built once ──► content (hash, parts) ◄── named by ── version's document
A content is never changed. It is put together by the database, in parts of 20,000 lines: nobody holds a row of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from ringfence._native import list_contents
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.policy.lists.catalogue import KeptList, find_list
from ringfence.policy.rules import NumberList, Policy

HEAD = b"ringfence-list 1\n"
_LINES = 20_000  # of one part


@dataclass(frozen=True)
class Pinned:
    """A content that a policy's list has. Without list and revision the policy names the content itself."""

    content: str
    list_id: int | None = None
    revision: int | None = None


def pin(connection: Connection, policy: Policy, now: datetime) -> tuple[Policy, dict[str, Pinned]]:
    """The policy with the content of each of its stored lists as they are now, and which these are.

    InvalidInputError for a stored list that does not exist, and for a content that nobody has.
    """
    pins: dict[str, Pinned] = {}
    for name, numbers in policy.lists.items():
        if numbers.stored:
            pins[name] = _of_stored(connection, name, now)
        elif numbers.content is not None:
            _check_exists(connection, name, numbers.content)
            pins[name] = Pinned(numbers.content)
    return with_pins(policy, pins), pins


def with_pins(policy: Policy, pins: Mapping[str, Pinned]) -> Policy:
    """The policy whose lists have these contents."""
    lists: Mapping[str, NumberList] = policy.lists | {
        name: policy.lists[name].model_copy(update={"content": pinned.content}) for name, pinned in pins.items()
    }
    return policy.model_copy(update={"lists": lists}) if pins else policy


def record(connection: Connection, version: int, pins: Mapping[str, Pinned]) -> None:
    """Keep which contents a version has."""
    for name, pinned in pins.items():
        connection.execute(
            "INSERT INTO policy_version_list (version, name, content, list_id, revision) VALUES (%s, %s, %s, %s, %s)",
            (version, name, pinned.content, pinned.list_id, pinned.revision),
        )


def of_version(connection: Connection, version: int) -> dict[str, Pinned]:
    """The contents that a version has, by the name of the list."""
    rows = connection.execute(
        "SELECT name, content, list_id, revision FROM policy_version_list WHERE version = %s", (version,)
    ).fetchall()
    return {name: Pinned(content, list_id, revision) for name, content, list_id, revision in rows}


def read_pinned(connection: Connection, pins: Mapping[str, Pinned]) -> dict[str, bytes]:
    """The contents of pins, by hash, as the compiler takes them."""
    return {pinned.content: read_content(connection, pinned.content) for pinned in pins.values()}


def contents_for(connection: Connection, document: bytes) -> dict[str, bytes]:
    """The contents that a document names, by hash, as the compiler takes them. NotFoundError when one is missing."""
    return {hash_: read_content(connection, hash_) for hash_ in list_contents(document)}


def read_content(connection: Connection, content: str) -> bytes:
    """All octets of a content. NotFoundError."""
    return b"".join(content_parts(connection, content_id(connection, content)))


def patterns_of(connection: Connection, content: str) -> tuple[str, ...]:
    """The patterns of a content, ascending. NotFoundError."""
    lines = read_content(connection, content)[len(HEAD) :].decode().splitlines()
    return tuple(line.partition(" ")[0] for line in lines)


def content_id(connection: Connection, content: str) -> int:
    """The number under which a content's parts are kept. NotFoundError."""
    row = connection.execute("SELECT content_id FROM policy_content WHERE hash = %s", (content,)).fetchone()
    if row is None:
        raise NotFoundError(f"list content {content} does not exist")
    return int(row[0])


def content_parts(connection: Connection, number: int) -> Iterator[bytes]:
    """The octets of a content, in parts of some hundred KiB."""
    yield HEAD
    part = 0
    while (body := read_part(connection, number, part)) is not None:
        yield body
        part += 1


def read_part(connection: Connection, number: int, part: int) -> bytes | None:
    """One part; None behind the last."""
    row = connection.execute(
        "SELECT body FROM policy_content_part WHERE content_id = %s AND part = %s", (number, part), binary=True
    ).fetchone()
    return bytes(row[0]) if row is not None else None


def content_size(connection: Connection, content: str) -> int:
    """Octets of a content. NotFoundError."""
    row = connection.execute("SELECT bytes FROM policy_content WHERE hash = %s", (content,)).fetchone()
    if row is None:
        raise NotFoundError(f"list content {content} does not exist")
    return int(row[0])


def content_of(connection: Connection, known: KeptList, now: datetime) -> str:
    """Hash of a static list's content at its newest revision, which is built when nobody needed it yet.

    Entries that have ended by then are left out.
    """
    row = connection.execute(
        "SELECT content FROM policy_list_revision WHERE list_id = %s AND revision = %s", (known.list_id, known.revision)
    ).fetchone()
    if row is not None and row[0] is not None:
        return str(row[0])
    content = _build(connection, known, now)
    connection.execute(
        "UPDATE policy_list_revision SET content = %s WHERE list_id = %s AND revision = %s",
        (content, known.list_id, known.revision),
    )
    return content


def prune(connection: Connection) -> int:
    """Forget contents that no version has and no list has now. How many went."""
    rows = connection.execute(
        """
        DELETE FROM policy_content c
        WHERE NOT EXISTS (SELECT 1 FROM policy_version_list v WHERE v.content = c.hash)
          AND NOT EXISTS (SELECT 1 FROM policy_list_revision r JOIN policy_list l USING (list_id, revision)
                          WHERE r.content = c.hash)
          AND c.created_at < now() - interval '1 day'
        RETURNING content_id, hash
        """
    ).fetchall()
    numbers, hashes = [row[0] for row in rows], [row[1] for row in rows]
    connection.execute("DELETE FROM policy_content_part WHERE content_id = ANY(%s)", (numbers,))
    connection.execute("UPDATE policy_list_revision SET content = NULL WHERE content = ANY(%s)", (hashes,))
    return len(rows)


def _of_stored(connection: Connection, name: str, now: datetime) -> Pinned:
    # Locked until the version is committed: what is pinned is what stands there.
    known = find_list(connection, name, lock=True)
    if known is None or known.kind != "static":
        raise InvalidInputError(
            f"list {name!r}: is stored, and there is no static list of this name; make it: `ringfence list create`",
            code="invalid.policy",
        )
    return Pinned(content_of(connection, known, now), known.list_id, known.revision)


def _check_exists(connection: Connection, name: str, content: str) -> None:
    if connection.execute("SELECT 1 FROM policy_content WHERE hash = %s", (content,)).fetchone() is None:
        raise InvalidInputError(
            f"list {name!r}: content: {content} is not in this database; write `stored: true`, or the entries",
            code="invalid.policy",
        )


def _build(connection: Connection, known: KeptList, now: datetime) -> str:
    row = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('policy_content', 'content_id'))::integer"
    ).fetchone()
    assert row is not None  # noqa: S101 - a sequence gives a number
    number = int(row[0])
    connection.execute(
        """
        INSERT INTO policy_content_part (content_id, part, body)
        SELECT %(number)s, place / %(lines)s, convert_to(string_agg(
            pattern || coalesce(' ' || (extract(epoch FROM expires_at) * 1000000)::bigint, '') || E'\\n', ''
            ORDER BY pattern), 'UTF8')
        FROM (SELECT pattern, expires_at, row_number() OVER (ORDER BY pattern) - 1 AS place FROM policy_list_entry
              WHERE list_id = %(list_id)s AND until IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)) AS entry
        GROUP BY place / %(lines)s
        """,
        {"number": number, "lines": _LINES, "list_id": known.list_id, "now": now},
    )
    size, lines, hash_ = _measure(content_parts(connection, number))
    made = connection.execute(
        """
        INSERT INTO policy_content (content_id, hash, bytes, entries) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s)
        ON CONFLICT (hash) DO NOTHING
        """,
        (number, hash_, size, lines - 1),
    ).rowcount
    if not made:  # the same entries as another list or revision
        connection.execute("DELETE FROM policy_content_part WHERE content_id = %s", (number,))
    return hash_


def _measure(parts: Iterable[bytes]) -> tuple[int, int, str]:
    size = lines = 0
    digest = hashlib.sha256()
    for part in parts:
        size += len(part)
        lines += part.count(b"\n")
        digest.update(part)
    return size, lines, digest.hexdigest()
