"""Rows of one day → one Parquet file. The format is fixed in docs/decisions/0017-archive-format.md.

    <table>/day=<YYYY-MM-DD>/<part>-<random>.parquet          and beside it  <same>.sha256, as `sha256sum` writes it

The columns are those of the table on the day of archiving, under the same names; numbers of words are those of
`ringfence.vocabulary`. Spark and DuckDB read the folder as it is; days are its partitions.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ringfence.errors import UnavailableError
from ringfence.storage.archive.place import ArchivePlace

FORMAT = 1
METADATA_KEY = b"ringfence.archive"
ROWS_OF_GROUP = 256 << 10
# Measured on calls: higher levels cost up to twice the time and save nothing (they take digits of Call-IDs for text).
_LEVEL = 1
# What a single call is looked for by: a reader passes over row groups that cannot have it. An octet and a half a call.
_LOOKED_FOR = ("source", "destination", "call_id")
_FALSE_HITS = 0.05
# Nearly ascending numbers of a stream: differences are small, dictionaries would be as long as the column.
_DELTA = ("time", "sequence")
compute: Any = pc


@dataclass(frozen=True)
class WrittenFile:
    """A verified file of the archive."""

    file: str
    rows: int
    bytes: int
    sha256: str
    first_at: datetime
    last_at: datetime


def new_name(table: str, day: date, part: int) -> str:
    """A name that nobody has used."""
    return f"{table}/day={day:%Y-%m-%d}/{part:04d}-{secrets.token_hex(4)}.parquet"


def write_day(
    place: ArchivePlace,
    table: str,
    day: date,
    part: int,
    batches: Iterable[pa.RecordBatch],
    beat: Callable[[int], None],
) -> WrittenFile | None:
    """Write and verify a day's rows; None when there are none. `beat` hears how many rows are written, and may raise.

    UnavailableError when the place refuses, or gives back something else than was written.
    """
    rows = iter(batches)
    head = next((batch for batch in rows if batch.num_rows), None)
    if head is None:
        return None
    name = new_name(table, day, part)
    schema = head.schema.with_metadata(
        {METADATA_KEY: json.dumps({"format": FORMAT, "table": table, "day": f"{day:%Y-%m-%d}", "part": part}).encode()}
    )
    seen = _Seen()
    try:
        with place.writing(name) as stream:
            told = _Hashing(stream)
            with pq.ParquetWriter(told, schema, **_options(schema)) as writer:  # type: ignore[arg-type]
                for group in _groups(head, rows, schema):
                    writer.write_table(group, row_group_size=ROWS_OF_GROUP)
                    seen.add(group)
                    beat(seen.rows)
        _verify(place, name, told, seen.rows)
        with place.writing(f"{name}.sha256") as stream:
            stream.write(f"{told.digest.hexdigest()}  {name.rsplit('/', 1)[-1]}\n".encode())
    except BaseException:
        _forget(place, name)
        raise
    assert seen.first is not None and seen.last is not None  # noqa: S101, PT018 — there is a row
    return WrittenFile(name, seen.rows, told.size, told.digest.hexdigest(), seen.first, seen.last)


def count_rows(place: ArchivePlace, name: str) -> int:
    """As the file's footer says."""
    with place.reading(name) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


def remove_file(place: ArchivePlace, file: str) -> None:
    """Remove a file and its checksum."""
    place.remove(file)
    place.remove(f"{file}.sha256")


def _options(schema: pa.Schema) -> dict[str, Any]:
    delta = [name for name in _DELTA if name in schema.names]
    return {
        "compression": "zstd",
        "compression_level": _LEVEL,
        "use_dictionary": [name for name in schema.names if name not in delta],
        "column_encoding": dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        "coerce_timestamps": "us",
        "store_schema": False,
        "bloom_filter_options": {
            name: {"ndv": ROWS_OF_GROUP, "fpp": _FALSE_HITS} for name in _LOOKED_FOR if name in schema.names
        },
    }


def _groups(head: pa.RecordBatch, rest: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches as tables of about a row group."""
    waiting, count = [head], head.num_rows
    for batch in rest:
        waiting.append(batch)
        count += batch.num_rows
        if count >= ROWS_OF_GROUP:
            yield pa.Table.from_batches(waiting).replace_schema_metadata(schema.metadata)
            waiting, count = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting).replace_schema_metadata(schema.metadata)


def _verify(place: ArchivePlace, name: str, told: _Hashing, rows: int) -> None:
    """Read the file back: the same octets, and a footer that counts the same rows."""
    digest, size = place.sha256(name)
    if (digest, size) != (told.digest.hexdigest(), told.size):
        raise UnavailableError(f"archive {place.name}: {name} reads back otherwise than it was written")
    found = count_rows(place, name)
    if found != rows:
        raise UnavailableError(f"archive {place.name}: {name} has {found} rows, {rows} were written")


def _forget(place: ArchivePlace, name: str) -> None:
    try:
        remove_file(place, name)
    except UnavailableError:
        return  # an unknown name hurts nobody: only files that the database names are read


class _Seen:
    """What has been written."""

    def __init__(self) -> None:
        self.rows = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, group: pa.Table) -> None:
        found = compute.min_max(group.column("time")).as_py()
        self.rows += group.num_rows
        self.first = found["min"] if self.first is None else min(self.first, found["min"])
        self.last = found["max"] if self.last is None else max(self.last, found["max"])


class _Hashing(io.RawIOBase):
    """A stream that hashes and counts what passes."""

    def __init__(self, stream: IO[bytes] | pa.NativeFile) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        octets = memoryview(data).cast("B")
        self._stream.write(octets)
        self.digest.update(octets)
        self.size += len(octets)
        return len(octets)

    def tell(self) -> int:
        return self.size
