"""Checked events → the database, exactly once. The last stage of ingest and its only SQL.

One transaction per upload:

    lock the stream's row ─► trim what is known ─► COPY rows ─► add counts ─► advance last_sequence ─► COMMIT

Exactly once, because the stream's `last_sequence` commits together with the rows that it covers, and because the row
lock lets only one upload of a stream pass at a time, whichever mediation it came to:

* The same batch again, or one that overlaps: trimmed to what is new; the answer names the last sequence held.
* A batch beyond the next sequence: 409 with the last sequence held; the edge sends from there.
* The connection, the mediation or PostgreSQL dies before COMMIT: nothing of the upload is there; the edge repeats it.
* They die after COMMIT but before the edge heard: the edge sends it again, all of it is trimmed.
* The database is restored from an old backup: the edge learns the old `last_sequence` and sends the difference.
* The edge's journal is full or too old and has dropped what comes next: the edge says so (`first_kept`), the hole is
  counted in the stream's `lost` and the stream goes on behind it. Only then do sequences have a hole.

Counts are added last and in key order: uploads of one device's streams meet on the same counters, and this keeps the
wait short and free of deadlocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
import pyarrow as pa
import structlog
from psycopg import sql

from ringfence._native import arrow_to_copy
from ringfence.database.partitions import bounds, ensure_between
from ringfence.errors import ConflictError, InvalidInputError, UnavailableError
from ringfence.mediation.devices import clock_offset_us, refuse_foreign_journal
from ringfence.mediation.ingest.batch import Batch, decode_batch
from ringfence.mediation.ingest.calls import compute, with_numbers
from ringfence.mediation.ingest.classes import with_classes
from ringfence.mediation.ingest.counters import add
from ringfence.mediation.ingest.hits import add_hits, count_hits
from ringfence.mediation.ingest.metering import IngestMeters, Tally
from ringfence.mediation.ingest.rollups import additions
from ringfence.mediation.ingest.rows import arrow_stream, count_minutes, days_of, of_stream, stored_rows
from ringfence.mediation.ingest.schema import EventSchema, event_schema
from ringfence.mediation.sites import site_of_device
from ringfence.numbering.classification import Classifier
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of
from ringfence.vocabulary import Dataset

if TYPE_CHECKING:
    from ringfence.database.connection import Database

log = structlog.get_logger()

# An upload that waits this long for a lock, or whose mediation hangs inside the transaction, gives up.
LOCK_TIMEOUT_MS = 10_000
IDLE_TIMEOUT_MS = 30_000
# How long a device's site and clock are taken to be what they were.
SITE_FOR_S = 5.0

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_MAX_JOURNAL_ID = (1 << 63) - 1
_MAX_STREAM = (1 << 15) - 1
_MAX_KNOWN_JOURNALS = 10_000
# No partition has the day. Citus passes on what a node says of a COPY as an error of its own.
_NO_PARTITION = (psycopg.errors.CheckViolation, psycopg.errors.InternalError_)

_BOUND_WAITS = """
SELECT set_config('lock_timeout', %(lock)s, true), set_config('idle_in_transaction_session_timeout', %(idle)s, true)
"""

_LOCK_STREAM = """
SELECT stream_id, last_sequence FROM device_stream
WHERE device_id = %(device_id)s AND journal_id = %(journal_id)s AND stream = %(stream)s
FOR UPDATE
"""

_ADD_STREAM = """
INSERT INTO device_stream (device_id, journal_id, stream) VALUES (%(device_id)s, %(journal_id)s, %(stream)s)
ON CONFLICT DO NOTHING
"""

_ADD_COUNTS = """
INSERT INTO call_minute (device_id, dataset, minute, action, calls)
SELECT %(device_id)s, %(dataset)s, minute, outcome, calls
FROM unnest(%(minutes)s::timestamptz[], %(outcomes)s::smallint[], %(calls)s::bigint[])
  AS counted (minute, outcome, calls)
ORDER BY minute, outcome
ON CONFLICT (device_id, dataset, minute, action) DO UPDATE SET calls = call_minute.calls + excluded.calls
"""

_ADVANCE = "UPDATE device_stream SET last_sequence = %(last)s, lost = lost + %(lost)s WHERE stream_id = %(stream_id)s"


class Ingest:
    """Takes uploads into one database; shared by all threads of a mediation."""

    def __init__(self, database: Database) -> None:
        self.meters = IngestMeters()
        self._database = database
        self._partitions: set[tuple[str, date]] = set()
        self._places: dict[int, tuple[float, Site, int]] = {}
        self._classifier = Classifier()
        self._own_journals: set[tuple[int, int]] = set()
        self._lock = Lock()

    def check_journal(self, device_id: int, journal_id: int) -> None:
        """ForbiddenError when another device sent of this journal before; asked of the database once."""
        key = device_id, journal_id
        if key in self._own_journals:
            return
        with self._database.connection() as connection:
            refuse_foreign_journal(connection, device_id, journal_id)
        if len(self._own_journals) >= _MAX_KNOWN_JOURNALS:
            self._own_journals.clear()
        self._own_journals.add(key)

    def accept(
        self,
        device_id: int,
        dataset: str,
        journal_id: int,
        stream: int,
        body: bytes,
        now: datetime | None = None,
        first_kept: int | None = None,
    ) -> int:
        """Store what is new in an upload; the stream's last committed sequence.

        `first_kept`: the device's journal has nothing before this sequence any more.

        InvalidInputError: malformed, nothing stored. ConflictError `gap`: `detail.received` says from where to send.
        UnavailableError: the database is away or busy; the same upload may be sent again.
        """
        with self.meters.upload(dataset) as tally:
            upload = self._read(device_id, dataset, journal_id, stream, body, now, first_kept)
            return self._store_all(upload, tally)

    def _read(
        self,
        device_id: int,
        dataset: str,
        journal_id: int,
        stream: int,
        body: bytes,
        now: datetime | None,
        first_kept: int | None,
    ) -> _Upload:
        schema = event_schema(dataset)
        if not (0 <= journal_id <= _MAX_JOURNAL_ID and 0 <= stream <= _MAX_STREAM):
            raise InvalidInputError(f"journal_id must be at most {_MAX_JOURNAL_ID}, stream at most {_MAX_STREAM}")
        batch = decode_batch(body, schema)
        site, offset_us = self._place(device_id)
        if schema.dataset is Dataset.SIP:
            batch = replace(batch, events=with_numbers(batch.events, normaliser_of(site)))
        batch = replace(batch, events=with_classes(batch.events, self._classifier, site.country))
        return _Upload(schema, device_id, journal_id, stream, batch, now or datetime.now(UTC), first_kept, offset_us)

    def _store_all(self, upload: _Upload, tally: Tally) -> int:
        received = self._store_again(upload)
        tally.received, tally.stored, tally.lost = len(upload.rows), upload.stored, upload.lost
        tally.newest, tally.at = upload.newest, upload.now
        return received

    def _store_again(self, upload: _Upload) -> int:
        try:
            return self._store(upload)
        except _NO_PARTITION:
            # A day partition was dropped since it was last seen here.
            with self._lock:
                self._partitions.clear()
            try:
                return self._store(upload)
            except _NO_PARTITION as error:
                # The day is being dropped this moment; it gets a partition of its own when that is done.
                raise UnavailableError(f"database: {str(error).splitlines()[0]}") from error
        except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
            # Waited too long for a lock, disk full …: what `Database` does not count as "away".
            raise UnavailableError(f"database: {str(error).splitlines()[0]}") from error

    def _place(self, device_id: int) -> tuple[Site, int]:
        """The device's site, and its clock's offset in microseconds; a change is seen after SITE_FOR_S."""
        with self._lock:
            known = self._places.get(device_id)
        if known is None or known[0] < monotonic():
            with self._database.connection() as connection:
                site, offset_us = site_of_device(connection, device_id), clock_offset_us(connection, device_id)
            known = monotonic() + SITE_FOR_S, site, offset_us
            with self._lock:
                self._places[device_id] = known
        return known[1:]

    def _store(self, upload: _Upload) -> int:
        self._ensure_partitions(upload)
        with self._database.connection() as connection:
            return upload.store(connection)

    def _ensure_partitions(self, upload: _Upload) -> None:
        """In a transaction of their own: uploads that need the same new day wait for each other only this long."""
        table = upload.schema.table
        with self._lock:
            missing = [day for day in upload.days if (table, day) not in self._partitions]
        if not missing:
            return
        with self._database.connection() as connection:
            for day in missing:
                # Day by day, not from first to last: a late event must not make partitions for all days up to now.
                oldest, newest = bounds(upload.now)
                moment = min(max(datetime.combine(day, time(12), UTC), oldest), newest)
                ensure_between(connection, table, moment, moment, upload.now)
        with self._lock:
            self._partitions.update((table, day) for day in missing)


class _Upload:
    """One batch on its way into the database."""

    def __init__(
        self,
        schema: EventSchema,
        device_id: int,
        journal_id: int,
        stream: int,
        batch: Batch,
        now: datetime,
        first_kept: int | None,
        offset_us: int,
    ) -> None:
        self.schema = schema
        self.key = {"device_id": device_id, "journal_id": journal_id, "stream": stream}
        self.device_id = device_id
        self.first = batch.first
        self.last = batch.last
        self.now = now
        self.first_kept = first_kept
        self.rows = stored_rows(batch.events, schema, device_id, now, bounds(now), offset_us)
        self.days = days_of(self.rows)
        self.newest: datetime | None = compute.max(self.rows.column("time")).as_py()
        # What `store` did.
        self.stored = 0
        self.lost = 0

    def store(self, connection: Connection) -> int:
        """Run the transaction's statements; the caller commits."""
        stream_id, known = self._lock_stream(connection)
        hole = max(0, self.first - 1 - known)
        if hole and self.first_kept != self.first:
            raise ConflictError(
                f"sequence: batch begins at {self.first}, {known} is the last one held: send from {known + 1}",
                code="gap",
                detail={"received": known},
            )
        if self.last <= known:
            return known
        if hole:
            log.error("ingest.events_lost", **self.key, after=known, before=self.first, lost=hole)
        fresh = of_stream(self.rows.slice(max(0, known + 1 - self.first)), stream_id)
        self._copy(connection, fresh)
        added = additions(fresh, self.schema.dataset, self.schema.outcome)
        with connection.pipeline():
            self._add_counts(connection, fresh)
            for addition in added:
                add(connection, addition, self.device_id, int(self.schema.dataset))
            if self.schema.dataset is Dataset.ENUM:
                add_hits(connection, self.device_id, count_hits(fresh))
            connection.execute(_ADVANCE, {"last": self.last, "lost": hole, "stream_id": stream_id})
        self.stored, self.lost = fresh.num_rows, hole
        return self.last

    def _lock_stream(self, connection: Connection) -> tuple[int, int]:
        # One round trip for both; small uploads are mostly round trips.
        with connection.pipeline():
            connection.execute(_BOUND_WAITS, {"lock": str(LOCK_TIMEOUT_MS), "idle": str(IDLE_TIMEOUT_MS)})
            row = connection.execute(_LOCK_STREAM, self.key).fetchone()
        if row is None:
            connection.execute(_ADD_STREAM, self.key)
            row = connection.execute(_LOCK_STREAM, self.key).fetchone()
        if row is None:
            raise UnavailableError("database: the device's stream vanished while it was read")
        return int(row[0]), int(row[1])

    def _copy(self, connection: Connection, rows: pa.RecordBatch) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(self.schema.table), sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(arrow_to_copy(arrow_stream(rows)))

    def _add_counts(self, connection: Connection, rows: pa.RecordBatch) -> None:
        counts = count_minutes(rows, self.schema.outcome)
        values: Mapping[str, object] = {
            "device_id": self.device_id,
            "dataset": int(Dataset(self.schema.dataset)),
            "minutes": counts.minutes,
            "outcomes": counts.outcomes,
            "calls": counts.calls,
        }
        connection.execute(_ADD_COUNTS, values)
