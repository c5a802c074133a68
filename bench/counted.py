"""The counts that ingest and the leader would have kept of drawn calls: by DuckDB from Arrow, COPYed into their tables.

Figures and parts are the product's own SQL (`counting.MEASURES`, `values.FACETS`), which both engines take. That an
hour's peaks and lists are what the leader makes of it, `bench/analytics.py` asks the leader's own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg import sql

from ringfence._native import arrow_to_copy
from ringfence.analytics.counting import MEASURES
from ringfence.analytics.values import FACETS, Facet
from ringfence.mediation.ingest.calls import compute
from ringfence.mediation.ingest.closing import KEPT_NUMBERS, SIDES, keep_parts
from ringfence.mediation.ingest.rows import arrow_stream
from ringfence.vocabulary import Dataset, Part

_FIGURES = {
    Dataset.ENUM: ("calls", "latency_ns", "latency_ns_max"),
    Dataset.SIP: (
        "calls", "reached", "try_again", "ineffective", "effective", "answered", "duration_ms", "pdd_calls", "pdd_ms",
        "pdd_ms_max", "streams", "mos_100", "poor", "packets", "lost", "total_ms_max",
    ),
}  # fmt: skip
_OUTCOMES = {Dataset.ENUM: "action", Dataset.SIP: "result"}

_BY_QUARTER = """
SELECT time_bucket(INTERVAL '15 minutes', time) AS quarter, {measures}, device_id, {dataset}::SMALLINT AS dataset,
       direction, {outcome} AS outcome, call_type FROM drawn GROUP BY ALL
"""
_BY_VALUE = """
SELECT time_bucket(INTERVAL '15 minutes', time) AS quarter, count(*) AS calls, device_id,
       {dataset}::SMALLINT AS dataset, {part}::SMALLINT AS part, direction, coalesce(({value})::VARCHAR, '') AS value
FROM {source} GROUP BY ALL
"""
_BY_HOUR = (
    "SELECT * EXCLUDE (quarter) REPLACE ({together}), date_trunc('hour', quarter) AS hour FROM quarters GROUP BY ALL"
)
_TOTALS = "SELECT hour, sum(calls)::BIGINT AS calls, device_id, dataset FROM hours GROUP BY ALL"
_MINUTES = """
SELECT date_trunc('minute', time) AS minute, device_id, {dataset}::SMALLINT AS dataset, {outcome} AS action,
       count(*) AS calls FROM drawn GROUP BY ALL
"""
_SECONDS = """
CREATE OR REPLACE TEMP TABLE seconds AS
SELECT date_trunc('minute', time) AS minute, device_id, second(time) AS place, count(*) AS calls FROM drawn GROUP BY ALL
"""
# Sixty counts, one for each place; a place without a call has 0.
_BY_SECOND = """
SELECT minute, max(calls) AS peak, device_id, {dataset}::SMALLINT AS dataset, list(calls ORDER BY place) AS calls
FROM (
    SELECT minute, device_id, place, coalesce(calls, 0)::INTEGER AS calls
    FROM (SELECT DISTINCT minute, device_id FROM seconds) CROSS JOIN range(60) AS places (place)
    LEFT JOIN seconds USING (minute, device_id, place)
) GROUP BY minute, device_id
"""
_PEAKS = """
SELECT hour, sum(total)::BIGINT AS calls, 0::SMALLINT AS device_id, {dataset}::SMALLINT AS dataset,
       list(coalesce(peak, 0)::INTEGER ORDER BY place) AS peaks
FROM (SELECT DISTINCT date_trunc('hour', minute) AS hour FROM seconds) CROSS JOIN range(60) AS places (place)
LEFT JOIN (
    SELECT date_trunc('hour', minute) AS hour, minute(minute) AS place, max(calls) AS peak, sum(calls) AS total
    FROM (SELECT minute, place, sum(calls) AS calls FROM seconds GROUP BY ALL) GROUP BY ALL
) USING (hour, place) GROUP BY hour
"""
_UP = """
INSERT INTO up SELECT minute, count(*), device_id FROM (
    SELECT unnest(range(date_trunc('minute', time + INTERVAL 59999999 MICROSECONDS),
                        time + to_microseconds(total_ms * 1000), INTERVAL 1 MINUTE)) AS minute, device_id
    FROM drawn
) GROUP BY ALL
"""
_ALL_UP = "SELECT minute, sum(calls)::BIGINT AS calls, device_id FROM up GROUP BY ALL"
# How often each number (or pair) called, by hour and device, and by hour of all devices together as device 0.
_NUMBERS = """
CREATE OR REPLACE TEMP TABLE numbers AS
SELECT date_trunc('hour', time) AS hour, device_id::SMALLINT AS device_id, {keys}, count(*)::INTEGER AS calls
FROM drawn GROUP BY ALL
"""
_TOGETHER = "INSERT INTO numbers SELECT hour, 0, {keys}, sum(calls)::INTEGER FROM numbers GROUP BY ALL"
_ALL_CALLS = "SELECT hour, device_id, sum(calls)::BIGINT FROM numbers GROUP BY ALL"
# Only what is called often enough to be in a list is put in order: most numbers of a busy hour call once.
_TOP = f"""
SELECT hour, device_id, {{keys}}, calls FROM numbers JOIN (
    SELECT hour, device_id, coalesce(max(calls) FILTER (WHERE above > {KEPT_NUMBERS}), 0) AS least
    FROM (
        SELECT hour, device_id, calls, sum(count(*)) OVER (PARTITION BY hour, device_id ORDER BY calls DESC) AS above
        FROM numbers GROUP BY hour, device_id, calls
    ) GROUP BY hour, device_id
) USING (hour, device_id) WHERE calls >= least
QUALIFY row_number() OVER (PARTITION BY hour, device_id ORDER BY calls DESC, {{keys}}) <= {KEPT_NUMBERS + 1}
ORDER BY hour, device_id, calls DESC, {{keys}}
"""
_TIME = pa.timestamp("us", "UTC")
_LIST_COLUMNS = "hour, calls, device_id, dataset, side, most_left, numbers, others, counts, texts"


class Counts:
    """Counts of one dataset, day by day; `store` puts what waits into the database, `store_last` the rest."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
        self.dataset = dataset
        self._engine = engine
        self._waiting: dict[str, list[pa.Table]] = {}
        self._lists: list[tuple[Any, ...]] = []
        self._run("CREATE TEMP TABLE up (minute TIMESTAMPTZ, calls BIGINT, device_id SMALLINT)")

    def add(self, drawn: pa.Table) -> None:
        """Count the calls of whole hours."""
        # Without a zone: DuckDB cuts such times by arithmetic, others by a calendar that costs more than all counts.
        place = drawn.schema.get_field_index("time")
        drawn = drawn.set_column(place, "time", drawn.column("time").cast(pa.timestamp("us")))
        self._engine.register("drawn", drawn)
        words = {"dataset": int(self.dataset), "outcome": _OUTCOMES[self.dataset]}
        names = _FIGURES[self.dataset]
        measures = ", ".join(f"({MEASURES[name].raw})::BIGINT AS {name}" for name in names)
        self._both_steps("call", _BY_QUARTER.format(measures=measures, **words), names)
        self._keep("hour_total", _TOTALS)
        facets = [facet for facet in FACETS.values() if self.dataset in facet.raw]
        self._both_steps("part", " UNION ALL ".join(self._of_part(facet) for facet in facets), ("calls",))
        self._keep("call_minute", _MINUTES.format(**words))
        self._run(_SECONDS)
        self._keep("call_second", _BY_SECOND.format(**words))
        self._keep("hour_peak", _PEAKS.format(**words))
        if self.dataset is Dataset.SIP:
            self._run(_UP)
        for side, columns in SIDES.items():
            keys = ", ".join(columns)
            self._run(_NUMBERS.format(keys=keys))
            self._run(_TOGETHER.format(keys=keys))
            totals = {(hour, device): calls for hour, device, calls in self._engine.execute(_ALL_CALLS).fetchall()}
            found = self._engine.sql(_TOP.format(keys=keys)).to_arrow_table()
            for hour, device, *packed in _packed(found.combine_chunks(), columns):
                self._lists.append((hour, totals[hour, device], device, int(self.dataset), side, *packed, []))
        self._engine.unregister("drawn")

    def store(self, connection: psycopg.Connection[Any]) -> None:
        """COPY what has been counted; the caller commits."""
        for table, found in self._waiting.items():
            copy_rows(connection, table, pa.concat_tables(found))
        if totals := self._waiting.get("hour_total"):
            hours = compute.min_max(pa.concat_tables(totals).column("hour")).as_py()
            keep_parts(connection, self.dataset, hours["min"], hours["max"] + timedelta(hours=1))
        self._waiting.clear()
        with connection.cursor().copy(f"COPY hour_top ({_LIST_COLUMNS}) FROM STDIN".encode()) as copy:
            for row in self._lists:
                copy.write_row(row)
        self._lists.clear()

    def store_last(self, connection: psycopg.Connection[Any]) -> None:
        """What is not of one day: calls in progress, of which those of one day reach into the next."""
        self._keep("call_up", _ALL_UP)
        self.store(connection)

    def _both_steps(self, name: str, by_quarter: str, figures: tuple[str, ...]) -> None:
        """The same counts by quarter of an hour, and by hour."""
        together = ", ".join(f"{MEASURES[name].together}({name})::BIGINT AS {name}" for name in figures)
        self._run(f"CREATE OR REPLACE TEMP TABLE quarters AS {by_quarter}")
        self._keep(f"{name}_quarter", "SELECT * FROM quarters")
        self._run(f"CREATE OR REPLACE TEMP TABLE hours AS {_BY_HOUR.format(together=together)}")
        self._keep(f"{name}_hour", "SELECT * FROM hours")

    def _of_part(self, facet: Facet) -> str:
        source = "drawn"
        if facet.part is Part.RULE:
            source = "drawn WHERE rule_id <> 0"
        elif facet.part is Part.MONITORED:
            source = "(SELECT time, device_id, direction, unnest(monitored) AS matched FROM drawn)"
        value = facet.raw[self.dataset]
        return _BY_VALUE.format(dataset=int(self.dataset), part=int(facet.part), value=value, source=source)

    def _keep(self, table: str, statement: str) -> None:
        found: pa.Table = self._engine.sql(statement).to_arrow_table()
        zoned = [field.with_type(_TIME) if pa.types.is_timestamp(field.type) else field for field in found.schema]
        self._waiting.setdefault(table, []).append(found.cast(pa.schema(zoned)))

    def _run(self, statement: str) -> None:
        self._engine.execute(statement).fetchall()


def copy_rows(connection: psycopg.Connection[Any], table: str, rows: pa.Table) -> None:
    """COPY rows into a table, in the binary format."""
    for batch in rows.combine_chunks().to_batches():
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, batch.schema.names))
        )
        with connection.cursor().copy(statement) as copy:
            copy.write(arrow_to_copy(arrow_stream(batch)))


def _packed(found: pa.Table, keys: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Lists of hours and devices, the one after the other → (hour, device, most left, numbers, others, counts)."""
    hours, calls = found.column("hour"), found.column("calls")
    # Hours are far from each other: an hour and a device make one number.
    key = compute.add(hours.cast(pa.int64()), found.column("device_id").cast(pa.int64()))
    start = 0
    for end in compute.run_end_encode(key.combine_chunks()).run_ends.to_pylist():
        left = calls[start + KEPT_NUMBERS].as_py() if end - start > KEPT_NUMBERS else 0
        kept = found.slice(start, min(end - start, KEPT_NUMBERS))
        numbers = [_octets(kept.column(name), 8) for name in keys]
        others = numbers[1] if len(keys) > 1 else None
        device = found.column("device_id")[start].as_py()
        yield hours[start].as_py(), device, left, numbers[0], others, _octets(kept.column("calls"), 4)
        start = end


def _octets(column: pa.ChunkedArray[Any], width: int) -> bytes:
    """A column of integers as they lie in memory."""
    (chunk,) = column.chunks
    octets = chunk.buffers()[1]
    assert octets is not None
    return octets.slice(chunk.offset * width, len(chunk) * width).to_pybytes()
