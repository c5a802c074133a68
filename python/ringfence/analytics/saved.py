"""Views that people saved under a name: their own, and those that others share. Kept as settings of their owners.

What is saved are the words of the Analytics page's address, so a saved view asks today what it asked then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ringfence.accounts.audit import record
from ringfence.analytics.asking import COMPARISONS, parse_filter
from ringfence.analytics.buckets import GROUPINGS
from ringfence.analytics.question import AnalyticsQuery
from ringfence.analytics.time_range import TimeRange
from ringfence.analytics.views import FILTERS, VIEWS
from ringfence.analytics.words import one_of, parse_dataset
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

# Of one person. More than anybody finds again in a menu.
MAX_SAVED = 200
DEFAULT_RANGE = "24h"
_PREFIX = "saved_view"
_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,64}")
_PLAIN = ("device", "range", "start", "end")
_LONGEST = 256

_FIND = r"""
SELECT split_part(key, '/', 2), split_part(key, '/', 3), (value ->> 'shared')::boolean, value -> 'words', changed_at
FROM setting WHERE key LIKE 'saved\_view/%%' AND (split_part(key, '/', 2) = %(person)s OR (value ->> 'shared')::boolean)
ORDER BY split_part(key, '/', 2) <> %(person)s, lower(split_part(key, '/', 3)), key
"""
_PUT = """
INSERT INTO setting (key, value, changed_at) VALUES (%s, %s, %s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at
"""


@dataclass(frozen=True)
class SavedView:
    """One saved view; `words` are the parameters of the page's address."""

    owner: str
    name: str
    is_shared: bool
    words: dict[str, str]
    saved_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "owner": self.owner,
            "name": self.name,
            "shared": self.is_shared,
            "words": self.words,
            "saved_at": self.saved_at.isoformat(),
        }


def list_saved(connection: psycopg.Connection, person: str) -> list[SavedView]:
    """A person's own, then those that others share."""
    rows = connection.execute(_FIND, {"person": person}).fetchall()
    return [SavedView(owner, name, shared, words, at.astimezone(UTC)) for owner, name, shared, words, at in rows]


def save_view(
    connection: psycopg.Connection, person: str, name: str, words: Mapping[str, str], now: datetime, *, is_shared: bool
) -> SavedView:
    """Keep a view under a name; one of the same name is replaced. InvalidInputError names what makes no sense."""
    key = _key(person, name)
    kept = {word: str(value) for word, value in sorted(words.items()) if value}
    _check(kept)
    own = [one for one in list_saved(connection, person) if one.owner == person and one.name != name]
    if len(own) >= MAX_SAVED:
        raise ConflictError(f"name: {MAX_SAVED} views are saved already; delete one first")
    connection.execute(_PUT, (key, Jsonb({"shared": is_shared, "words": kept}), now))
    record(connection, person, "saved_view.save", name, {"shared": is_shared, "words": kept})
    return SavedView(person, name, is_shared, kept, now)


def delete_view(connection: psycopg.Connection, person: str, name: str) -> None:
    """Take one's own view away. NotFoundError."""
    if connection.execute("DELETE FROM setting WHERE key = %s", [_key(person, name)]).rowcount == 0:
        raise NotFoundError(f"saved view {name!r}: you have none of this name")
    record(connection, person, "saved_view.delete", name, {})


def question_of(words: Mapping[str, str], now: datetime, zone: str) -> tuple[AnalyticsQuery, str | None]:
    """What saved words ask at `now`, and with which earlier period that is compared. InvalidInputError."""
    start, end = TimeRange.from_query(words, DEFAULT_RANGE).bounds(now)
    asked = AnalyticsQuery(
        parse_dataset(words.get("dataset", "enum")),
        words["view"],
        words.get("grouping", "hour"),
        words.get("device") or None,
        start,
        end,
        zone=zone,
        filter=parse_filter({name: words.get(name) for name in FILTERS}),
    )
    return asked, words.get("compare") or None


def find_view(connection: psycopg.Connection, owner: str, name: str, person: str) -> SavedView:
    """A saved view that a person may see: their own, or one that its owner shares. NotFoundError."""
    for view in list_saved(connection, person):
        if (view.owner, view.name) == (owner, name):
            return view
    raise NotFoundError(f"saved view {name!r} of {owner}: there is none that {person} may see")


def _key(person: str, name: str) -> str:
    if not _NAME.fullmatch(name) or name != name.strip():
        raise InvalidInputError(f"name: {name!r} must be 1 to 64 characters without '/', and no space at either end")
    return f"{_PREFIX}/{person.replace('/', ' ')}/{name}"


def _check(words: dict[str, str]) -> None:
    known = {"dataset", "view", "grouping", "compare", *FILTERS, *_PLAIN}
    for name, value in words.items():
        if name not in known:
            raise InvalidInputError(f"words: {name!r} is not one of {', '.join(sorted(known))}")
        if len(value) > _LONGEST:
            raise InvalidInputError(f"{name}: is longer than {_LONGEST} characters")
    parse_dataset(words.get("dataset", "enum"))
    one_of("view", words.get("view", ""), tuple(VIEWS))
    one_of("grouping", words.get("grouping", "hour"), GROUPINGS)
    if "compare" in words:
        one_of("compare", words["compare"], tuple(COMPARISONS))
    TimeRange.from_query(words, DEFAULT_RANGE)
    parse_filter({name: words.get(name) for name in FILTERS})
