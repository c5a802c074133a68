"""Octets an event in the database and in the archive: `make bench-storage`; `--millions 10` for a busy day.

A day of seeded calls (`bench/calls.py`) with all that is kept of it: the rows, their indexes, and the counts that
ingest and the leader make of them, divided by the events. Beside it, the same rows in a plain table with B-tree indexes
on time, source and destination, as one would make by hand. Then the day goes to the archive as Parquet, as retention
does it. Ends with one RESULT line; goals: at most 260 octets an event in the database, 50 in the archive.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringfence.database.catalogue import CATALOGUE, stored_table
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.database.partitions import Partition
from ringfence.settings import ArchiveSettings, Settings
from ringfence.storage.archive.day import copy_day
from ringfence.storage.archive.place import archive_place
from ringfence.vocabulary import Dataset

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench import calls  # noqa: E402
from bench.report import Row, finish, row  # noqa: E402

IN_DATABASE = 260
IN_ARCHIVE = 50
DAY_AFTER = datetime(2026, 3, 4, tzinfo=UTC)
EVENTS = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}

_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(coalesce(i.inhrelid, c.oid))), 0)::bigint
FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhparent = c.oid
WHERE c.relnamespace = 'ringfence'::regnamespace AND c.relname = ANY(%s)
"""
_PLAIN = """
CREATE TABLE plain AS SELECT * FROM {table};
CREATE INDEX ON plain (time);
CREATE INDEX ON plain (source);
CREATE INDEX ON plain (destination);
"""


def told(what: str) -> None:
    """On the way."""
    print(f"  {what}", file=sys.stderr, flush=True)


def size(database: Database, tables: list[str]) -> int:
    """Octets of tables with their partitions and indexes."""
    with database.connection() as connection:
        found = connection.execute(_SIZE, (tables,)).fetchone()
    return int(found[0]) if found else 0


def measure(database: Database, dataset: Dataset, events: int, archive: Path) -> list[Row]:
    """Fill a day, and weigh it in each place."""
    calls.fill(database, {dataset: events}, 1, DAY_AFTER, told)
    table = EVENTS[dataset]
    with database.connection() as connection:
        counted = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert counted is not None
    stored = counted[0]
    own = size(database, [table])
    counts = size(database, [one.name for one in CATALOGUE if not one.is_event_table])
    told("plain table")
    with database.connection() as connection:
        connection.execute(_PLAIN.format(table=table).encode())
    plain = size(database, ["plain"])
    told("archive")
    place = archive_place(ArchiveSettings(to=str(archive)))
    assert place is not None
    partition = Partition(stored_table(table).name, (DAY_AFTER - timedelta(days=1)).date(), own)
    part = copy_day(database, place, partition, DAY_AFTER, lambda _rows: None)
    assert part is not None
    assert part.rows == stored
    name, ours, peer = dataset.word.upper(), (own + counts) / stored, plain / stored
    goal = f"≤ {IN_DATABASE} octets"
    peers = {"without counts": own / stored, "plain table, B-trees": peer}
    archived = part.bytes / part.rows
    return [
        row(f"{name}: database", ours, peers, goal, ours <= IN_DATABASE),
        row(f"{name}: archive", archived, {}, f"≤ {IN_ARCHIVE} octets", archived <= IN_ARCHIVE),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=1.0, help="events of the day, of each dataset (default: 1)")
    events = int(parser.parse_args().millions * 1_000_000)
    rows: list[Row] = []
    for dataset in Dataset:
        data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
        data.chmod(0o755)
        server = EmbeddedServer(Settings(data=data))
        try:
            server.start()
            database = Database(server.url, pool_size=4)
            migrate(database)
            rows += measure(database, dataset, events, data / "archive")
            database.close()
        finally:
            server.stop()
            remove_cluster(data)
            shutil.rmtree(data, ignore_errors=True)
    finish("storage", rows, events=events)


if __name__ == "__main__":
    main()
