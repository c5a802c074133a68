"""What is altered, taken out, put in or cut off shows; a trail that many wrote at once is whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import LiteralString

import psycopg
import pytest

from ringfence.accounts import audit, audit_chain
from ringfence.accounts.audit_chain import Anchor, Verification, anchor_line, anchors_in
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError


def record(database: Database, count: int = 5) -> None:
    for number in range(count):
        with database.connection() as connection:
            audit.record(connection, "ana", "policy.install", f"naïve “{number}”", {"b": [1.50, None], "a": "\u202e"})


def verify(database: Database, *anchors: Anchor) -> Verification:
    with database.connection() as connection:
        return audit_chain.verify(connection, anchors)


def tamper(database: Database, *statements: LiteralString) -> None:
    """As who owns the tables can: the triggers do not hold them."""
    with database.connection() as connection:
        for table in (b"audit", b"audit_link"):
            connection.execute(b"ALTER TABLE " + table + b" DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement)
        for table in (b"audit", b"audit_link"):
            connection.execute(b"ALTER TABLE " + table + b" ENABLE TRIGGER USER")


def test_a_trail_that_nobody_touched_is_whole(database: Database) -> None:
    assert verify(database) == Verification(0, None)
    record(database)
    found = verify(database)
    assert (found.entries, found.is_whole) == (5, True)
    assert found.head is not None
    assert found.head.place == 5
    with database.connection() as connection:
        assert audit_chain.read_head(connection) == found.head


@pytest.mark.parametrize(
    ("statement", "entries", "words"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE audit_id = 3", 2, "entry 3 is not what was written"),
        ("UPDATE audit SET at = at + interval '1 us' WHERE audit_id = 1", 0, "entry 1 is not what was written"),
        ("UPDATE audit SET detail = '{\"a\": 1}' WHERE audit_id = 5", 4, "entry 5 is not what was written"),
        ("DELETE FROM audit WHERE audit_id = 2", 1, "entry 2 was taken out"),
        ("DELETE FROM audit_link WHERE audit_id = 4", 3, "link 4 of the chain is missing"),
        ("INSERT INTO audit (actor, action) VALUES ('x', 'y')", 5, "was put in beside the chain"),
        ("UPDATE audit_link SET hash = sha256('') WHERE place = 4", 3, "entry 4 is not what was written"),
    ],
)
def test_the_first_wrong_entry_is_named(database: Database, statement: LiteralString, entries: int, words: str) -> None:
    record(database)
    tamper(database, statement)
    found = verify(database)
    assert (found.entries, found.is_whole) == (entries, False)
    assert words in str(found.fault)


def test_an_anchor_shows_an_end_that_was_cut_off_and_a_chain_that_was_made_anew(database: Database) -> None:
    record(database)
    head = verify(database).head
    assert head is not None
    record(database, 1)
    assert verify(database, head).is_whole, "an older anchor"
    tamper(database, "DELETE FROM audit WHERE audit_id > 4", "DELETE FROM audit_link WHERE place > 4")
    assert verify(database).is_whole, "a chain says nothing of its own end"
    assert "ends with place 4, but an anchor knows place 5" in str(verify(database, head).fault)
    record(database, 1)
    assert "not what the anchor says" in str(verify(database, head).fault)


def test_a_change_that_is_rolled_back_leaves_no_gap(database: Database) -> None:
    record(database, 2)
    with database.connection() as connection:
        audit.record(connection, "ana", "policy.install")
        connection.rollback()
    record(database, 1)
    assert (verify(database).entries, verify(database).is_whole) == (3, True)


def test_many_write_at_once_and_hold_each_other_up_only_at_commit(database: Database) -> None:
    with database.connection() as slow:
        audit.record(slow, "slow", "list.import")
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(record, database, 10) for _ in range(4)]:
                done.result(30)
    found = verify(database)
    assert (found.entries, found.is_whole) == (41, True)


def test_nobody_alters_a_link(database: Database) -> None:
    record(database, 1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"), database.connection() as connection:
        connection.execute("UPDATE audit_link SET hash = ''")


def test_an_anchor_is_read_as_it_is_written() -> None:
    anchor = Anchor(12, "ab" * 32)
    assert anchors_in(anchor_line(anchor, datetime.now(UTC)) * 2 + "\n") == [anchor, anchor]
    with pytest.raises(InvalidInputError, match="expected PLACE:HASH"):
        Anchor.parse("12:abc")
