"""The trail is append-only in the database itself, and whole when it is exported."""

from __future__ import annotations

import psycopg
import pytest

from ringfence.accounts import audit
from ringfence.accounts.audit import AuditFilter, acting_from
from ringfence.database.connection import Database


@pytest.mark.parametrize("attack", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_nobody_alters_the_trail(database: Database, attack: str) -> None:
    with database.connection() as connection:
        audit.record(connection, "ana", "policy.install", "1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="audit is append-only"), database.connection() as c:
        c.execute(attack.encode())
    with database.connection() as connection:
        assert [entry.actor for entry in audit.list_entries(connection)] == ["ana"]


def test_an_export_has_every_page(database: Database) -> None:
    with database.connection() as connection, acting_from("192.0.2.1"):
        for number in range(2_300):
            audit.record(connection, "ana", "test_1" if number % 2 else "testX1", str(number))
    with database.connection() as connection:
        subjects = [int(entry.subject) for entry in audit.all_entries(connection, AuditFilter())]
        assert subjects == list(range(2_299, -1, -1))
        assert len(list(audit.all_entries(connection, AuditFilter(action="test_1")))) == 1_150
        assert audit.list_entries(connection, 1)[0].address == "192.0.2.1"
