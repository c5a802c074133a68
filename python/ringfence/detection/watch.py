"""The watcher: feeds windows with what is committed, whichever mediation took it in, and applies what crosses.

```text
device_stream: last committed sequences ─► rows behind what was read ─► Windows ─► crossings ─► one transaction
      ▲ every TICK_S, on the leader alone                                          (episodes, entries, alerts, progress)
```
Windows live in memory and are made anew from the rows of the longest window: at the start, when leadership comes, when
what is deployed changes, and after any failure. What crosses then again finds its episode in the database and extends
it; what happened while nobody watched is found, for it is behind the time up to which somebody had. With no detection
deployed nothing runs: no window, no query.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pyarrow as pa
import structlog
from psycopg import Connection, sql

from ringfence._native import Windows
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import Database
from ringfence.detection import episodes, store
from ringfence.detection.applying import Application, Crossing, OnFiring, microseconds, moment
from ringfence.detection.calls import MOMENT, Head, as_stream, read_fresh, read_heads, read_period
from ringfence.detection.compiled import specification, windows_key
from ringfence.detection.firing import Dataset
from ringfence.detection.sql import condition_sql
from ringfence.detection.store import Deployment
from ringfence.detection.surroundings import Surroundings, read_surroundings
from ringfence.errors import InvalidInputError, RingfenceError
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels

TICK_S = 0.1
SILENCE_EVERY_S = 5.0
# How often what definitions refer to is read again, and how often the place read up to is kept without a crossing.
LOOK_AGAIN_S = 15.0
KEEP_EVERY_S = 5.0
RETRY_S = 1.0
LATENESS = timedelta(seconds=120)  # crates/windows: LATENESS_US
# A detection that was just deployed tells of an attack that goes on, not of one that is over.
GOING_ON = timedelta(seconds=60)
MAX_KEYS = 1_000_000
# Calls behind what was read, beyond which windows are made anew: rows are then read in bulk.
MOST_AT_ONCE = 100_000
_AHEAD = timedelta(days=400)  # schedules are laid out so far
_LOCK = 7_201_012  # advisory lock: crossings are applied by one watcher at a time
log = structlog.get_logger()


@dataclass
class WatchCounters:
    """Since the start of the process; for metrics."""

    events: int = 0
    too_late: int = 0
    evicted: int = 0
    keys: int = 0
    firings: int = 0
    listed: int = 0
    held_back: int = 0
    rebuilds: int = 0
    failures: int = 0
    lag_s: float = 0.0
    deployed: int = 0


class Watcher:
    """Watches while `is_leader`; `on_firing` is called in the transaction that records a firing."""

    def __init__(
        self,
        database: Database,
        channels: Channels,
        is_leader: Callable[[], bool],
        on_firing: OnFiring,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._is_leader = is_leader
        self._on_firing = on_firing
        self._clock = clock
        self._follower = ChannelFollower(channels, store.CHANNEL, self._reload)
        self._changed = asyncio.Event()
        self._deployed: list[Deployment] = []
        self._watch: _Watch | None = None
        self.counters = WatchCounters()
        self.faults: dict[str, str] = {}
        """Detections that are deployed and cannot be watched, and why: what they refer to is gone."""

    @property
    def is_watching(self) -> bool:
        """Whether windows are up to date here."""
        return self._watch is not None

    async def run(self) -> None:
        """Until cancelled."""
        following = asyncio.create_task(self._follower.run())
        try:
            while True:
                if not self._deployed or not self._is_leader():
                    self._watch = None
                    self._changed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), None if not self._deployed else TICK_S)
                    continue
                pause = await asyncio.to_thread(self._step)
                await asyncio.sleep(pause)
        finally:
            following.cancel()

    def stop(self) -> None:
        """Let those who follow go. Idempotent."""
        self._follower.stop()

    async def _reload(self) -> None:
        deployed = await asyncio.to_thread(self._read_deployed)
        if deployed != self._deployed:
            self._deployed = deployed
            self.counters.deployed = len(deployed)
            self._changed.set()

    def _read_deployed(self) -> list[Deployment]:
        with self._database.connection() as connection:
            return store.list_deployed(connection)

    def _step(self) -> float:
        """One look; how long to wait for the next."""
        if self._database.fence is not None:
            return RETRY_S
        begun = time.monotonic()
        try:
            deployed, watch = self._deployed, self._watch
            if watch is None or watch.deployed is not deployed or watch.is_outdated(self._database):
                watch = _Watch(self._database, deployed, self._on_firing, self.counters)
                watch.rebuild(self._clock())
            self._watch = watch
            watch.look(self._clock())
        except (psycopg.Error, RingfenceError) as error:
            log.warning("detection.watch_failed", error=str(error).strip().split("\n")[0])
            return self._begin_afresh()
        except Exception:
            # Whatever it was: nobody would notice that no attack is told any more.
            log.exception("detection.watch_failed")
            return self._begin_afresh()
        self.faults = self._watch.faults
        return max(0.0, TICK_S - (time.monotonic() - begun))

    def _begin_afresh(self) -> float:
        """What the windows counted and nobody applied is counted anew."""
        self._watch = None
        self.counters.failures += 1
        return RETRY_S


class _Watch:
    """Windows of what is deployed, and up to where each stream was read."""

    def __init__(
        self, database: Database, deployed: list[Deployment], on_firing: OnFiring, counters: WatchCounters
    ) -> None:
        self._database = database
        self.deployed = deployed
        self.faults: dict[str, str] = {}
        self._watched = deployed
        self._on_firing = on_firing
        self._counters = counters
        self._read: dict[int, int] = {}
        self._looked_again = time.monotonic()
        self._kept = 0.0
        self._asked_silence = 0.0
        self._base = (0, 0, 0)

    def is_outdated(self, database: Database) -> bool:
        """Whether what definitions refer to has changed; looked at now and then."""
        if time.monotonic() - self._looked_again < LOOK_AGAIN_S:
            return False
        self._looked_again = time.monotonic()
        with database.connection() as connection:
            around = read_surroundings(connection)
        if around == self._around:
            return False
        if self.faults or self._specification(around) != self._text:
            return True
        self._take(around)
        return False

    def rebuild(self, now: datetime) -> None:
        """Windows as they would be had this process watched all along; then apply what nobody has."""
        self._period = (now - timedelta(days=8), now + _AHEAD)
        with self._database.connection() as connection:
            around = read_surroundings(connection)
            self._watched = [one for one in self.deployed if self._can_be_watched(one, around)]
            self._text = self._specification(around)
            self._windows = Windows(self._text, MAX_KEYS, secrets.randbits(64))
            self._take(around)
            heads = read_heads(connection)
            watched_until = _watched_until(connection)
        since = now - GOING_ON
        if watched_until is not None and watched_until > now - self._look_back(None):
            since = watched_until - LATENESS
        crossings: list[Crossing] = []
        with columnar_reader(self._database.url) as reader:
            for dataset in self._datasets():
                start = now - self._look_back(dataset)
                only = self._relevant(dataset, around, now)
                for _, calls in read_period(reader, dataset, start, now + LATENESS, heads=heads, only=only):
                    crossings.extend(self._feed(dataset, calls, now))
        self._read = {head.stream_id: head.sequence for head in heads}
        self._counters.rebuilds += 1
        due = [crossing for crossing in crossings if moment(crossing.last_us) >= since]
        with self._database.connection() as connection:
            for one in episodes.running_episodes(connection, [d.definition.name for d in self._watched], now):
                self._prime(one)
        self._apply(due, now, is_kept=True)

    def look(self, now: datetime) -> None:
        """Count what was committed since the last look, and apply what crosses."""
        with self._database.connection() as connection:
            heads = read_heads(connection)
            fresh = [head for head in heads if head.sequence > self._read.get(head.stream_id, 0)]
            behind = sum(head.sequence - self._read.get(head.stream_id, 0) for head in fresh)
            is_set_back = any(head.sequence < self._read.get(head.stream_id, 0) for head in heads)
            if is_set_back or behind > MOST_AT_ONCE:
                found = None
            else:
                found = [
                    (dataset, read_fresh(connection, dataset, spans, now - LATENESS))
                    for dataset in self._datasets()
                    if (spans := self._spans(fresh, dataset))
                ]
        if found is None:
            # A database set back to an older state, or a backlog: made anew in bulk.
            self.rebuild(now)
            return
        crossings = [crossing for dataset, calls in found for crossing in self._feed(dataset, calls, now)]
        newest = max((calls.column("time_us")[-1].as_py() for _, calls in found if len(calls)), default=None)
        if newest is not None:
            self._counters.lag_s = max(0.0, (now - moment(newest)).total_seconds())
        self._read |= {head.stream_id: head.sequence for head in fresh}
        if time.monotonic() - self._asked_silence >= SILENCE_EVERY_S:
            self._asked_silence = time.monotonic()
            crossings.extend(Crossing(*one) for one in self._windows.tick(microseconds(now)))
        is_kept = time.monotonic() - self._kept >= KEEP_EVERY_S
        if crossings or is_kept or self._application.has_due(now):
            self._apply(crossings, now, is_kept=is_kept)
        self._count()

    def _apply(self, crossings: list[Crossing], now: datetime, *, is_kept: bool) -> None:
        with self._database.connection() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            applied = self._application.apply(connection, crossings, now)
            if is_kept or crossings:
                _keep_progress(connection, self._read, now)
                self._kept = time.monotonic()
        # Only now is it true.
        for raised in applied.raised:
            self._windows.set_threshold(raised.detection, raised.key, raised.value, raised.until_us)
        self._counters.firings += applied.opened
        self._counters.listed += applied.listed
        self._counters.held_back += applied.held_back

    def _feed(self, dataset: Dataset, calls: pa.RecordBatch, now: datetime) -> list[Crossing]:
        return [Crossing(*one) for one in self._windows.feed(dataset, as_stream(calls), microseconds(now))]

    def _prime(self, episode: episodes.Episode) -> None:
        for place, deployment in enumerate(self._watched):
            if deployment.definition.name == episode.name:
                key = windows_key(deployment.definition, episode.key, self._around)
                if key is not None:
                    first, last = microseconds(episode.fired_at), microseconds(episode.last_at)
                    self._windows.prime(place, key, first, last)

    def _take(self, around: Surroundings) -> None:
        self._around = around
        self._application = Application(self._watched, around, self._on_firing)

    def _can_be_watched(self, one: Deployment, around: Surroundings) -> bool:
        """One that refers to what is gone must not blind the others."""
        try:
            specification([one.definition], around, self._period)
        except InvalidInputError as error:
            self.faults[one.definition.name] = error.message
            log.error("detection.not_watched", detection=one.definition.name, why=error.message)
            return False
        return True

    def _specification(self, around: Surroundings) -> str:
        return specification([one.definition for one in self._watched], around, self._period)

    def _datasets(self) -> list[Dataset]:
        return sorted({one.definition.dataset for one in self._watched})

    def _look_back(self, dataset: Dataset | None) -> timedelta:
        """The longest window of a dataset's detections, or of all, and what may still come late."""
        seconds = [one.definition.window_s for one in self._watched if dataset in (None, one.definition.dataset)]
        return timedelta(seconds=max(seconds, default=0)) + LATENESS

    def _relevant(self, dataset: Dataset, around: Surroundings, now: datetime) -> sql.Composable:
        """The history that any detection still counts: each its own calls, as far back as its own window."""
        parts = [
            sql.SQL("({} >= {} AND {})").format(
                sql.SQL(MOMENT[dataset]),
                sql.Literal(now - timedelta(seconds=one.definition.window_s) - LATENESS),
                condition_sql(one.definition, around, self._period),
            )
            for one in self._watched
            if one.definition.dataset == dataset
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))

    def _spans(self, fresh: list[Head], dataset: Dataset) -> dict[int, tuple[int, int]]:
        return {
            head.stream_id: (self._read.get(head.stream_id, 0), head.sequence)
            for head in fresh
            if head.dataset == dataset
        }

    def _count(self) -> None:
        calls, too_late, _, evicted, keys, _ = self._windows.counters()
        before, counters = self._base, self._counters
        counters.events += calls - before[0]
        counters.too_late += too_late - before[1]
        counters.evicted += evicted - before[2]
        counters.keys = keys
        self._base = (calls, too_late, evicted)


def _watched_until(connection: Connection) -> datetime | None:
    row = connection.execute("SELECT max(seen_at) FROM detection_progress").fetchone()
    return row[0] if row else None


def _keep_progress(connection: Connection, read: dict[int, int], now: datetime) -> None:
    connection.execute(
        """
        INSERT INTO detection_progress (stream_id, sequence, seen_at)
        SELECT stream_id, sequence, %(now)s FROM unnest(%(streams)s::integer[], %(sequences)s::bigint[])
          AS read (stream_id, sequence) ORDER BY stream_id
        ON CONFLICT (stream_id) DO UPDATE SET sequence = excluded.sequence, seen_at = excluded.seen_at
        """,
        {"now": now, "streams": list(read), "sequences": list(read.values())},
    )
