"""Recorded calls in bulk, as Arrow: what simulation replays and list entries are counted from.

A period is read hour by hour, so that it can be told how far it is, and stopped; hours of archived days come from the
archive. Which hours have calls, and how many, the minute counts say; they stay when the calls themselves are dropped by
age, so what is missing is known exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from psycopg import Connection, sql

from ringfence.database.columnar import ColumnarReader
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.storage.reach import read_archive
from ringfence.vocabulary import Dataset

HOUR = timedelta(hours=1)
MAX_PERIOD = timedelta(days=400)


@dataclass(frozen=True)
class RecordingDevice:
    """Who recorded: a device, at its site of today."""

    device_id: int
    name: str
    site: str


@dataclass(frozen=True)
class Hour:
    """A part of the period within one hour, and how many calls were counted in it."""

    start: datetime
    end: datetime
    calls: int


# Raw text only where there is no number.
_CALLS = """
SELECT time, device_id, source, destination, source_class, destination_class, direction,
       CASE WHEN source = 0 THEN source_raw END AS source_raw,
       CASE WHEN destination = 0 THEN destination_raw END AS destination_raw,
       action, reason, rule_id, target, policy_version, monitored, stream_id, sequence
FROM enum_event WHERE time >= {start} AND time < {end} AND device_id IN ({devices})
"""

_ORDER = ("time", "stream_id", "sequence")

_HOURS = """
SELECT date_trunc('hour', minute, 'UTC') AS hour, sum(calls)::bigint FROM call_minute
WHERE dataset = %s AND device_id = ANY(%s) AND minute >= date_trunc('minute', %s::timestamptz) AND minute < %s
GROUP BY hour ORDER BY hour
"""


def recording_devices(connection: Connection, site: str | None, device: str | None) -> list[RecordingDevice]:
    """The devices of a site, one device, or all; also those whose credential was taken away. NotFoundError."""
    rows = connection.execute(
        """
        SELECT d.device_id, d.name, s.name FROM device d JOIN site s USING (site_id)
        WHERE (%(site)s::text IS NULL OR s.name = %(site)s) AND (%(device)s::text IS NULL OR d.name = %(device)s)
        ORDER BY d.device_id
        """,
        {"site": site, "device": device},
    ).fetchall()
    if not rows and (site is not None or device is not None):
        wanted = [f"{word} {name!r}" for word, name in (("site", site), ("device", device)) if name is not None]
        raise NotFoundError(f"no device is known for {' and '.join(wanted)}")
    return [RecordingDevice(*row) for row in rows]


def check_period(start: datetime, end: datetime) -> None:
    """InvalidInputError unless [start, end) is a period with zones, not longer than events are ever kept."""
    for field, moment in (("start", start), ("end", end)):
        if moment.tzinfo is None:
            raise InvalidInputError(f"{field}: {moment.isoformat()} has no time zone, must have one")
    if not start < end:
        raise InvalidInputError(f"start: {start.isoformat()} must be before end {end.isoformat()}")
    if end - start > MAX_PERIOD:
        raise InvalidInputError(f"start: the period is longer than {MAX_PERIOD.days} days")


def hours_with_calls(
    connection: Connection, devices: list[RecordingDevice], start: datetime, end: datetime
) -> list[Hour]:
    """The hours of a period that have calls by the counts of whole minutes, oldest first."""
    ids = [device.device_id for device in devices]
    rows = connection.execute(_HOURS, (int(Dataset.ENUM), ids, start, end)).fetchall()
    return [Hour(max(hour, start), min(hour + HOUR, end), calls) for hour, calls in rows]


def read_calls(
    database: Database,
    reader: ColumnarReader,
    devices: list[RecordingDevice],
    hour: Hour,
    *,
    in_order: bool,
    only: sql.Composable | None = None,
) -> Iterator[pa.RecordBatch]:
    """The calls of an hour; `in_order` of time where rate conditions ask for it, `only` those of a condition.

    UnavailableError: the database or the archive cannot be reached.
    """
    ids = sql.SQL(", ").join(sql.Literal(device.device_id) for device in devices) if devices else sql.SQL("NULL")
    query = sql.SQL(_CALLS).format(start=sql.Literal(hour.start), end=sql.Literal(hour.end), devices=ids)
    if only is not None:
        query += sql.SQL(" AND ") + only
    if in_order:
        query += sql.SQL(" ORDER BY ") + sql.SQL(", ").join(map(sql.Identifier, _ORDER))
    text = query.as_string(None)
    # The day stays where it is, here or there, until its calls are read.
    with database.connection() as connection:
        archived = read_archive(connection, text, "enum_event", hour.start, hour.end)
        if archived is None:
            yield from reader.read(text)
            return
        yield from _together(list(reader.read(text)), archived, in_order=in_order).to_batches()


def _together(here: list[pa.RecordBatch], archived: pa.Table, *, in_order: bool) -> pa.Table:
    """Calls of one hour from both places: late ones may have come after its day was archived."""
    if not any(batch.num_rows for batch in here):
        return archived
    calls = pa.Table.from_batches(here)
    calls = pa.concat_tables([calls, archived.select(calls.column_names).cast(calls.schema)])
    return calls.sort_by([(name, "ascending") for name in _ORDER]) if in_order else calls
