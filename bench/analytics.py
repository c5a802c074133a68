"""Every view of Analytics and first pages of the call log over thirty days of eight devices: `make bench-analytics`.

Fills an embedded PostgreSQL and an archive with seeded calls (`bench/calls.py`): the newest days in the database, those
before in Parquet, as retention leaves a disk that is too small for all. Then it asks each view as the console does, by
hour and by day, for all devices and for one, and searches the call log (`bench/searches.py`); each figure is the median
of its runs. Last a disk that fills: retention archives and drops a day while views are asked on. It ends with the
RESULT line.

`--data FOLDER` keeps what was filled, and asks it again when it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from ringfence.analytics.views import VIEWS, AnalyticsQuery, AnalyticsResult, EventFilter, run_query
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.mediation.ingest.closing import close_hour
from ringfence.settings import ArchiveSettings, Settings, StorageSettings
from ringfence.storage.archive.place import ArchivePlace, archive_place
from ringfence.storage.disk import Disk
from ringfence.storage.expiry import Keeping, run_round
from ringfence.vocabulary import Dataset, Direction

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench import calls, searches  # noqa: E402
from bench.report import Row, finish, row  # noqa: E402
from bench.stopwatch import Taken, timed  # noqa: E402

DAYS = 30
DAYS_HERE = 3
ZONE = "America/Chicago"
GOALS_MS = {"views": 300, "tops": 1000, "seconds": 300}
TOPS = ("top_source", "top_destination", "top_pair")
_SIZES = """
SELECT sum(pg_total_relation_size(oid)) FILTER (WHERE relname ~ '^(enum|sip)_event_'),
       sum(pg_total_relation_size(oid)) FILTER (WHERE relname ~ '^(call|part|hour|rule)_')
FROM pg_class WHERE relnamespace = 'ringfence'::regnamespace AND relkind = 'r'
"""
_HERE = "SELECT (SELECT count(*) FROM enum_event) + (SELECT count(*) FROM sip_event)"
Answers: TypeAlias = list[tuple[float, list[tuple[Any, ...]]]]
# What the leader makes of a closed hour.
_KEPT_OF_HOUR = (
    "SELECT calls, peaks FROM hour_peak WHERE dataset = %s AND hour = %s AND device_id = 0",
    "SELECT device_id, side, calls, most_left, numbers, others, counts, texts FROM hour_top"
    " WHERE dataset = %s AND hour = %s ORDER BY device_id, side",
    "SELECT device_id, part, calls, directions, texts, counts FROM hour_part"
    " WHERE dataset = %s AND hour = %s ORDER BY device_id, part",
)


def told(what: str) -> None:
    """How far it is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


class Asker:
    """Asks views of one database and keeps how long each took."""

    def __init__(self, database: Database, end: datetime, runs: int) -> None:
        self.database = database
        self.end = end
        self.runs = runs
        self.slowest: dict[str, tuple[Taken, str]] = {}
        self.asked: dict[str, int] = {}
        self.missed: dict[str, list[str]] = {}

    def ask(self, group: str, query: AnalyticsQuery) -> None:
        """Time one question."""
        found = timed(self.database, self.runs, lambda connection: run_query(connection, query, now=self.end))
        name = f"{query.dataset.word} {query.view} by {query.grouping}" + (
            f" of {query.device}" if query.device else ""
        )
        told(f"{found.clock:9.1f} ms, processor {found.processor:6.0f} ms  {group}: {name}")
        self.asked[group] = self.asked.get(group, 0) + 1
        if found.clock >= GOALS_MS[group]:
            self.missed.setdefault(group, []).append(f"{name} ({found.clock:.0f} ms)")
        if group not in self.slowest or found.clock > self.slowest[group][0].clock:
            self.slowest[group] = found, name

    def views(self) -> None:
        """Every view that has a place in the table."""
        start = self.end - timedelta(days=DAYS)
        for dataset, device in ((Dataset.ENUM, "enum-3"), (Dataset.SIP, "probe-13")):
            for view in VIEWS.values():
                if dataset not in view.datasets:
                    continue
                group = "tops" if view.id in TOPS else "views"
                groupings = ("hour", "period") if view.id in TOPS else ("hour", "day")
                for grouping in groupings:
                    for one in (None, device):
                        self.ask(group, AnalyticsQuery(dataset, view.id, grouping, one, start, self.end, zone=ZONE))
            filtered = EventFilter(direction=Direction.OUTBOUND)
            self.ask(
                "views", AnalyticsQuery(dataset, "calls", "hour", None, start, self.end, zone=ZONE, filter=filtered)
            )
            noon = self.end - timedelta(hours=14)
            for view_id in ("average_cps", "peak_cps", "calls"):
                query = AnalyticsQuery(dataset, view_id, "second", None, noon, noon + timedelta(hours=1), zone=ZONE)
                self.ask("seconds", query)


def measure(database: Database, place: ArchivePlace, end: datetime, total: int, runs: int) -> list[Row]:
    """Ask, search, weigh, make room."""
    check_closed_hour(database, end - timedelta(hours=10))
    asker = Asker(database, end, runs)
    asker.views()
    for group, missed in asker.missed.items():
        told(f"{group}: {len(missed)} of {asker.asked[group]} miss {GOALS_MS[group]} ms: {', '.join(missed)}")
    views, tops, seconds = (asker.slowest[group] for group in ("views", "tops", "seconds"))
    found = [
        _within(f"slowest view over {DAYS} days (ms): {views[1]}", views[0], GOALS_MS["views"]),
        _within(f"slowest top N over {DAYS} days, exact (ms): {tops[1]}", tops[0], GOALS_MS["tops"]),
        _within(f"seconds of an hour (ms): {seconds[1]}", seconds[0], GOALS_MS["seconds"]),
    ]
    pages = searches.slowest(database, end - timedelta(days=DAYS), end, runs, told)
    found += [
        _within(f"call log, first page by {group} (ms): {what}", taken, 1000) for group, (taken, what) in pages.items()
    ]
    return [*found, *weigh(database, total), *make_room(database, place, end)]


def _within(name: str, taken: Taken, goal_ms: int) -> Row:
    return row(name, taken.clock, {"processor time": taken.processor}, f"< {goal_ms} ms", taken.clock < goal_ms)


def weigh(database: Database, total: int) -> list[Row]:
    """Octets of calls that are here, and of the counts of all."""
    with database.connection() as connection:
        sizes = connection.execute(_SIZES).fetchone()
        here = connection.execute(_HERE).fetchone()
        archived = connection.execute("SELECT sum(bytes), sum(rows) FROM archive_part").fetchone()
    assert sizes is not None
    assert here is not None
    assert archived is not None
    of_calls, of_counts = float(sizes[0]) / here[0], float(sizes[1]) / total
    # Counts grow with hours and devices, not with calls: beside 300 million calls they weigh as little as this.
    at_scale = of_calls + float(sizes[1]) / 300e6
    in_archive = float(archived[0]) / float(archived[1])
    return [
        row("octets a call, with indexes", of_calls, {}, "≤ 260 with counts", of_calls <= 260),
        row("octets of counts a call, at this size", of_counts, {}, "", True),
        row("octets a call with indexes and counts, at 300 million", at_scale, {}, "≤ 260", at_scale <= 260),
        row("octets a call in the archive", in_archive, {}, "≤ 50", in_archive <= 50),
    ]


def check_closed_hour(database: Database, moment: datetime) -> None:
    """What the fill kept of an hour is what the leader's own code makes of its calls; RuntimeError when it is not."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    for dataset in Dataset:
        with database.connection() as connection:
            values = [int(dataset), hour]
            before = [connection.execute(kept.encode(), values).fetchall() for kept in _KEPT_OF_HOUR]
            close_hour(connection, dataset, hour)
            after = [connection.execute(kept.encode(), values).fetchall() for kept in _KEPT_OF_HOUR]
            connection.rollback()
        if before != after or not all(before):
            raise RuntimeError(f"bench: {dataset.word} counts of {hour:%Y-%m-%d %H:%M} are not what the leader makes")


def make_room(database: Database, place: ArchivePlace, end: datetime) -> list[Row]:
    """A disk that is a little too full: the oldest day goes to the archive and is dropped, while views are asked."""
    settings = StorageSettings()
    with database.connection() as connection:
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert size is not None
    disk = Disk(size[0] * 100 // (settings.full_percent + 1), size[0], "size", "bench")
    query = AnalyticsQuery(Dataset.ENUM, "calls", "day", None, end - timedelta(days=DAYS), end, zone=ZONE)
    before = _asked(database, query, end)
    begin = time.perf_counter()
    with _asking(database, query, end) as meanwhile:
        done = run_round(database, Keeping(settings, lambda _connection: disk, place), datetime.now(UTC))
    taken = time.perf_counter() - begin
    assert done is not None
    told(f"retention: {done.as_json()}")
    is_told = done.made_room is not None and all(one["is_archived"] for one in done.dropped)
    is_same = _asked(database, query, end).rows == before.rows and all(rows == before.rows for _, rows in meanwhile)
    rows = sum(one["rows"] or 0 for one in done.dropped)
    slowest = max(ms for ms, _ in meanwhile)
    return [
        row(f"disk full: {len(done.dropped)} day archived and dropped, said so (calls a second)", rows / taken, {},
            "room is made, nothing lost", is_told and is_same and rows > 0),
        row("slowest view meanwhile (ms)", slowest, {}, "answered", is_same),
    ]  # fmt: skip


def _asked(database: Database, query: AnalyticsQuery, now: datetime) -> AnalyticsResult:
    with database.connection() as connection:
        return run_query(connection, query, now=now)


@contextmanager
def _asking(database: Database, query: AnalyticsQuery, now: datetime) -> Iterator[Answers]:
    """Ask on and on beside what happens inside; (milliseconds, rows) of each answer."""
    answers: Answers = []
    stop = threading.Event()

    def ask() -> None:
        while not answers or not stop.is_set():
            begin = time.perf_counter()
            rows = _asked(database, query, now).rows
            answers.append(((time.perf_counter() - begin) * 1000, rows))
            stop.wait(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def main() -> None:
    """Measure and print the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--enum", type=int, default=7_000_000, help="calls of dataset ENUM")
    parser.add_argument("--sip", type=int, default=3_000_000, help="calls of dataset SIP")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path, help="keep what is filled in this folder, or ask what it keeps")
    arguments = parser.parse_args()
    data: Path = arguments.data or Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
    data.mkdir(exist_ok=True)
    data.chmod(0o755)
    place = archive_place(ArchiveSettings(to=str(data / "archive")))
    assert place is not None
    filled = data / "filled.json"
    server = EmbeddedServer(Settings(data=data))
    try:
        server.start()
        database = Database(server.url, pool_size=4)
        migrate(database)
        if not filled.exists():
            end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            rows = {Dataset.ENUM: arguments.enum, Dataset.SIP: arguments.sip}
            begin = time.perf_counter()
            calls.fill(database, rows, DAYS, end, told, place, DAYS_HERE)
            told(f"filled in {time.perf_counter() - begin:.0f} s")
            filled.write_text(json.dumps({"enum": arguments.enum, "sip": arguments.sip, "end": end.isoformat()}))
        calls.add_heartbeats(database, DAYS)
        known = json.loads(filled.read_text(encoding="utf-8"))
        total = known["enum"] + known["sip"]
        found = measure(database, place, datetime.fromisoformat(known["end"]), total, arguments.runs)
        database.close()
    finally:
        server.stop()
        if arguments.data is None:
            remove_cluster(data)
            shutil.rmtree(data, ignore_errors=True)
    finish("analytics", found, calls={"enum": known["enum"], "sip": known["sip"]}, days=DAYS, load=os.getloadavg()[1])


if __name__ == "__main__":
    main()
