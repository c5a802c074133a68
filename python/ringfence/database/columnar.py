"""Many rows as Arrow: PostgreSQL's binary COPY, turned into record batches without a Python object per row.

For reading what is large (recorded calls of days); everything else goes through `connection`. The Arrow project's own
PostgreSQL driver does the work; each reader has a connection of its own, read-only, closed at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ringfence.database.connection import SCHEMA, describe
from ringfence.database.sight import told_to_nodes
from ringfence.errors import UnavailableError

# Of one batch: large enough that its cost is in the rows, small enough that a few fit the processor's cache.
BATCH_BYTES = 4 << 20

LOCK_TIMEOUT_MS = 5000
_STATE = """
SELECT pg_export_snapshot(), current_setting('search_path'), coalesce(current_setting('ringfence.sites', true), ''),
       coalesce(current_setting('ringfence.all_sites', true), '')
"""


class ColumnarReader:
    """One read-only connection that answers queries as record batches."""

    def __init__(self, connection: dbapi.Connection) -> None:
        self._connection = connection

    def read(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a SELECT, whose values stand in it already (`psycopg.sql` quotes them). UnavailableError."""
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            try:
                cursor.execute(query)
                yield from cursor.fetch_record_batch()
            except Error as error:
                raise UnavailableError(f"database: {_first_line(error)}") from None


def url_of(connection: psycopg.Connection[Any]) -> str:
    """Where a connection leads, for a reader beside it."""
    info = connection.info
    return make_conninfo(**{**info.get_parameters(), "password": info.password})


@contextmanager
def columnar_reader(url: str, *, beside: psycopg.Connection[Any] | None = None) -> Iterator[ColumnarReader]:
    """A reader on the database of this URL; `beside` another connection it sees the state that that one sees, by the
    same names. UnavailableError when it cannot be reached."""
    try:
        connection = dbapi.connect(url)
    except Error as error:
        raise UnavailableError(f"database {describe(url)} cannot be reached: {_first_line(error)}") from None
    try:
        with connection.cursor() as cursor:
            for statement in ["SET TRANSACTION READ ONLY"] if beside is None else _same_state(beside):
                cursor.execute(statement)
            if beside is None:
                cursor.execute(f"SET LOCAL search_path TO {SCHEMA}")
            cursor.execute("SET LOCAL timezone TO 'UTC'")
        yield ColumnarReader(connection)
    finally:
        connection.close()


def _same_state(connection: psycopg.Connection[Any]) -> list[str]:
    """Statements that make a new transaction see what this one sees: its snapshot, its search path and its sight."""
    row = connection.execute(_STATE).fetchone()
    assert row is not None  # noqa: S101 — it is one row
    snapshot, path, sites, all_sites = row
    return [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot).as_string(None),
        # Whoever waits for the other connection's locks may stand before us: then nobody would ever go on.
        f"SET LOCAL lock_timeout TO {LOCK_TIMEOUT_MS}",
        sql.SQL("SELECT set_config('search_path', {}, true)").format(path).as_string(None),
        *(statement.as_string(None) for statement in told_to_nodes(sites, all_sites)),
    ]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
