"""Many rows as Arrow: PostgreSQL's binary COPY, turned into record batches without a Python object per row.

For reading what is large (recorded calls of days); everything else goes through `connection`. The Arrow project's own
PostgreSQL driver does the work; each reader has a connection of its own, read-only, closed at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi

from ringfence.database.connection import SCHEMA, describe
from ringfence.errors import UnavailableError

# Of one batch: large enough that its cost is in the rows, small enough that a few fit the processor's cache.
BATCH_BYTES = 4 << 20


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


@contextmanager
def columnar_reader(url: str) -> Iterator[ColumnarReader]:
    """A reader on the database of this URL. UnavailableError when it cannot be reached."""
    try:
        connection = dbapi.connect(url)
    except Error as error:
        raise UnavailableError(f"database {describe(url)} cannot be reached: {_first_line(error)}") from None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL search_path TO {SCHEMA}")
            cursor.execute("SET LOCAL timezone TO 'UTC'")
        yield ColumnarReader(connection)
    finally:
        connection.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
