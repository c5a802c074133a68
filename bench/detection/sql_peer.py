"""The same question in SQL, each tick anew: what a detection would cost without windows that remember.

A PostgreSQL of its own with the calls of the longest window of questions to ENUM servers, and each detection of that
dataset asked as `detection/sql.py` writes it: which keys are beyond the threshold now.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.detection.engine import deployed, surroundings
from psycopg import Connection, sql

from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.database.partitions import ensure_between
from ringfence.detection.calls import MOMENT, TABLES
from ringfence.detection.definition import Definition
from ringfence.detection.sql import condition_sql, key_sql, measure_sql
from ringfence.settings import Settings

CALLS_PER_SECOND = 200
LONGEST_S = 3600
ROUNDS = 3

# Sources few often and many rarely, 5,000 lines of a site.
_FILL = """
INSERT INTO enum_event (time, source, destination, target, sequence, stream_id, rule_id, policy_version, latency_ns,
    device_id, peer_port, transport, direction, action, reason, rcode, source_class, destination_class, source_origin,
    peer)
SELECT %(end)s - n * %(every)s * interval '1 second', 12145550000 + floor(power(random(), 3) * 1000000)::bigint,
    12105550000 + floor(power(random(), 2) * 5000)::bigint, 0, n, 1, 0, 1, 9000, 1 + n %% 3, 5060, 0, 1, 1, 2, 0, 1, 1,
    1, '192.0.2.1'
FROM generate_series(1, %(count)s) AS n
"""


def seconds_per_tick() -> float:
    """Median of three: every detection of dataset ENUM asked once, on an hour of calls; seconds of wall time."""
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedServer(Settings(data=folder / "database"))
        try:
            postgres.start()
            database = Database(postgres.url, pool_size=2)
            migrate(database)
            now = datetime.now(UTC)
            with database.connection() as connection:
                _fill(connection, now)
            taken = []
            with database.connection() as connection:
                connection.execute("ANALYZE enum_event")
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    for definition in deployed().values():
                        if definition.dataset == "enum":
                            connection.execute(_question(definition, now)).fetchall()
                    taken.append(time.perf_counter() - began)
            database.close()
            return median(taken)
        finally:
            postgres.stop()
            with suppress(OSError):
                remove_cluster(folder / "database")


def _fill(connection: Connection[Any], now: datetime) -> None:
    ensure_between(connection, "enum_event", now - timedelta(seconds=LONGEST_S), now, now)
    count = CALLS_PER_SECOND * LONGEST_S
    connection.execute(_FILL, {"end": now, "every": 1 / CALLS_PER_SECOND, "count": count})


def _question(one: Definition, now: datetime) -> sql.Composed:
    """Which keys are beyond the threshold in the window that ends now."""
    around = surroundings()
    start = now - timedelta(seconds=one.window_s)
    first, second = key_sql(one, around)
    return sql.SQL(
        "SELECT a, b, {measure}, count(*) FROM (SELECT *, {moment} AS moment, {first} AS a, {second} AS b FROM {table}"
        " WHERE time > {start} AND time <= {now} AND {condition}) AS w WHERE a IS NOT NULL AND b IS NOT NULL"
        " GROUP BY a, b HAVING count(*) >= {at_least} AND {measure} {comparison} {value}"
    ).format(
        measure=measure_sql(one), moment=sql.SQL(MOMENT[one.dataset]), first=first, second=second,
        table=sql.Identifier(TABLES[one.dataset]), start=sql.Literal(start), now=sql.Literal(now),
        condition=condition_sql(one, around, (start, now)), at_least=max(one.threshold.at_least, 1),
        comparison=sql.SQL("<=" if one.threshold.below else ">="), value=sql.Literal(one.threshold.value),
    )  # fmt: skip
