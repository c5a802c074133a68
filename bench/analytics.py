"""Every view of Analytics over thirty days of eight devices: `make bench-analytics`.

Fills an embedded PostgreSQL with seeded calls (`bench/calls.py`) and the counts that ingest keeps, then asks each view
as the console does, by hour and by day, for all devices and for one. Each figure is the median of five. Seconds are
counted over the busiest hour; tops by hour and over the whole period. Ends with the RESULT line.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringfence.analytics.views import VIEWS, AnalyticsQuery, EventFilter, run_query
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.settings import Settings
from ringfence.vocabulary import Dataset, Direction

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench import calls  # noqa: E402
from bench.report import Row, finish, row  # noqa: E402

DAYS = 30
ZONE = "America/Chicago"
TOPS = ("top_source", "top_destination", "top_pair")
_SIZES = """
SELECT sum(pg_total_relation_size(oid)) FILTER (WHERE relname ~ '^(enum|sip)_event_'),
       sum(pg_total_relation_size(oid)) FILTER (WHERE relname ~ '^(call|part|hour|rule)_')
FROM pg_class WHERE relnamespace = 'ringfence'::regnamespace AND relkind = 'r'
"""


def told(what: str) -> None:
    """Show on one line how far it is."""
    print(f"\r\033[K{time.strftime('%H:%M:%S')} {what}", end="", file=sys.stderr, flush=True)


class Asker:
    """Asks views of one database and keeps how long each took."""

    def __init__(self, database: Database, end: datetime, runs: int) -> None:
        self.database = database
        self.end = end
        self.runs = runs
        self.slowest: dict[str, tuple[float, str]] = {}

    def ask(self, group: str, query: AnalyticsQuery) -> float:
        """Median milliseconds of a question."""
        taken = []
        for _ in range(self.runs):
            begin = time.perf_counter()
            with self.database.connection() as connection:
                run_query(connection, query, now=self.end)
            taken.append((time.perf_counter() - begin) * 1000)
        found = statistics.median(taken)
        name = f"{query.dataset.word} {query.view} by {query.grouping}" + (
            f" of {query.device}" if query.device else ""
        )
        told(f"{name}: {found:.0f} ms")
        print(f"{found:9.1f} ms  {group}: {name}", file=sys.stderr)
        self.slowest[group] = max(self.slowest.get(group, (0.0, "")), (found, name))
        return found

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


def measure(database: Database, rows: dict[Dataset, int], runs: int) -> list[Row]:
    """Fill, ask, weigh."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    calls.fill(database, rows, DAYS, end, told)
    asker = Asker(database, end, runs)
    asker.views()
    with database.connection() as connection:
        sizes = connection.execute(_SIZES).fetchone()
    assert sizes is not None
    total = sum(rows.values())
    views, tops, seconds = (asker.slowest[group] for group in ("views", "tops", "seconds"))
    of_calls, of_counts = (float(size) / total for size in sizes)
    # Counts grow with hours and devices, not with calls: beside 300 million calls they weigh as little as this.
    at_scale = of_calls + float(sizes[1]) / 300e6
    return [
        row(f"slowest view over {DAYS} days (ms): {views[1]}", views[0], {}, "< 300 ms", views[0] < 300),
        row(f"slowest top N over {DAYS} days, exact (ms): {tops[1]}", tops[0], {}, "< 1000 ms", tops[0] < 1000),
        row(f"seconds of an hour (ms): {seconds[1]}", seconds[0], {}, "< 300 ms", seconds[0] < 300),
        row("octets a call, with indexes", of_calls, {}, "≤ 260 with counts", of_calls <= 260),
        row("octets of counts a call, at this size", of_counts, {}, "", True),
        row("octets a call with indexes and counts, at 300 million", at_scale, {}, "≤ 260", at_scale <= 260),
    ]


def main() -> None:
    """Measure and print the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enum", type=int, default=7_000_000, help="calls of dataset ENUM")
    parser.add_argument("--sip", type=int, default=3_000_000, help="calls of dataset SIP")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    rows = {Dataset.ENUM: arguments.enum, Dataset.SIP: arguments.sip}
    data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
    data.chmod(0o755)
    server = EmbeddedServer(Settings(data=data))
    try:
        server.start()
        database = Database(server.url, pool_size=2)
        migrate(database)
        found = measure(database, rows, arguments.runs)
        database.close()
    finally:
        server.stop()
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)
    finish("analytics", found, calls={dataset.word: count for dataset, count in rows.items()}, days=DAYS)


if __name__ == "__main__":
    main()
