"""Spreading over machines: refused in one line where it cannot be; on Citus what grows lies together by device."""

from __future__ import annotations

from typing import Any

import pytest
from tests.storage.conftest import fill, query

from ringfence.database.catalogue import CATALOGUE
from ringfence.database.citus import is_distributed
from ringfence.database.connection import Database
from ringfence.errors import ConflictError
from ringfence.storage.distribution import REFERENCE_TABLES, describe, distribute, rebalance


def silent(_table: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def test_plain_postgresql_says_that_there_is_nothing_to_distribute(engine: str, database: Database) -> None:
    if engine != "postgresql":
        pytest.skip("of plain PostgreSQL")
    with pytest.raises(ConflictError, match="has no Citus") as caught:
        distribute(database, "test", silent)
    assert caught.value.code == "conflict.citus"
    with pytest.raises(ConflictError, match="has no Citus"):
        rebalance(database, "test")
    with database.connection() as connection:
        found = describe(connection)
    assert (found["offered"], found["version"], found["nodes"]) == (False, None, [])
    assert set(found["tables"].values()) == {"here"}


def test_on_citus_what_grows_is_distributed_together_and_the_rest_is_on_every_node(
    engine: str, database: Database
) -> None:
    if engine != "citus":
        pytest.skip("of Citus")
    with database.connection() as connection:
        found: dict[str, Any] = describe(connection)
        assert is_distributed(connection, "enum_event")
    assert {name: found["tables"][name] for name in REFERENCE_TABLES} == dict.fromkeys(REFERENCE_TABLES, "reference")
    grows = [table.name for table in CATALOGUE]
    assert {name: found["tables"][name] for name in grows} == dict.fromkeys(grows, "distributed")
    assert len(query(database, "SELECT DISTINCT colocationid FROM pg_dist_partition WHERE partmethod = 'h'")) == 1
    assert distribute(database, "test", silent)["done"] == []
    fill(database, "enum_event", 1)
    assert query(database, "SELECT count(*) FROM enum_event") == [(100,)]
    assert sum(rebalance(database, "test")["after"].values()) > 0
