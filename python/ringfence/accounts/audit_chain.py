"""The audit trail as a chain of hashes: what was altered, taken out or put in afterwards shows.

    hash(n) = SHA-256( hash(n-1) ‖ [n, audit_id, µs since 1970, actor, address, action, subject, detail] )

The bracket is PostgreSQL's text of the jsonb array, in UTF-8; hash(0) is empty. The database makes each link at the
commit of its entry (migration 0014). Here it is followed with hashes of our own, so that a changed function in the
database fools nobody.

A chain that was cut at its end, or made anew from a changed entry on, is whole in itself: only an `Anchor` that was
kept elsewhere shows that. The mediation keeps one in its data folder; `ringfence audit anchor` prints one to keep.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from psycopg import Connection

from ringfence.errors import InvalidInputError

_BATCH = 5_000
_ANCHOR = re.compile(r"(?P<place>[1-9][0-9]{0,18}):(?P<hash>[0-9a-f]{64})")

# The content stands here beside the migration's function: who changes that one is found out.
_READ = """
    SELECT l.place, coalesce(l.audit_id, a.audit_id), l.hash,
           convert_to(jsonb_build_array(l.place, a.audit_id, (extract(epoch FROM a.at) * 1000000)::bigint,
                      a.actor, a.address, a.action, a.subject, a.detail)::text, 'UTF8'),
           a.audit_id IS NOT NULL
    FROM audit_link l LEFT JOIN audit a USING (audit_id)
    WHERE l.place > %s ORDER BY l.place LIMIT %s
"""


@dataclass(frozen=True)
class Anchor:
    """A place of the chain and its hash, kept where who alters the database cannot reach."""

    place: int
    hash: str

    def __str__(self) -> str:
        return f"{self.place}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `PLACE:HASH`. InvalidInputError."""
        match = _ANCHOR.fullmatch(text.strip())
        if match is None:
            raise InvalidInputError(f"anchor: {text.strip()[:80]!r} is not one; expected PLACE:HASH in hexadecimal")
        return cls(int(match["place"]), match["hash"])


@dataclass(frozen=True)
class Verification:
    """What following the chain showed. `fault` None: nothing was altered; `broken_at` is the first wrong audit_id."""

    entries: int
    head: Anchor | None
    fault: str | None = None
    broken_at: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was altered, as far as chain and anchors tell."""
        return self.fault is None

    def as_json(self) -> dict[str, Any]:
        """For API and command line."""
        return asdict(self) | {"head": str(self.head) if self.head else None, "is_whole": self.is_whole}


@dataclass(frozen=True)
class Link:
    """A link as stored, and what it covers; `content` is of an entry that is there only where `has_entry`."""

    place: int | None
    audit_id: int
    hash: bytes
    content: bytes
    has_entry: bool = True


def follow(links: Iterable[Link], anchors: Iterable[Anchor] = ()) -> Verification:
    """Follow a whole chain from its first link. Pure."""
    wanted: dict[int, set[str]] = {}
    for anchor in anchors:
        wanted.setdefault(anchor.place, set()).add(anchor.hash)
    number, last = 0, b""
    for link in links:
        head = Anchor(number, last.hex()) if number else None
        if link.place != number + 1:
            fault = f"link {number + 1} of the chain is missing"
            return Verification(number, head, fault, link.audit_id)
        if not link.has_entry:
            return Verification(number, head, f"entry {link.audit_id} was taken out", link.audit_id)
        number, last = number + 1, hashlib.sha256(last + link.content).digest()
        if link.hash != last:
            fault = f"entry {link.audit_id} is not what was written, or the chain before it is not"
            return Verification(number - 1, head, fault, link.audit_id)
        if wanted.pop(number, {last.hex()}) != {last.hex()}:
            fault = f"entry {link.audit_id}, at place {number}, is not what the anchor says: the chain was made anew"
            return Verification(number - 1, head, fault, link.audit_id)
    head = Anchor(number, last.hex()) if number else None
    if wanted:
        fault = (
            f"the trail ends with place {number}, but an anchor knows place {max(wanted)}: its end was cut off, "
            "or an older backup was restored"
        )
        return Verification(number, head, fault)
    return Verification(number, head)


def verify(connection: Connection, anchors: Iterable[Anchor] = ()) -> Verification:
    """Follow the chain in the database; entries that were put in beside it are a fault too. Reads the whole trail."""
    found = follow(_links(connection), anchors)
    if not found.is_whole:
        return found
    beside = connection.execute(
        "SELECT min(a.audit_id), count(*) FROM audit a LEFT JOIN audit_link l USING (audit_id) WHERE l.hash IS NULL"
    ).fetchone()
    if beside and beside[1]:
        return Verification(found.entries, found.head, f"entry {beside[0]} was put in beside the chain", beside[0])
    return found


def read_head(connection: Connection) -> Anchor | None:
    """The chain's newest link; None: nothing was ever recorded."""
    row = connection.execute("SELECT place, hash FROM audit_link ORDER BY place DESC LIMIT 1").fetchone()
    return Anchor(int(row[0]), bytes(row[1]).hex()) if row else None


def _links(connection: Connection) -> Iterable[Link]:
    place = 0
    while rows := connection.execute(_READ, (place, _BATCH)).fetchall():
        for row in rows:
            yield Link(row[0], row[1], bytes(row[2]), bytes(row[3]), row[4])
        place = rows[-1][0]


def anchors_file(data: Path) -> Path:
    """Where a mediation keeps its anchors."""
    return data / "audit-anchors"


def anchor_line(anchor: Anchor, now: datetime) -> str:
    """One line of an anchor file."""
    return f"{now:%Y-%m-%dT%H:%M:%SZ} {anchor}\n"


def anchors_in(text: str) -> list[Anchor]:
    """Every anchor of a file: the last word of each line. InvalidInputError."""
    return [Anchor.parse(line.split()[-1]) for line in text.splitlines() if line.strip()]
