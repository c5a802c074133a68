"""Seeded, realistic calls straight into the database, with all counts that ingest would have kept of them.

Calls follow the hours of a working day and week; sources and destinations are frequent as telephone numbers are (a few
often, many rarely: Zipf with exponent 1); devices are unequal, some calls are refused, redirected, busy or failed.
PostgreSQL makes them itself from a seed, an hour at a time and in order of time, as ingest writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from ringfence.database import migrate as migrate_module
from ringfence.database.connection import Database
from ringfence.database.partitions import ensure_between
from ringfence.mediation.ingest.closing import close_hours
from ringfence.vocabulary import Dataset

# Share of a day's calls in each hour, and of a week's in each day, roughly those of an office.
HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 16, 22, 24, 22, 18, 20, 23, 22, 20, 16, 11, 8, 7, 6, 4, 3)
DAYS = (10, 11, 11, 11, 10, 5, 4)
SOURCES = 200_000
DESTINATIONS = 20_000
DEVICES = 8

_ENUM = """
INSERT INTO enum_event (time, source, destination, target, sequence, stream_id, rule_id, policy_version, latency_ns,
    device_id, peer_port, transport, direction, action, reason, rcode, source_class, destination_class, source_origin,
    peer, source_raw, destination_raw, monitored, call_type, country, line)
SELECT time, source, destination, 0, sequence, device_id,
       CASE WHEN luck < 0.1 THEN 1 + (luck * 200)::integer ELSE 0 END, 7,
       (4000 + 4000 * -ln(1 - luck * 0.9999))::integer, device_id, 40000, 1, 1 + (destination %% 3),
       CASE WHEN luck < 0.04 THEN 2 WHEN luck < 0.05 THEN 3 ELSE 1 END, CASE WHEN luck < 0.1 THEN 1 ELSE 2 END,
       0, 1, 1, 1, '192.0.2.' || device_id, CASE WHEN luck > 0.5 THEN '2105' || right(source::text, 6) END, NULL,
       CASE WHEN luck > 0.95 THEN '{3}'::integer[] END, (ARRAY[2, 2, 2, 3, 4, 4, 5, 6])[1 + destination %% 8],
       1 + (destination %% 40) * 16, 1
FROM (
    SELECT %(hour)s::timestamptz + (n - random()) * interval '1 hour' / %(calls)s AS time, random() AS luck,
           12105000000 + exp(random() * ln(%(sources)s))::bigint AS source,
           13125550000 + exp(random() * ln(%(destinations)s))::bigint AS destination,
           1 + (random() ^ 1.5 * %(devices)s)::integer %% %(devices)s AS device_id, %(first)s + n AS sequence
    FROM generate_series(1, %(calls)s) AS n
) AS drawn
"""
_SIP = """
INSERT INTO sip_event (time, source, destination, correlation, sequence, stream_id, total_ms, flags, probe_lost, pdd_ms,
    answer_ms, duration_ms, forward_packets, forward_lost, forward_jitter_us, backward_packets, backward_lost,
    backward_jitter_us, source_port, destination_port, device_id, transport, side, direction, result, status,
    released_by, attestation, source_class, destination_class, cause_q850, forward_mos_100, backward_mos_100,
    source_address, destination_address, call_id, source_raw, codec, user_agent, call_type, country, line)
SELECT time, source, destination, (luck * 9e18)::bigint, sequence, device_id, total_ms, 0, 0, pdd_ms,
       CASE WHEN is_up THEN 4000 END, CASE WHEN is_up THEN total_ms - 4000 END,
       CASE WHEN is_up THEN total_ms / 20 END, CASE WHEN is_up THEN (luck * 20)::integer END,
       CASE WHEN is_up THEN 900 END,
       CASE WHEN is_up THEN total_ms / 20 END, CASE WHEN is_up THEN 0 END, CASE WHEN is_up THEN 700 END,
       5060, 5060, device_id, 0, 0, 1 + (destination %% 3),
       CASE WHEN is_up THEN 1 ELSE (ARRAY[2, 3, 4, 5, 6, 9])[1 + destination %% 6] END,
       CASE WHEN is_up THEN 200 ELSE (ARRAY[486, 480, 487, 404, 603, 503])[1 + destination %% 6] END,
       1 + (source %% 2), (ARRAY[0, 1, 2, 3])[1 + source %% 4], 1, 1, CASE WHEN is_up THEN 16 END,
       CASE WHEN is_up THEN 300 + (luck * 140)::integer END, CASE WHEN is_up THEN 440 END,
       '192.0.2.' || device_id, '198.51.100.7', md5(random()::text), NULL,
       CASE WHEN is_up THEN (ARRAY['PCMU', 'PCMA', 'OPUS'])[1 + destination %% 3] END, 'SBC/1.0',
       (ARRAY[2, 2, 2, 3, 4, 4, 5, 6])[1 + destination %% 8], 1 + (destination %% 40) * 16, 1
FROM (
    SELECT *, luck < 0.6 AS is_up,
           CASE WHEN luck < 0.6 THEN 4000 + (-ln(1 - random() * 0.99999) * 150000)::integer ELSE 9000 END AS total_ms,
           150 + (random() * 2500)::integer AS pdd_ms
    FROM (
        SELECT %(hour)s::timestamptz + (n - random()) * interval '1 hour' / %(calls)s AS time, random() AS luck,
               12105000000 + exp(random() * ln(%(sources)s))::bigint AS source,
               13125550000 + exp(random() * ln(%(destinations)s))::bigint AS destination,
               11 + (random() ^ 1.5 * %(devices)s)::integer %% %(devices)s AS device_id, %(first)s + n AS sequence
        FROM generate_series(1, %(calls)s) AS n
    ) AS drawn
) AS called
"""
_INSERTS = {Dataset.ENUM: _ENUM, Dataset.SIP: _SIP}
_TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}
_MINUTES = """
INSERT INTO call_minute (minute, device_id, dataset, action, calls)
SELECT date_trunc('minute', time), device_id, 1, action, count(*) FROM enum_event GROUP BY 1, 2, 4
UNION ALL SELECT date_trunc('minute', time), device_id, 2, result, count(*) FROM sip_event GROUP BY 1, 2, 4
"""
_ROLLUPS = (Path(migrate_module.__file__).parent / "migrations" / "0008_rollups.sql").read_text(encoding="utf-8")
Told = Callable[[str], None]


def fill(database: Database, rows: dict[Dataset, int], days: int, end: datetime, told: Told) -> None:
    """Calls of `days` whole days up to `end` (a midnight), and their counts."""
    with database.connection() as connection:
        _add_devices(connection)
        connection.execute("SELECT setseed(0.6)")
        for dataset, wanted in rows.items():
            _fill_calls(connection, dataset, wanted, days, end, told)
    _count(database, told)
    with database.autocommit() as connection:
        connection.execute("VACUUM ANALYZE")
    told("closed hours")
    while close_hours(database, end + timedelta(hours=1), 100):
        pass


def _add_devices(connection: psycopg.Connection[Any]) -> None:
    connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
    connection.execute("INSERT INTO policy_rule (name) SELECT 'rule ' || n FROM generate_series(1, 30) AS n")
    for first, kind in ((1, "enum"), (11, "probe")):
        connection.execute(
            "INSERT INTO device (device_id, name, kind, site_id, credential_hash) OVERRIDING SYSTEM VALUE"
            " SELECT n, %(kind)s || '-' || n, %(kind)s, site_id, sha256(n::text::bytea)"
            " FROM site, generate_series(%(first)s, %(first)s + 7) AS n",
            {"kind": kind, "first": first},
        )


def _fill_calls(
    connection: psycopg.Connection[Any], dataset: Dataset, wanted: int, days: int, end: datetime, told: Told
) -> None:
    start = end - timedelta(days=days)
    ensure_between(connection, _TABLES[dataset], start, end - timedelta(seconds=1), datetime.now(UTC))
    hours = [start + timedelta(hours=hour) for hour in range(24 * days)]
    weights = [HOURS[hour.hour] * DAYS[hour.weekday()] for hour in hours]
    first = 0
    for hour, weight in zip(hours, weights, strict=True):
        if hour.hour == 0:
            told(f"{dataset.word} calls of {hour:%Y-%m-%d}")
        calls = max(1, wanted * weight // sum(weights))
        connection.execute(
            _INSERTS[dataset].encode(),
            {"hour": hour, "calls": calls, "first": first, "sources": SOURCES, "destinations": DESTINATIONS,
             "devices": DEVICES},
        )  # fmt: skip
        first += calls


def _count(database: Database, told: Told) -> None:
    told("counts")
    with database.connection() as connection:
        connection.execute("SET LOCAL work_mem = '256MB'")
        connection.execute(_MINUTES)
        connection.execute(_ROLLUPS[_ROLLUPS.index("-- What was stored before.") :].encode())
