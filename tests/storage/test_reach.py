"""A question has the same answer whether its days are in PostgreSQL, in the archive, or on both sides of the border."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.storage.conftest import NOW, Make, days, fill

from ringfence.database.connection import Database
from ringfence.storage.places import archived_parts
from ringfence.storage.reach import fetch_both, fetch_everywhere

QUESTIONS = 6

# Additive: groups with counts, sums and maxima, which `fetch_both` may be asked.
GROUPS = """
SELECT width_bucket(time, %(bounds)s::timestamptz[]) AS bucket, action, count(*) AS calls,
       sum(latency_ns::bigint)::bigint AS latency, max(latency_ns)::bigint AS worst
FROM enum_event WHERE time >= %(start)s AND time < %(end)s AND device_id = ANY(%(devices)s::smallint[])
GROUP BY 1, 2
"""
# Not additive: ranks, distinct sources, the busiest second.
WHOLE = (
    """
WITH counted AS (
    SELECT width_bucket(time, %(bounds)s::timestamptz[]) AS bucket, source,
           CASE WHEN source = 0 THEN source_raw END AS raw, count(*) AS calls
    FROM enum_event WHERE time >= %(start)s AND time < %(end)s GROUP BY 1, 2, 3
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY bucket ORDER BY calls DESC, source, raw) AS rank FROM counted
)
SELECT bucket, rank, source, calls FROM ranked WHERE rank <= 3 ORDER BY bucket, rank
""",
    "SELECT count(DISTINCT source), count(source_raw), sum(cardinality(monitored))::bigint FROM enum_event"
    " WHERE time >= %(start)s AND time < %(end)s",
    "SELECT max(calls) FROM (SELECT date_trunc('second', time) AS second, count(*) AS calls FROM enum_event"
    " WHERE time >= %(start)s AND time < %(end)s GROUP BY 1) AS seconds",
)


def questions() -> list[dict[str, Any]]:
    """Periods of all lengths, cut evenly as hours are or unevenly as days of a zone that changes its clocks."""
    random = Random(20261122)
    found: list[dict[str, Any]] = []
    for _ in range(QUESTIONS):
        start = NOW - timedelta(minutes=random.randrange(1, 11 * 1440))
        end = min(NOW, start + timedelta(minutes=random.randrange(1, 8 * 1440)))
        pieces = random.randrange(1, 6)
        cuts = sorted(random.random() for _ in range(pieces - 1))
        even = [index / pieces for index in range(1, pieces)]
        bounds = [start, *(start + (end - start) * cut for cut in random.choice((cuts, even)))]
        found.append({"start": start, "end": end, "bounds": bounds, "devices": random.choice(([1], [1, 2]))})
    return found


def ask(database: Database, asked: dict[str, Any]) -> list[Any]:
    start: datetime = asked["start"]
    with database.connection() as connection:
        groups: dict[tuple[int, int], tuple[int, int, int]] = {}
        for bucket, action, calls, latency, worst in fetch_both(
            connection, GROUPS, asked, "enum_event", start, asked["end"]
        ):
            known = groups.get((bucket, action), (0, 0, 0))
            groups[bucket, action] = (known[0] + calls, known[1] + latency, max(known[2], worst))
        whole = [fetch_everywhere(connection, text, asked, "enum_event", start, asked["end"]) for text in WHOLE]
    return [groups, *whole]


def test_answers_are_the_same_on_both_sides_of_the_border(database: Database, storage: Make, tmp_path: Path) -> None:
    for ago in range(11):
        fill(database, "enum_event", ago, 120, first=ago * 1000)
    # Late calls of days that are archived by then, beside them.
    kept = storage(tmp_path, enum={"days": 5})
    kept.round()
    fill(database, "enum_event", 8, 15, first=50_000)
    asked = questions()
    half = [ask(database, one) for one in asked]
    with database.connection() as connection:
        assert len(archived_parts(connection, "enum_event")) == 5
    assert days(database) == [8, 5, 4, 3, 2, 1, 0]
    everything = {
        "start": NOW - timedelta(days=20),
        "end": NOW,
        "bounds": [NOW - timedelta(days=20)],
        "devices": [1, 2],
    }
    (counts, *_) = ask(database, everything)
    with database.connection() as connection:
        live = connection.execute("SELECT count(*) FROM enum_event WHERE time < %s", [NOW]).fetchone()
        parts = archived_parts(connection, "enum_event")
    assert live is not None
    assert sum(calls for calls, _, _ in counts.values()) == live[0] + sum(part.rows for part in parts)
    _bring_back(database, tmp_path)
    assert [ask(database, one) for one in asked] == half
    with database.connection() as connection:
        assert archived_parts(connection, "enum_event") == ()


def _bring_back(database: Database, folder: Path) -> None:
    """The archived calls back in PostgreSQL, read from the files as anybody would."""
    import pyarrow.parquet as pq

    from ringfence.database.partitions import ensure_between

    with database.connection() as connection:
        for part in archived_parts(connection, "enum_event"):
            rows = pq.ParquetFile(folder / part.file).read().to_pylist()
            for row in rows:
                ensure_between(connection, "enum_event", row["time"], row["time"], NOW)
                names = ", ".join(row)
                places = ", ".join(f"%({name})s" for name in row)
                connection.execute(f"INSERT INTO enum_event ({names}) VALUES ({places})".encode(), row)
        connection.execute("DELETE FROM archive_part")
