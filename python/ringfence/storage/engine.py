"""DuckDB over parts of the archive: the event table as a statement knows it, loaded only when the archive is asked.

The view has the columns that the table has today; those that an old file lacks are NULL. Small tables that statements
look names up in are there too. PostgreSQL's functions that DuckDB lacks are macros here.
"""

from __future__ import annotations

import re
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain, pairwise
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
from psycopg import sql
from psycopg.rows import tuple_row

from ringfence.database.columnar import columnar_reader, url_of
from ringfence.database.connection import SCHEMA
from ringfence.errors import UnavailableError
from ringfence.storage.archive.parts import Part
from ringfence.storage.archive.place import place_of_url
from ringfence.storage.sight import ArchiveSight, archive_sight

# Looked up by statements; a few thousand rows at most.
SMALL_TABLES = {"device": ("device_id", "name", "kind", "site_id"), "policy_rule": ("rule_id", "name"),
                "site": ("site_id", "name")}  # fmt: skip
_MEMORY = "1GB"
_THREADS = 2

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
_MACROS = """
CREATE TEMPORARY MACRO width_bucket(moment, bounds) AS {width_bucket};
CREATE TEMPORARY MACRO date_bin(step, moment, origin) AS time_bucket(step, moment, origin);
"""
_ANY_BOUNDS = "len(list_filter(bounds, lambda bound: bound <= moment))"
# Of equal distance, as most are: no search through the list for each row.
_EVEN_BOUNDS = (
    "greatest(0, least(len(bounds), 1 + CAST(floor((epoch_us(moment) - epoch_us(bounds[1])) / {step_us}) AS BIGINT)))"
)


@dataclass(frozen=True)
class LivePeriod:
    """The rows of a period that the database has, of the columns that a statement names."""

    connection: psycopg.Connection[Any]
    statement: str
    table: str
    start: datetime
    end: datetime

    def copy_to(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        """Copy them into the engine, of the state that the connection sees; the name of the table there."""
        words = set(re.findall(r"\w+", self.statement))
        named = [name for name in columns if name in words or name == "time"]
        query = sql.SQL("SELECT {} FROM {} WHERE time >= {} AND time < {}").format(
            sql.SQL(", ").join(map(sql.Identifier, named)),
            sql.Identifier(self.table),
            sql.Literal(self.start),
            sql.Literal(self.end),
        )
        with columnar_reader(url_of(self.connection), beside=self.connection) as reader:
            batches = reader.read(query.as_string(None))
            first = next(batches, None)
            if first is None:
                return ""
            rows = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
            engine.register("arriving", rows)
            engine.execute("CREATE TEMPORARY TABLE live AS SELECT * FROM arriving")
            engine.unregister("arriving")
        return "live"


def ask(
    connection: psycopg.Connection[Any],
    statement: str,
    values: Mapping[str, Any],
    table: str,
    parts: Sequence[Part],
    timeout_s: float,
    live: LivePeriod | None,
) -> pa.Table:
    """Rows of the statement over these parts, and over `live` where that is given; times are UTC. UnavailableError."""
    text, used = _as_duckdb(statement, values)
    sight = archive_sight(connection, table)
    with _engine(values, timeout_s) as engine:
        try:
            for name, columns in SMALL_TABLES.items():
                engine.register(name, _small_table(connection, name, columns))
            _make_view(engine, connection, table, parts, sight, live)
            found: pa.Table = engine.sql(text, params=used).to_arrow_table()
            return found
        except duckdb.InterruptException:
            raise UnavailableError(
                f"archive: the question timed out after {timeout_s:g} s: choose a shorter period"
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise UnavailableError("archive: the question is too large, choose a shorter period") from error
        except (duckdb.IOException, duckdb.HTTPException, OSError, pa.ArrowException) as error:
            raise UnavailableError(f"archive: {str(error).strip().splitlines()[0]}") from error


@cache
def _shared() -> duckdb.DuckDBPyConnection:
    """One engine a process: its memory is the bound of all questions together. What it spills is gone with it."""
    spill = tempfile.TemporaryDirectory(prefix="ringfence-archive-")
    weakref.finalize(_shared, spill.cleanup)
    config: dict[str, Any] = {"threads": _THREADS, "memory_limit": _MEMORY, "temp_directory": spill.name}
    engine = duckdb.connect(config=config | {"autoinstall_known_extensions": False})
    # A file's name is never used twice: what its footer says holds as long as the file is there.
    engine.execute("SET GLOBAL parquet_metadata_cache = true")
    return engine


@contextmanager
def _engine(values: Mapping[str, Any], timeout_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of the engine for one question: all that it makes is temporary, and its own."""
    engine = _shared().cursor()
    alarm = threading.Timer(timeout_s, engine.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(_MACROS.format(width_bucket=_width_bucket(values)))
        yield engine
    finally:
        alarm.cancel()
        engine.close()


def _make_view(
    engine: duckdb.DuckDBPyConnection,
    connection: psycopg.Connection[Any],
    table: str,
    parts: Sequence[Part],
    sight: ArchiveSight,
    live: LivePeriod | None,
) -> None:
    """The event table as the statement knows it."""
    source, found = _open(engine, parts)
    kinds: dict[str, str] = dict(connection.execute(_COLUMNS, [f"{SCHEMA}.{table}"]).fetchall())
    known = [f'"{name}"' if name in found else f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in kinds.items()]
    shown = [sight.column(name, kinds) for name in kinds]
    query = f"SELECT {', '.join(shown)} FROM (SELECT {', '.join(known)} FROM {source}) AS stored{sight.condition}"  # noqa: S608 — our names
    if live is not None and (more := live.copy_to(engine, list(kinds))):
        query += f" UNION ALL BY NAME SELECT * FROM {more}"  # noqa: S608 — our name
    engine.execute(f'CREATE TEMPORARY VIEW "{table}" AS {query}')


def _open(engine: duckdb.DuckDBPyConnection, parts: Sequence[Part]) -> tuple[str, set[str]]:
    """What the parts are called in the engine, and their columns. Folders DuckDB reads itself, S3 Arrow for it.

    The newest first: once the first rows by time are found, DuckDB passes over row groups of before them.
    """
    sources: list[str] = []
    for url in sorted({part.place for part in parts}):
        place = place_of_url(url)
        newest_first = sorted((part for part in parts if part.place == url), key=lambda part: part.day, reverse=True)
        files = [place.path_of(part.file) for part in newest_first]
        if place.folder is not None:
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            read = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
            sources.append(f"SELECT * FROM {read}")  # noqa: S608 — names that we wrote ourselves
        else:
            opened = [ds.dataset(file, filesystem=place.filesystem, format="parquet") for file in files]
            schema = pa.unify_schemas([one.schema for one in opened])
            name = f"place_{len(sources)}"
            engine.register(name, ds.dataset(files, schema=schema, filesystem=place.filesystem, format="parquet"))
            sources.append(f"SELECT * FROM {name}")  # noqa: S608 — our name
    source = f"({' UNION ALL BY NAME '.join(sources)}) AS archived"
    found = engine.execute(f"SELECT * FROM {source} LIMIT 0").description  # noqa: S608 — our names
    return source, {column[0] for column in found or []}


def _small_table(connection: psycopg.Connection[Any], name: str, columns: Sequence[str]) -> pa.Table:
    with connection.cursor(row_factory=tuple_row) as cursor:
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        rows = cursor.execute(sql.SQL("SELECT {} FROM {}").format(listed, sql.Identifier(name))).fetchall()
    kinds = [pa.int64() if column.endswith("_id") else pa.string() for column in columns]
    arrays = [pa.array([row[index] for row in rows], kind) for index, kind in enumerate(kinds)]
    return pa.Table.from_arrays(arrays, list(columns))


def _as_duckdb(statement: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The statement with DuckDB's parameters, and those of the values that it names."""
    used: dict[str, Any] = {}

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "%"
        used[name] = values[name]
        return f"${name}"

    return _PLACEHOLDER.sub(place, statement), used


def _width_bucket(values: Mapping[str, Any]) -> str:
    bounds = values.get("bounds")
    steps = {after - before for before, after in pairwise(bounds)} if bounds else set()
    if len(steps) != 1:
        return _ANY_BOUNDS
    return _EVEN_BOUNDS.format(step_us=steps.pop() // timedelta(microseconds=1))
