"""Lists as files: one revision or nothing, bad lines named, and what is written reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.lists import bulk, catalogue, contents, entries
from ringfence.policy.lists.any_kind import holds
from ringfence.policy.lists.entries import EntryFilter

SITE = Site("main", "US")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_names = (f"list{number}" for number in count())


def quiet(done: int, total: int, phase: str) -> None:
    """Nobody looks."""


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.connection() as opened:
        catalogue.create_list(opened, "bad", "static", "ana", NOW)
        yield opened


def bring(
    connection: Connection, text: bytes, name: str = "bad", format_: bulk.Format = "csv", **how: Any
) -> bulk.Imported:
    batch = bulk.read_file([text], len(text), format_, SITE, quiet)
    return bulk.import_entries(connection, name, batch, "ana", how.pop("now", NOW), quiet, **how)


def held(
    connection: Connection, name: str = "bad", revision: int | None = None
) -> dict[str, tuple[str, datetime | None]]:
    page = entries.find_entries(connection, name, EntryFilter(revision=revision), limit=10_000)
    return {entry.pattern: (entry.note, entry.expires_at) for entry in page.entries}


def test_an_import_is_one_revision_and_keeps_what_is_so_already(connection: Connection) -> None:
    first = bring(connection, b"+12105550100,a\n+1900*,b\n+1900*,c\n+1210555????,\n")
    assert (first.change.as_json(), first.read, first.repeated) == (
        {"revision": 1, "added": 3, "removed": 0, "changed": 0},
        3,
        1,
    )
    later = NOW + timedelta(hours=1)
    second = bring(connection, b"+1900*,other\n+12105550100,a\n+1800*,\n", now=later)
    assert second.change.as_json() == {"revision": 2, "added": 1, "removed": 0, "changed": 1}
    page = entries.find_entries(connection, "bad").entries
    assert {entry.pattern: (entry.note, entry.added_at) for entry in page} == {
        "+12105550000-+12105559999": ("", NOW),
        "+12105550100": ("a", NOW),
        "+1800*": ("", later),
        "+1900*": ("other", NOW),
    }
    assert bring(connection, b"+1900*,other\n").change.revision == 2  # nothing new, no revision
    third = bring(connection, b"+1900*,other\n", replace=True)
    assert third.change.as_json() == {"revision": 3, "added": 0, "removed": 3, "changed": 0}
    assert held(connection) == {"+1900*": ("other", None)}
    assert len(held(connection, revision=2)) == 4
    assert held(connection, revision=1)["+1900*"] == ("c", None)
    assert catalogue.read_list(connection, "bad").entries == 1


def test_a_file_with_bad_lines_changes_nothing_and_names_each(connection: Connection) -> None:
    good = "".join(f"+1210{place:07}\n" for place in range(5000)).encode()
    text = good + b"(210) 555-0100\n" + good + b"nonsense\n+0441\n"
    with pytest.raises(InvalidInputError, match=r"line 5001.*is \+12105550100 meant.*and 2 more") as refused:
        bring(connection, text, format_="numbers")
    told = [(fault["line"], fault["text"]) for fault in refused.value.detail["faults"]]
    assert told == [(5001, "(210) 555-0100"), (10002, "nonsense"), (10003, "+0441")]
    assert held(connection) == {}
    assert catalogue.read_list(connection, "bad").revision == 0


def test_faults_are_capped_and_counted(connection: Connection) -> None:
    with pytest.raises(InvalidInputError) as refused:
        bring(connection, b"x\n" * 250)
    assert len(refused.value.detail["faults"]) == bulk.MAX_FAULTS
    assert refused.value.detail["fault_count"] == 250


def test_an_import_on_another_revision_than_was_seen_is_refused(connection: Connection) -> None:
    bring(connection, b"+1900*\n")
    with pytest.raises(ConflictError, match="revision 1, not 0"):
        bring(connection, b"+1800*\n", seen=0, replace=True)
    assert list(held(connection)) == ["+1900*"]


def test_progress_goes_up_to_all_of_it(connection: Connection) -> None:
    told: list[tuple[int, int, str]] = []
    text = b"".join(f"+1210{place:07}\n".encode() for place in range(1000))
    parts = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    batch = bulk.read_file(parts, len(text), "csv", SITE, lambda *at: told.append(at))
    bulk.import_entries(connection, "bad", batch, "ana", NOW, lambda *at: told.append(at))
    checking = [done for done, _, phase in told if phase == "checking"]
    assert checking == sorted(checking)
    assert checking[-1] == len(text)
    assert told[-1] == (1000, 1000, "comparing")


PATTERN = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{6,13}", fullmatch=True),
    st.from_regex(r"\+[1-9][0-9]{0,5}\*", fullmatch=True),
    st.from_regex(r"\+[1-9][0-9?]{3,9}[0-9]", fullmatch=True),
)
NOTE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
END = st.none() | st.integers(1, 2_000_000_000_000_000).map(lambda us: NOW + timedelta(microseconds=us))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(PATTERN, st.tuples(NOTE, END), max_size=12))
def test_what_is_exported_imports_to_the_same(
    connection: Connection, wanted: dict[str, tuple[str, datetime | None]]
) -> None:
    name, copy = next(_names), next(_names)
    for made in (name, copy):
        catalogue.create_list(connection, made, "static", "ana", NOW)
    for pattern, (note, end) in wanted.items():
        entries.add_entry(connection, SITE, name, pattern, "ana", NOW, note=note, expires_at=end)
    text = b"".join(bulk.export_entries(connection, name, "csv"))
    bring(connection, text, copy)
    assert held(connection, copy) == held(connection, name)
    numbers = b"".join(bulk.export_entries(connection, name, "numbers"))
    assert numbers.decode().splitlines() == list(held(connection, name))
    contents_of = [contents.content_of(connection, catalogue.read_list(connection, one), NOW) for one in (name, copy)]
    assert contents_of[0] == contents_of[1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(PATTERN, max_size=10), st.from_regex(r"\+[1-9][0-9]{6,13}", fullmatch=True))
def test_search_by_number_finds_what_holds_it(connection: Connection, patterns: set[str], number: str) -> None:
    name = next(_names)
    catalogue.create_list(connection, name, "static", "ana", NOW)
    patterns = patterns | {number, f"{number[:4]}*", f"{number[:5]}{'?' * (len(number) - 5)}"}
    text = "\n".join(patterns).encode()
    bring(connection, text, name, "numbers")
    found = [e.pattern for e in entries.find_entries(connection, name, EntryFilter(number=number)).entries]
    assert found == [pattern for pattern in held(connection, name) if holds(pattern, number)]
    assert len(found) >= 3
