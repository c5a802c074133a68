"""Spread the tables over the nodes of Citus: what grows is distributed, what is looked up is on every node.

    ringfence database distribute:  small tables → reference tables;  catalogue → distributed by device, co-located
    ringfence database rebalance:   shards move to nodes that were added
Both can be repeated: what is done already is passed over. Nodes are added by PostgreSQL's administrator, with
`citus_add_node`. Nothing here is needed on plain PostgreSQL, and nothing else asks whether it was done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import sql

from ringfence.accounts import audit
from ringfence.database.catalogue import CATALOGUE, DISTRIBUTION_COLUMN
from ringfence.database.citus import citus_version, is_offered, spread_tables
from ringfence.database.connection import SCHEMA, Database
from ringfence.errors import ConflictError

KIND = "distribution"
# Looked up beside calls, a row each site, device and rule. In an order in which foreign keys lead back.
REFERENCE_TABLES = ("site", "device", "policy_rule")
# References them, and so becomes known to Citus.
_WITH_REFERENCES = (*REFERENCE_TABLES, "device_stream")

# Citus takes no identity column narrower than bigint. A sequence with a default does the same for us.
_IDENTITIES = """
SELECT relname, attname, pg_get_serial_sequence(format('%%I.%%I', %(schema)s::text, relname), attname)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = to_regnamespace(%(schema)s) AND relname = ANY (%(tables)s) AND attidentity <> ''
"""

Beat = Callable[[str, int, int], None]
log = structlog.get_logger()


def describe(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Whether Citus is offered and here, its nodes, and how each table lies: `distributed`, `reference`, `here`."""
    version = citus_version(connection)
    spread = spread_tables(connection)
    nodes = []
    if version is not None:
        nodes = connection.execute(
            "SELECT nodename || ':' || nodeport FROM pg_dist_node WHERE isactive ORDER BY nodeid"
        ).fetchall()
    return {
        "offered": is_offered(connection),
        "version": version,
        "nodes": [str(node) for (node,) in nodes],
        "tables": {name: _how(name, spread) for name in (*(table.name for table in CATALOGUE), *REFERENCE_TABLES)},
    }


def distribute(database: Database, actor: str, beat: Beat) -> dict[str, Any]:
    """Spread what is not spread yet; what was done. ConflictError where Citus is not."""
    with database.connection() as connection:
        _check(connection)
        spread = spread_tables(connection)
    references = [name for name in REFERENCE_TABLES if name not in spread]
    wanted = [table.name for table in CATALOGUE if spread.get(table.name) != "h"]
    done: list[str] = []
    if references:
        with database.connection() as connection:
            _widen_identities(connection)
            for name in references:
                connection.execute("SELECT create_reference_table(%s)", [f"{SCHEMA}.{name}"])
        done += references
    for name in wanted:
        beat(name, len(done), len(references) + len(wanted))
        with database.connection() as connection:
            _spread(connection, name)
        done.append(name)
    with database.connection() as connection:
        audit.record(connection, actor, "storage.distribute", "", {"tables": done})
        log.info("storage.distributed", tables=done)
        return {"done": done, **describe(connection)}


def rebalance(database: Database, actor: str) -> dict[str, Any]:
    """Move shards so that every node has its part; writers of a shard wait while it moves. ConflictError without."""
    with database.connection() as connection:
        _check(connection)
        before = _placements(connection)
        # Event tables have no key that a row could be followed by, so no logical replication of shards.
        connection.execute("SELECT rebalance_table_shards(shard_transfer_mode := 'block_writes')")
        after = _placements(connection)
        audit.record(connection, actor, "storage.rebalance", "", {"before": before, "after": after})
        log.info("storage.rebalanced", before=before, after=after)
        return {"before": before, "after": after}


def _check(connection: psycopg.Connection[Any]) -> None:
    if citus_version(connection) is not None:
        return
    if is_offered(connection):
        raise ConflictError(
            "database: Citus is on the server but not in this database: "
            "let its administrator run CREATE EXTENSION citus, then try again",
            code="conflict.citus",
        )
    raise ConflictError(
        "database: this PostgreSQL has no Citus; nothing has to be distributed on one machine", code="conflict.citus"
    )


def _how(name: str, spread: dict[str, str]) -> str:
    if name not in spread:
        return "here"
    return "distributed" if spread[name] == "h" else "reference"


def _widen_identities(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(_IDENTITIES, {"schema": SCHEMA, "tables": list(_WITH_REFERENCES)}).fetchall()
    for table, column, sequence in found:
        parent, name = sql.Identifier(SCHEMA, table), sql.Identifier(column)
        row = connection.execute(f"SELECT last_value, is_called FROM {sequence}".encode()).fetchone()  # noqa: S608
        assert row is not None  # noqa: S101 — a sequence has one row
        fresh = sql.Identifier(SCHEMA, f"{table}_{column}_number")
        connection.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP IDENTITY").format(parent, name))
        connection.execute(
            sql.SQL("CREATE SEQUENCE {} OWNED BY {}").format(fresh, sql.Identifier(SCHEMA, table, column))
        )
        connection.execute("SELECT setval(%s, %s, %s)", [f"{SCHEMA}.{table}_{column}_number", row[0], row[1]])
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({})").format(
                parent, name, sql.Literal(f"{SCHEMA}.{table}_{column}_number")
            )
        )


def _spread(connection: psycopg.Connection[Any], name: str) -> None:
    first = CATALOGUE[0].name
    together = "default" if name == first else f"{SCHEMA}.{first}"
    connection.execute(
        "SELECT create_distributed_table(%s, %s, colocate_with => %s)",
        [f"{SCHEMA}.{name}", DISTRIBUTION_COLUMN, together],
    )


def _placements(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Shards of the catalogue's tables on each node."""
    rows = connection.execute(
        "SELECT nodename || ':' || nodeport, count(*) FROM citus_shards JOIN pg_class ON pg_class.oid = table_name "
        "WHERE relname = ANY (%s) GROUP BY 1 ORDER BY 1",
        [[table.name for table in CATALOGUE]],
    ).fetchall()
    return {str(node): int(count) for node, count in rows}
