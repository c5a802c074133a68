"""Asking the database and the archive the same: one SQL text, PostgreSQL for what is here, DuckDB for what is archived.

    fetch_both        PostgreSQL: the event table ─► rows ─┐
                      DuckDB: the parts ───────────► rows ─┴─► both, one after the other
    fetch_everywhere  PostgreSQL: the period's rows ─► DuckDB: those and the parts ─► rows
    brought           DuckDB: the parts' rows of a period ─► PostgreSQL, where a statement finds them beside the others
`fetch_both` moves answers, not calls, but what comes back is not one answer yet: the statement must be one whose rows
can be put together, groups with counts and sums, or single calls. `fetch_everywhere` takes any statement that both
engines understand, `brought` any at all.

Whatever cannot be reached, or takes too long, is an UnavailableError: days that only the archive has are never left out
of an answer. Who is limited in what he sees is limited as much there (`sight`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ringfence.errors import UnavailableError
from ringfence.storage.places import archived_parts
from ringfence.storage.sight import archive_sight

if TYPE_CHECKING:
    import pyarrow as pa

    from ringfence.storage.archive.parts import Part

TIMEOUT_S = 30.0
# Calls that are brought to the database for one question: more would fill its disk rather than answer it.
MOST_BROUGHT = 5_000_000

Row = tuple[Any, ...]


def fetch_both(
    connection: psycopg.Connection[Any],
    statement: str,
    values: Mapping[str, Any],
    table: str,
    start: datetime | None,
    end: datetime | None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> list[Row]:
    """Rows of the statement over an event table's rows of [start, end), wherever they are.

    The statement names its parameters as psycopg wants them. UnavailableError: the archive cannot be reached, or did
    not answer in time.
    """
    parts = archived_parts(connection, table, start, end)
    rows: list[Row] = connection.execute(statement.encode(), values).fetchall()
    if not parts:
        return rows
    return rows + [tuple(row.values()) for row in ask_archive(connection, statement, values, table, parts, timeout_s)]


def fetch_everywhere(
    connection: psycopg.Connection[Any],
    statement: str,
    values: Mapping[str, Any],
    table: str,
    start: datetime,
    end: datetime,
    *,
    timeout_s: float = TIMEOUT_S,
) -> list[Row]:
    """The statement's answer over an event table's rows of [start, end), wherever they are; it may ask for no others.

    With days in the archive the database's rows of the period go to DuckDB: only the columns that the statement names.
    """
    parts = archived_parts(connection, table, start, end)
    if not parts:
        return connection.execute(statement.encode(), values).fetchall()
    from ringfence.storage.engine import LivePeriod

    live = LivePeriod(connection, statement, table, start, end)
    rows = ask_archive(connection, statement, values, table, parts, timeout_s, live=live)
    return [tuple(row.values()) for row in rows]


def ask_archive(
    connection: psycopg.Connection[Any],
    statement: str,
    values: Mapping[str, Any],
    table: str,
    parts: Sequence[Part],
    timeout_s: float = TIMEOUT_S,
    *,
    live: Any = None,
) -> list[dict[str, Any]]:
    """Rows of the statement over these parts, and over `live` (`engine.LivePeriod`) where that is given."""
    from ringfence.storage.engine import ask  # DuckDB is loaded when the archive is asked, not before

    return ask(connection, statement, values, table, parts, timeout_s, live).to_pylist()


def read_archive(
    connection: psycopg.Connection[Any], statement: str, table: str, start: datetime, end: datetime
) -> pa.Table | None:
    """The same as Arrow, of the parts alone; None when no part answers for [start, end)."""
    parts = archived_parts(connection, table, start, end)
    if not parts:
        return None
    from ringfence.storage.engine import ask

    return ask(connection, statement, {}, table, parts, TIMEOUT_S, None)


@contextmanager
def brought(
    connection: psycopg.Connection[Any],
    columns: Mapping[str, Sequence[str]],
    start: datetime,
    end: datetime,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[None]:
    """Inside, statements find archived calls of [start, end) in the event tables too: of each table these columns.

    They are copied to a temporary table, in front of which a temporary view takes the event table's name.
    UnavailableError: the archive cannot be reached, or has more than MOST_BROUGHT.
    """
    views: list[sql.Identifier] = []
    for table, wanted in columns.items():
        parts = archived_parts(connection, table, start, end)
        if parts:
            views.append(_bring(connection, table, wanted, parts, start, end, timeout_s))
    yield
    for view in views:
        connection.execute(sql.SQL("DROP VIEW {}").format(view))


def _bring(
    connection: psycopg.Connection[Any],
    table: str,
    columns: Sequence[str],
    parts: Sequence[Part],
    start: datetime,
    end: datetime,
    timeout_s: float,
) -> sql.Identifier:
    listed = ", ".join(columns)
    statement = f"SELECT {listed} FROM {table} WHERE time >= %(start)s AND time < %(end)s LIMIT {MOST_BROUGHT + 1}"  # noqa: S608 — our names
    rows = ask_archive(connection, statement, {"start": start, "end": end}, table, parts, timeout_s)
    if len(rows) > MOST_BROUGHT:
        raise UnavailableError(
            f"archive: more than {MOST_BROUGHT:,} archived calls in the period, choose a shorter one"
        )
    shown = sql.Identifier(archive_sight(connection, table).schema, table)
    names = sql.SQL(listed)
    brought_table = sql.Identifier("pg_temp", f"archived_{table}")
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(brought_table))
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
            sql.Identifier(f"archived_{table}"), names, shown
        )
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(brought_table, names)) as copy,
    ):
        for row in rows:
            copy.write_row(tuple(row.values()))
    connection.execute(sql.SQL("ANALYZE {}").format(brought_table))
    connection.execute(
        sql.SQL("CREATE TEMPORARY VIEW {} AS SELECT {} FROM {} UNION ALL SELECT {} FROM {}").format(
            sql.Identifier(table), names, shown, names, brought_table
        )
    )
    # By its own name: Citus knows no alias of it when it drops a view.
    own = connection.execute("SELECT pg_my_temp_schema()::regnamespace::text").fetchone()
    assert own is not None  # noqa: S101 — it is one row
    return sql.Identifier(own[0], table)
