"""Lists of every kind through one door: kept static ones, dynamic ones, and those that stand in the policy itself.

Static: a change is a revision, and acts with the next version. Dynamic: it acts at once, everywhere. Inline: its
entries stand in the policy and are edited there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection

from ringfence._native import normalise, pattern_span
from ringfence.errors import ConflictError, InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import dynamic, versions
from ringfence.policy.lists import catalogue, contents, entries
from ringfence.policy.lists.entries import EntryFilter

AnyKind = Literal["static", "dynamic", "inline"]
MAX_NUMBER_LENGTH = 256


@dataclass(frozen=True)
class ListOverview:
    """A list as a table shows it. `installed_revision`: what of a static list acts everywhere; None: nothing does."""

    name: str
    kind: AnyKind
    note: str
    entries: int
    revision: int
    installed_revision: int | None
    is_installed: bool
    changed_by: str | None
    changed_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Every field, and `is_pending`: a static list has changes that do not act yet."""
        return {
            **self.__dict__,
            "changed_at": self.changed_at.isoformat() if self.changed_at else None,
            "is_pending": self.kind == "static" and self.installed_revision != self.revision,
        }


@dataclass(frozen=True)
class Put:
    """What putting an entry on a list came to. `revision`: of a static list, which acts with the next version."""

    entry: dict[str, Any]
    kind: AnyKind
    is_changed: bool
    revision: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry's fields, and `list_kind`, `revision`, `acts`: `at_once` or `when_installed`."""
        acts = "at_once" if self.kind == "dynamic" else "when_installed"
        return self.entry | {"list_kind": self.kind, "revision": self.revision, "acts": acts}


def overview(connection: Connection, now: datetime) -> list[ListOverview]:
    """Every list: kept ones, and those that the installed version has beside them; by name."""
    installed = versions.installed_everywhere(connection).version
    source = versions.read_source(connection, installed) if installed else {}
    pins = contents.of_version(connection, installed)
    acting: dict[str, int] = dict(
        connection.execute(
            "SELECT list, count(*) FROM dynamic_entry WHERE expires_at IS NULL OR expires_at > %s GROUP BY list", (now,)
        ).fetchall()
    )
    kept = {known.name: known for known in catalogue.all_lists(connection)}
    found = [
        ListOverview(
            known.name,
            known.kind,
            known.note,
            known.entries if known.kind == "static" else acting.get(known.name, 0),
            known.revision,
            pin.revision if (pin := pins.get(known.name)) and pin.list_id == known.list_id else None,
            known.name in source.get("lists", {}),
            known.changed_by,
            known.changed_at,
        )
        for known in kept.values()
    ]
    for name, numbers in source.get("lists", {}).items():
        if name not in kept:
            kind: AnyKind = "dynamic" if numbers.get("dynamic") else "inline"
            size = len(numbers.get("entries", ())) + acting.get(name, 0)
            found.append(ListOverview(name, kind, numbers.get("note", ""), size, 0, None, True, None, None))
    return sorted(found, key=lambda one: (one.name.lower(), one.name))


def kind_of(connection: Connection, name: str) -> AnyKind:
    """Which kind a list is. A name that nobody knows counts as dynamic, whose functions say what is declared."""
    known = catalogue.find_list(connection, name)
    if known is not None:
        return known.kind
    installed = versions.installed_everywhere(connection).version
    numbers = versions.read_source(connection, installed).get("lists", {}).get(name) if installed else None
    return "inline" if numbers is not None and not numbers.get("dynamic") else "dynamic"


def put_entry(
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
) -> Put:
    """Put a pattern on a list; one that is there gets the new note and end. `origin` and `seen`: of static lists."""
    kind = _changeable(connection, name)
    if kind == "dynamic":
        lasts = expires_at - now if expires_at is not None else None
        outcome = dynamic.add_entry(connection, site, name, pattern, actor, now, note=note, lasts=lasts)
        return Put(outcome.entry.as_json(), kind, outcome.is_changed)
    entry, change = entries.add_entry(
        connection, site, name, pattern, actor, now, note=note, expires_at=expires_at, origin=origin, seen=seen
    )
    return Put({"list": name} | entry.as_json(), kind, change.is_change, change.revision)


def put_number(
    connection: Connection,
    site: Site,
    name: str,
    number: str,
    actor: str,
    now: datetime,
    *,
    note: str = "",
    expires_at: datetime | None = None,
    seen: int | None = None,
) -> Put:
    """Put one number, as a call shows it, on a list: block or allow in one click. InvalidInputError when it is none."""
    digits = exact_number(site, number)
    origin = "call log"
    return put_entry(
        connection, site, name, digits, actor, now, note=note, expires_at=expires_at, origin=origin, seen=seen
    )


def exact_number(site: Site, number: str) -> str:
    """A number as people or SBCs write it, as +E.164 by a site's dial plan. InvalidInputError."""
    if not 0 < len(number) <= MAX_NUMBER_LENGTH:
        raise InvalidInputError(f"number: has {len(number)} characters; expected 1 to {MAX_NUMBER_LENGTH}")
    digits, _ = normalise(number, json.dumps(site.as_document()))
    if not digits:
        raise InvalidInputError(
            f"number: {number!r} is not a telephone number at site {site.name}; expected such as +12105550100",
            code="invalid.entry",
        )
    return f"+{digits}"


def take_off(
    connection: Connection, name: str, pattern: str, actor: str, now: datetime, *, seen: int | None = None
) -> bool:
    """Take a pattern off a list; whether it was on it."""
    if _changeable(connection, name) == "dynamic":
        return dynamic.remove_entry(connection, name, pattern, actor, now)
    return entries.remove_entries(connection, name, [pattern], actor, now, seen=seen).is_change


def page_of(
    connection: Connection, name: str, wanted: EntryFilter, now: datetime, *, after: str = "", limit: int = 100
) -> dict[str, Any]:
    """A page of a list's entries, as JSON: `{"list", "kind", "revision", "entries", "after"}`.

    A static list's in the order of their patterns, the others' newest or first written first, all in one page.
    """
    kind = kind_of(connection, name)
    if kind == "static":
        page = entries.find_entries(connection, name, wanted, after=after, limit=limit)
        found = [{"list": name} | entry.as_json() for entry in page.entries]
        return {"list": name, "kind": kind, "revision": page.revision, "entries": found, "after": page.after}
    held = _inline(connection, name) if kind == "inline" else _dynamic(connection, name, now)
    found = [entry for entry in held if _is_wanted(entry, wanted)][:limit]
    return {"list": name, "kind": kind, "revision": None, "entries": found, "after": None}


def _changeable(connection: Connection, name: str) -> Literal["static", "dynamic"]:
    kind = kind_of(connection, name)
    if kind == "inline":
        raise ConflictError(
            f"list {name!r} stands in the policy itself: edit it there, or keep it as a list "
            f"(`ringfence list create {name!r}`, and `stored: true` in the policy)",
            code="conflict.inline",
        )
    return kind


def _dynamic(connection: Connection, name: str, now: datetime) -> list[dict[str, Any]]:
    return [entry.as_json() for entry in dynamic.list_entries(connection, name, now)]


def _inline(connection: Connection, name: str) -> list[dict[str, Any]]:
    source = versions.read_source(connection, versions.installed_everywhere(connection).version)
    numbers = source["lists"][name]
    patterns = numbers.get("entries", ())
    if "content" in numbers:
        patterns = contents.patterns_of(connection, numbers["content"])
    nothing = {"note": "", "origin": "policy", "added_at": None, "expires_at": None}
    return [{"list": name, "pattern": pattern} | nothing for pattern in patterns]


def _is_wanted(entry: dict[str, Any], wanted: EntryFilter) -> bool:
    if wanted.pattern and not entry["pattern"].startswith(wanted.pattern):
        return False
    if wanted.note and wanted.note.lower() not in entry["note"].lower():
        return False
    return wanted.number is None or holds(entry["pattern"], wanted.number)


def holds(pattern: str, number: str) -> bool:
    """Whether a number falls under a canonical pattern. InvalidInputError when it is no number."""
    try:
        canonical, value, last = pattern_span(number)
    except ValueError:
        canonical, value, last = number, None, None
    if value is None or value != last:
        raise InvalidInputError(f"number: {number!r} is not one number; expected such as +12105550100")
    if pattern.endswith("*"):
        return canonical.startswith(pattern[:-1])
    if "?" in pattern:
        return re.fullmatch(re.escape(pattern).replace(r"\?", "[0-9]"), canonical) is not None
    _, low, high = pattern_span(pattern)
    return low is not None and high is not None and low <= value <= high
