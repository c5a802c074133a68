"""Citus, PostgreSQL's distributed engine: whether it is there, and which tables it spreads. Without it all is plain."""

from __future__ import annotations

from typing import Any

import psycopg

from ringfence.database.connection import SCHEMA


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
