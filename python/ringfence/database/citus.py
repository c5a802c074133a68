"""Citus, PostgreSQL's distributed engine: whether it is there, and which tables it spreads. Without it all is plain."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg

from ringfence.database.connection import SCHEMA

# A shard is named as its table, with its number behind. One that is empty counts as told.
_SHARD_ROWS = """
SELECT result FROM run_command_on_all_nodes(format($$
    SELECT json_object_agg(relname, CASE WHEN pg_relation_size(oid) = 0 THEN 0 ELSE reltuples::bigint END) FROM pg_class
    WHERE relnamespace = to_regnamespace(%%2$L) AND regexp_replace(relname, '_[0-9]+$', '') = ANY (%%1$L)
      AND relname ~ '_event_[0-9]{8}_[0-9]+$'
$$, %s::text[], %s::text))
"""


def citus_version(connection: psycopg.Connection[Any]) -> str | None:
    """Version of the extension in this database; None when it is not created here."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'citus'").fetchone()
    return str(row[0]) if row else None


def is_offered(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has the extension, created here or not."""
    return connection.execute("SELECT FROM pg_available_extensions WHERE name = 'citus'").fetchone() is not None


def spread_tables(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Our tables that Citus knows, with how: `h` distributed by hash, `n` on every node (reference) or local to it."""
    if citus_version(connection) is None:
        return {}
    rows = connection.execute(
        "SELECT relname, partmethod::text FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid "
        "WHERE relnamespace = to_regnamespace(%s)",
        [SCHEMA],
    ).fetchall()
    return {str(name): str(method) for name, method in rows}


def is_distributed(connection: psycopg.Connection[Any], table: str) -> bool:
    """Whether a table's rows lie in shards."""
    return spread_tables(connection).get(table) == "h"


def shard_rows(connection: psycopg.Connection[Any], tables: Sequence[str]) -> dict[str, int]:
    """Rows of distributed tables as the nodes' planners know them; without those that one was never told of."""
    found: dict[str, list[int]] = defaultdict(list)
    for (counts,) in connection.execute(_SHARD_ROWS, [list(tables), SCHEMA]):
        for shard, rows in json.loads(counts or "{}").items():
            found[shard.rsplit("_", 1)[0]].append(rows)
    return {table: sum(rows) for table, rows in found.items() if min(rows) >= 0}
