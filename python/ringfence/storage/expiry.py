"""One round of retention: look at disk and days, drop what has to go, archive what is closed. Run by the leader.

A day goes only when its calls are in the archive, where there is one: if the archive cannot take them, the day waits,
and status, log and metrics say so. With `storage.drop_unarchived` a disk that fills does not wait for the archive: then
the day goes all the same, and it is said that its calls are lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

import psycopg
import structlog
from psycopg import sql

from ringfence.database.catalogue import event_tables
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.partitions import Partition, drop_days, ensure_ahead, list_partitions
from ringfence.errors import RingfenceError
from ringfence.settings import StorageSettings
from ringfence.storage.archive import parts
from ringfence.storage.archive.day import CopyIsStaleError, copy_day, record_drop, release_day
from ringfence.storage.archive.leftover import remove_leftovers
from ringfence.storage.archive.place import ArchivePlace
from ringfence.storage.disk import DiskReader
from ringfence.storage.lost import forget_lost, record_lost
from ringfence.storage.retention import DatasetLimit, Drop, Limits, Plan, Why, plan_drops
from ringfence.storage.rollups import expire_rollups
from ringfence.storage.round import Round, read_round, write_round

_LOCK = 746433625  # beside migrate.ADVISORY_LOCK and partitions
# A reader may hold the event table for as long as its question lasts; what does not go now goes in the next round.
LOCK_ATTEMPTS = 5
LOCK_PAUSE_S = 0.2

log = structlog.get_logger()


@dataclass(frozen=True)
class Keeping:
    """What a round goes by."""

    settings: StorageSettings
    read_disk: DiskReader
    place: ArchivePlace | None


def limits_of(settings: StorageSettings) -> Limits:
    """The limits of the settings, by event table."""
    found: dict[str, DatasetLimit] = {}
    for table in event_tables():
        assert table.dataset is not None  # noqa: S101 — an event table has one
        dataset = getattr(settings, table.dataset.word)
        found[table.name] = DatasetLimit(dataset.days, dataset.disk_percent)
    return Limits(found, settings.full_percent)


def held_partitions(connection: psycopg.Connection[Any]) -> list[Partition]:
    """The days of all event tables."""
    return [one for table in event_tables() for one in list_partitions(connection, table.name)]


def make_plan(connection: psycopg.Connection[Any], keeping: Keeping, now: datetime) -> Plan:
    """What has to go at `now`."""
    disk = keeping.read_disk(connection)
    return plan_drops(held_partitions(connection), limits_of(keeping.settings), disk, _today(now))


def run_round(
    database: Database, keeping: Keeping, now: datetime, beat: Callable[[str, int], None] = lambda _what, _rows: None
) -> Round | None:
    """Do it, and note it; None when another process is at it. `beat` hears what is done now, and may raise."""
    with _alone(database) as is_alone:
        if not is_alone:
            return None
        work = _Work(database, keeping, now, beat)
        work.drop()
        work.done.rollup_rows = expire_rollups(database, keeping.settings, now)
        work.archive()
        work.done.failures += remove_leftovers(database)
        work.tell_room()
        with database.connection() as connection:
            ensure_ahead(connection, now)
            write_round(connection, work.done)
    if work.done.did_something:
        log.info("storage.round", **work.done.as_json())
    return work.done


@contextmanager
def between_rounds(database: Database, waiting: Callable[[], None]) -> Iterator[None]:
    """Inside, no round goes on in any process. `waiting` is called while the present one ends, and may raise."""
    while True:
        with _alone(database) as is_alone:
            if is_alone:
                yield
                return
        waiting()
        time.sleep(LOCK_PAUSE_S)


class _Release(Enum):
    """What came of an attempt to let a day go to the archive."""

    DONE = "done"
    IN_USE = "in use"
    NOT_ARCHIVED = "not archived"


class _Work:
    """A round while it goes on."""

    def __init__(self, database: Database, keeping: Keeping, now: datetime, beat: Callable[[str, int], None]) -> None:
        self._database = database
        self._keeping = keeping
        self._now = now
        self._beat = beat
        self.done = Round(now)

    def drop(self) -> None:
        """What the plan says."""
        with self._database.connection() as connection:
            plan = make_plan(connection, self._keeping, self._now)
        for drop in plan.drops:
            self._drop(drop)
        self.done.short_bytes = plan.short_bytes
        if plan.short_bytes:
            log.error("storage.disk_short", bytes=plan.short_bytes, left="today and the days to come are never dropped")

    def archive(self) -> None:
        """Copy closed days that have none, oldest first; stops when the disk needs room meanwhile."""
        place = self._keeping.place
        if place is None:
            return
        closed_before = _today(self._now) - timedelta(days=self._keeping.settings.archive.after_days)
        with self._database.connection() as connection:
            copied = parts.copied_days(connection)
            waiting = [
                one
                for one in held_partitions(connection)
                if one.day < closed_before and (one.table, one.day) not in copied and _has_rows(connection, one)
            ]
        for index, partition in enumerate(sorted(waiting, key=lambda one: (one.day, one.table))):
            if not self._copy(partition):
                self.done.waiting += [one.name for one in waiting[index:]]
                return

    def tell_room(self) -> None:
        """Note when days went for want of room; a round that needed none remembers the last one that did."""
        room = [one for one in self.done.dropped if one["why"] != Why.AGE.value]
        if room:
            names = [one["partition"] for one in room]
            self.done.made_room = {"at": self._now.isoformat(), "why": room[-1]["why"], "partitions": names}
            return
        with self._database.connection() as connection:
            before = read_round(connection)
        self.done.made_room = before.get("made_room") if before else None

    def _drop(self, drop: Drop) -> None:
        if self._keeping.place is None:
            self._drop_for_good(drop, is_lost=False)
            return
        came_to = self._release(drop)
        if came_to is _Release.NOT_ARCHIVED and drop.why is Why.DISK and self._keeping.settings.drop_unarchived:
            self._drop_for_good(drop, is_lost=True)
        elif came_to is not _Release.DONE:
            self.done.waiting.append(drop.partition.name)

    def _release(self, drop: Drop) -> _Release:
        """Let the archive answer for the day."""
        for _ in range(LOCK_ATTEMPTS):
            try:
                rows = release_day(self._database, drop, self._now)
            except CopyIsStaleError:
                if not self._copy(drop.partition):
                    return _Release.NOT_ARCHIVED
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                time.sleep(LOCK_PAUSE_S)
            else:
                self._note(drop, rows=rows, is_archived=True)
                return _Release.DONE
        self.done.failures.append(f"{drop.partition.name}: in use, is tried again in the next round")
        return _Release.IN_USE

    def _copy(self, partition: Partition) -> bool:
        assert self._keeping.place is not None  # noqa: S101 — asked by the callers
        self._beat(partition.name, 0)
        try:
            made = copy_day(
                self._database, self._keeping.place, partition, self._now, lambda rows: self._beat(partition.name, rows)
            )
        except RingfenceError as error:
            log.error("storage.archive_failed", partition=partition.name, error=error.message)
            self.done.failures.append(f"{partition.name}: {error.message}")
            return False
        if made is not None:
            self.done.archived.append({"partition": partition.name, "rows": made.rows, "bytes": made.bytes})
        return True

    def _drop_for_good(self, drop: Drop, *, is_lost: bool) -> None:
        """Drop a day whose calls are in no archive; `is_lost` though there is one."""
        partition = drop.partition
        with self._database.connection() as connection:
            had_calls = _has_rows(connection, partition)
            if had_calls:  # before they go: a question may never find them missing without a word
                record_lost(connection, partition.table, partition.day, drop.why.value, self._now)
        dropped = drop_days(self._database, partition.table, lambda day: day == partition.day)
        if partition.day not in dropped:  # somebody else is at it, or it failed: the next round looks again
            with self._database.connection() as connection:
                forget_lost(connection, partition.table, partition.day)
            return
        with self._database.connection() as connection:
            record_drop(connection, drop, None, None)
        if is_lost and had_calls:
            log.error("storage.dropped_without_archive", partition=partition.name, why=drop.why.value)
        self._note(drop, rows=None, is_archived=False)

    def _note(self, drop: Drop, *, rows: int | None, is_archived: bool) -> None:
        one = {
            "partition": drop.partition.name,
            "why": drop.why.value,
            "bytes": drop.partition.bytes,
            "rows": rows,
            "is_archived": is_archived,
        }
        log.warning("storage.dropped", **one) if drop.why is not Why.AGE else log.info("storage.dropped", **one)
        self.done.dropped.append(one)


@contextmanager
def _alone(database: Database) -> Iterator[bool]:
    """Whether this process may do the round; others of the database wait for their next one."""
    with database.autocommit() as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        is_alone = bool(row and row[0])
        try:
            yield is_alone
        finally:
            if is_alone and not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _has_rows(connection: psycopg.Connection[Any], partition: Partition) -> bool:
    statement = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(sql.Identifier(SCHEMA, partition.name))
    row = connection.execute(statement).fetchone()
    return bool(row and row[0])


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()
