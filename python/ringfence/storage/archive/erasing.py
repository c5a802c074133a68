"""A number taken out of archived days: each file that has it is written anew and put in the old one's place.

    part ─► has the number? ─► reads as it was written? ─► rows with the mark ─► new file, verified
             └─ one transaction: nobody reads the table ─► the part is the new file ─► COMMIT ─► the old file is removed
A part is the old file or the new one, whole, whatever stops this midway; what was done stays done, and the rest is
found by looking again. A *copy* is not written anew: it is forgotten with the change of the rows that it was made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import structlog
from psycopg import sql

from ringfence.database.connection import SCHEMA, Database
from ringfence.errors import UnavailableError
from ringfence.storage.archive import parts
from ringfence.storage.archive.day import LOCK_TIMEOUT_MS
from ringfence.storage.archive.file import ROWS_OF_GROUP, WrittenFile, remove_file, write_day
from ringfence.storage.archive.leftover import note_leftover
from ringfence.storage.archive.parts import Part
from ringfence.storage.archive.place import place_of_url

# Readers hold the event table for as long as their question lasts: the swap waits for them in short turns.
SWAP_ATTEMPTS = 120
SWAP_PAUSE_S = 0.2

Beat = Callable[[int], None]
compute: Any = pc
log = structlog.get_logger()


@dataclass(frozen=True)
class Marking:
    """A number, as rows hold it, and the mark that takes its place."""

    number: int
    mark: str

    def count(self, part: Part) -> int:
        """Calls of the part from or to the number. UnavailableError: the file cannot be read."""
        place = place_of_url(part.place)
        wanted = (ds.field("source") == self.number) | (ds.field("destination") == self.number)
        with place.reading(part.file):
            return int(
                ds.dataset(place.path_of(part.file), filesystem=place.filesystem, format="parquet").count_rows(
                    filter=wanted
                )
            )

    def apply(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows with the mark in the number's place; the same that is done to rows of the database."""
        for batch in batches:
            yield self._apply(batch)

    def _apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        has = {side: compute.equal(batch.column(side), self.number) for side in ("source", "destination")}
        changed = {name: batch.column(name) for name in batch.schema.names}
        for side, is_number in has.items():
            changed[f"{side}_raw"] = compute.if_else(is_number, self.mark, changed[f"{side}_raw"])
            changed[side] = compute.if_else(is_number, 0, changed[side])
        if "details" in changed:
            names = compute.match_substring(changed["details"], str(self.number))
            of_number = compute.or_(has["source"], has["destination"])
            is_hidden = compute.and_(of_number, compute.fill_null(names, False))
            changed["details"] = compute.if_else(is_hidden, None, changed["details"])
        arrays = [changed[field.name].cast(field.type) for field in batch.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def rewrite_part(database: Database, part: Part, marking: Marking, beat: Beat) -> bool:
    """Write a part anew and let it answer; False: it became another meanwhile, look again.

    UnavailableError: the place is away, the old file is damaged, or readers do not let go; the part is as it was.
    """
    place = place_of_url(part.place)
    if place.sha256(part.file) != (part.sha256, part.bytes):
        raise UnavailableError(
            f"archive {place.name}: {part.file} reads otherwise than it was written: restore it first"
        )
    with place.reading(part.file) as stream:
        rows = pq.ParquetFile(stream).iter_batches(batch_size=ROWS_OF_GROUP)
        written = write_day(place, part.table_name, part.day, part.part, marking.apply(rows), beat)
    if written is None:
        raise UnavailableError(f"archive {place.name}: {part.file} has no rows")
    try:
        is_swapped = written.rows == part.rows and _swap(database, part, written, beat)
    except BaseException:
        remove_file(place, written.file)
        raise
    if not is_swapped:
        remove_file(place, written.file)
    log.info("storage.rewritten", table=part.table_name, day=str(part.day), rows=written.rows, is_swapped=is_swapped)
    return is_swapped


def forget_copy(connection: psycopg.Connection[Any], partition_table: str, day: Any) -> None:
    """The day's rows are changed in this transaction: what was copied of them goes, the next round copies them anew."""
    copy = parts.forget_copy(connection, partition_table, day)
    if copy is not None:
        note_leftover(connection, copy)


def _swap(database: Database, part: Part, written: WrittenFile, beat: Beat) -> bool:
    for _ in range(SWAP_ATTEMPTS):
        try:
            with database.connection() as connection:
                connection.execute("SELECT set_config('lock_timeout', %s, true)", [str(LOCK_TIMEOUT_MS)])
                table = sql.Identifier(SCHEMA, part.table_name)
                # Whoever reads the archive holds the table: from here on nobody has the old file's name.
                connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(table))
                is_swapped = parts.replace_file(connection, part, written)
                if is_swapped:
                    note_leftover(connection, part)
            return is_swapped
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            beat(written.rows)
            time.sleep(SWAP_PAUSE_S)
    raise UnavailableError(f"archive: {part.table_name} is in use, the day {part.day} could not be swapped; try again")
