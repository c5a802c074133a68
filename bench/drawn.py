"""Seeded, realistic calls as rows of the event tables, an hour at a time, in order of time: DuckDB makes them.

Calls follow the hours of a working day and week; sources and destinations are frequent as telephone numbers are (a few
often, many rarely: Zipf with exponent 1); devices are unequal, some calls are refused, redirected, busy or failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa

from ringfence.vocabulary import Dataset

# Share of a day's calls in each hour, and of a week's in each day, roughly those of an office.
HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 16, 22, 24, 22, 18, 20, 23, 22, 20, 16, 11, 8, 7, 6, 4, 3)
DAYS = (10, 11, 11, 11, 10, 5, 4)
SOURCES = 200_000
DESTINATIONS = 20_000
DEVICES = 8

_CALLS = f"""
SELECT $hour::TIMESTAMPTZ + to_microseconds(((n - random()) * 3600e6 / $calls)::BIGINT) AS time, random() AS luck,
       12105000000 + exp(random() * ln({SOURCES}))::BIGINT AS source,
       13125550000 + exp(random() * ln({DESTINATIONS}))::BIGINT AS destination,
       ($device + (random() ** 1.5 * {DEVICES})::INTEGER % {DEVICES})::SMALLINT AS device_id, $first + n AS sequence
FROM range(1, $calls + 1) AS numbers (n)
"""
_ENUM = f"""
SELECT time, source, destination, 0::BIGINT AS target, sequence, NULL::TIMESTAMPTZ AS reported_time,
       device_id::INTEGER AS stream_id, CASE WHEN luck < 0.1 THEN 1 + (luck * 200)::INTEGER ELSE 0 END AS rule_id,
       7 AS policy_version, (4000 + 4000 * -ln(1 - luck * 0.9999))::INTEGER AS latency_ns, device_id,
       40000 AS peer_port, 1::SMALLINT AS transport, (1 + destination % 3)::SMALLINT AS direction,
       (CASE WHEN luck < 0.04 THEN 2 WHEN luck < 0.05 THEN 3 ELSE 1 END)::SMALLINT AS action,
       (CASE WHEN luck < 0.1 THEN 1 ELSE 2 END)::SMALLINT AS reason, 0::SMALLINT AS rcode,
       1::SMALLINT AS source_class, 1::SMALLINT AS destination_class, 1::SMALLINT AS source_origin,
       '192.0.2.' || device_id AS peer,
       CASE WHEN luck > 0.5 THEN '2105' || right(source::VARCHAR, 6) END AS source_raw,
       NULL::VARCHAR AS destination_raw, CASE WHEN luck > 0.95 THEN [3] END AS monitored,
       ([2, 2, 2, 3, 4, 4, 5, 6])[1 + destination % 8]::SMALLINT AS call_type,
       (1 + destination % 40 * 16)::SMALLINT AS country, 1::SMALLINT AS line
FROM ({_CALLS})
"""
_SIP = f"""
SELECT time, source, destination, (luck * 9e18)::BIGINT AS correlation, sequence, NULL::TIMESTAMPTZ AS reported_time,
       device_id::INTEGER AS stream_id, total_ms, 0 AS flags, 0 AS probe_lost, pdd_ms,
       CASE WHEN is_up THEN 4000 END AS answer_ms, CASE WHEN is_up THEN total_ms - 4000 END AS duration_ms,
       CASE WHEN is_up THEN total_ms // 20 END AS forward_packets,
       CASE WHEN is_up THEN (luck * 20)::INTEGER END AS forward_lost,
       CASE WHEN is_up THEN 900 END AS forward_jitter_us, CASE WHEN is_up THEN total_ms // 20 END AS backward_packets,
       CASE WHEN is_up THEN 0 END AS backward_lost, CASE WHEN is_up THEN 700 END AS backward_jitter_us,
       5060 AS source_port, 5060 AS destination_port, device_id, 0::SMALLINT AS transport, 0::SMALLINT AS side,
       (1 + destination % 3)::SMALLINT AS direction,
       (CASE WHEN is_up THEN 1 ELSE ([2, 3, 4, 5, 6, 9])[1 + destination % 6] END)::SMALLINT AS result,
       (CASE WHEN is_up THEN 200 ELSE ([486, 480, 487, 404, 603, 503])[1 + destination % 6] END)::SMALLINT AS status,
       (1 + source % 2)::SMALLINT AS released_by, (source % 4)::SMALLINT AS attestation, 1::SMALLINT AS source_class,
       1::SMALLINT AS destination_class, (CASE WHEN is_up THEN 16 END)::SMALLINT AS cause_q850,
       (CASE WHEN is_up THEN 300 + (luck * 140)::INTEGER END)::SMALLINT AS forward_mos_100,
       (CASE WHEN is_up THEN 440 END)::SMALLINT AS backward_mos_100, '192.0.2.' || device_id AS source_address,
       '198.51.100.7' AS destination_address, md5(random()::VARCHAR) AS call_id, NULL::VARCHAR AS source_raw,
       NULL::VARCHAR AS destination_raw,
       CASE WHEN is_up THEN (['PCMU', 'PCMA', 'OPUS'])[1 + destination % 3] END AS codec, 'SBC/1.0' AS user_agent,
       NULL::VARCHAR AS details, ([2, 2, 2, 3, 4, 4, 5, 6])[1 + destination % 8]::SMALLINT AS call_type,
       (1 + destination % 40 * 16)::SMALLINT AS country, 1::SMALLINT AS line
FROM (
    SELECT *, luck < 0.6 AS is_up, 150 + (random() * 2500)::INTEGER AS pdd_ms,
           CASE WHEN luck < 0.6 THEN 4000 + (-ln(1 - random() * 0.99999) * 150000)::INTEGER ELSE 9000 END AS total_ms
    FROM ({_CALLS})
)
"""
_SELECTS = {Dataset.ENUM: _ENUM, Dataset.SIP: _SIP}
FIRST_DEVICE = {Dataset.ENUM: 1, Dataset.SIP: 11}


def engine(seed: float = 0.6) -> duckdb.DuckDBPyConnection:
    """A DuckDB that draws the same each time: one thread, UTC."""
    made = duckdb.connect(config={"threads": 1})
    made.execute("SET TimeZone = 'UTC'").fetchall()
    made.execute("SELECT setseed(?)", [seed]).fetchall()
    return made


class Calls:
    """Calls of one dataset over whole days up to `end` (a midnight), `wanted` altogether."""

    def __init__(self, dataset: Dataset, wanted: int, days: int, end: datetime) -> None:
        self.dataset = dataset
        self.engine = engine()
        self._drawn = 0
        hours = [end - timedelta(days=days) + timedelta(hours=hour) for hour in range(24 * days)]
        weights = {hour: HOURS[hour.hour] * DAYS[hour.weekday()] for hour in hours}
        whole = sum(weights.values())
        self.hours = {hour: max(1, wanted * weight // whole) for hour, weight in weights.items()}

    @property
    def days(self) -> list[date]:
        """The days, oldest first."""
        return sorted({hour.date() for hour in self.hours})

    def of_day(self, day: date) -> Iterator[pa.RecordBatch]:
        """The calls of a day, a batch an hour; days are to be drawn in order."""
        for hour, calls in self.hours.items():
            if hour.date() == day:
                yield self._draw(hour, calls)

    def _draw(self, hour: datetime, calls: int) -> pa.RecordBatch:
        values = {"hour": hour, "calls": calls, "first": self._drawn, "device": FIRST_DEVICE[self.dataset]}
        self._drawn += calls
        found: pa.Table = self.engine.sql(_SELECTS[self.dataset], params=values).to_arrow_table()
        return found.combine_chunks().to_batches()[0]
