"""How many calls a second and core a simulation replays, beside a plain Python loop over the same engine.

Recorded calls as Arrow batches of the size that the database gives; a policy of 200 rules and a list of a million
numbers. "Replay" is decide_batch with encoding into and out of Arrow; "simulation" also compares and counts what
changes; both as processor time of all threads, without the database. "End to end" is a simulation by the domain
function over a database, wall time, PostgreSQL beside it on the same machine.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.enum.data import policy_document  # noqa: E402
from bench.report import Row, row  # noqa: E402

from ringfence._native import Policy, Replay  # noqa: E402
from ringfence.database.cluster import remove_cluster  # noqa: E402
from ringfence.database.connection import Database  # noqa: E402
from ringfence.database.embedded import EmbeddedServer  # noqa: E402
from ringfence.database.migrate import migrate  # noqa: E402
from ringfence.mediation.ingest.rows import arrow_stream  # noqa: E402
from ringfence.mediation.jobs import Progress  # noqa: E402
from ringfence.mediation.simulation import SimulationRequest, prepare, simulate  # noqa: E402
from ringfence.policy.difference import Difference  # noqa: E402
from ringfence.policy.rules import parse_policy  # noqa: E402
from ringfence.settings import Settings  # noqa: E402

GOAL = 1_000_000
LISTED = 1_000_000
BATCH = 40_000
BATCHES = 25
PEER_CALLS = 200_000
RECORDED = 1_000_000  # end to end
ROUNDS = 5
POLICY = b"""
rules:
  - {name: premium, destinations: ["+1900*"], action: terminate}
  - {name: odd, sources: ["+1210555???1"], action: terminate}
  - {name: desk, destinations: ["+13125550100-+13125559999"], action: redirect, target: "+12105550199"}
"""


def recorded_calls(numbers: list[str], count: int, randomness: random.Random) -> pa.RecordBatch:
    """Calls as rows hold them: a quarter to listed numbers, few without a caller's number."""
    now = datetime.now(UTC)
    callers = [randomness.randrange(100_000) for _ in range(count)]
    return pa.record_batch(
        {
            "time": pa.array([now + timedelta(milliseconds=n) for n in range(count)], pa.timestamp("us", tz="UTC")),
            "device_id": pa.repeat(pa.scalar(1, pa.int16()), count),
            "source": pa.array([0 if n % 50 == 0 else 12105550000 + n for n in callers], pa.int64()),
            "destination": pa.array(
                [int(randomness.choice(numbers)) if n % 4 == 0 else 13125550000 + n for n in callers], pa.int64()
            ),
            "source_class": pa.array([3 if n % 50 == 0 else 1 for n in callers], pa.int16()),
            "destination_class": pa.repeat(pa.scalar(1, pa.int16()), count),
            "direction": pa.array([n % 3 for n in callers], pa.int16()),
            "source_raw": pa.nulls(count, pa.utf8()),
            "destination_raw": pa.nulls(count, pa.utf8()),
            "action": pa.array([2 if n % 20 == 0 else 1 for n in callers], pa.int16()),
            "rule_id": pa.array([7 if n % 20 == 0 else 0 for n in callers], pa.int32()),
            "target": pa.repeat(pa.scalar(0, pa.int64()), count),
            "policy_version": pa.repeat(pa.scalar(1, pa.int32()), count),
            "stream_id": pa.repeat(pa.scalar(1, pa.int32()), count),
            "sequence": pa.array(range(count), pa.int64()),
        }
    )


def per_second(work: Callable[[], int]) -> float:
    """Calls a second of processor time, median of ROUNDS."""
    rates = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        count = work()
        rates.append(count / (time.process_time() - begin))
    return statistics.median(rates)


def measure(listed: int = LISTED) -> dict[str, Any]:
    """Calls a second of each way."""
    pa.set_cpu_count(1)
    randomness = random.Random(4)
    numbers = [f"1{number}" for number in randomness.sample(range(2_010_000_000, 9_990_000_000), listed)]
    engine = Policy(policy_document(numbers, 1))
    batches = [recorded_calls(numbers, BATCH, randomness) for _ in range(BATCHES)]
    replay = Replay(engine)
    return {
        "replay": per_second(lambda: sum(_decided(replay, batch).num_rows for batch in batches)),
        "simulation": per_second(lambda: _simulated(replay, batches)),
        "python_loop": per_second(lambda: _loop(replay, batches)),
        "end_to_end": _end_to_end(),
    }


def _decided(replay: Replay, batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.ipc.open_stream(replay.decide_batch(arrow_stream(batch))).read_next_batch()


def _simulated(replay: Replay, batches: list[pa.RecordBatch]) -> int:
    difference = Difference(3600_000_000)
    for batch in batches:
        difference.add(batch, batch, _decided(replay, batch))
    difference.rules(), difference.top(), difference.over_time(), difference.samples()
    return difference.calls


def _loop(replay: Replay, batches: list[pa.RecordBatch]) -> int:
    """What one writes first: a dictionary a call, a decision a call, a counter a change."""
    changed: dict[tuple[int, int], int] = {}
    count = 0
    for batch in batches:
        for call in batch.to_pylist():
            action, _, rule, _, _ = replay.decide(
                int(call["time"].timestamp() * 1e6), call["device_id"], call["source"], call["source_class"],
                call["destination"], call["destination_class"], call["direction"], call["destination_raw"],
            )  # fmt: skip
            if action != call["action"]:
                changed[rule, action] = changed.get((rule, action), 0) + 1
            count += 1
        if count >= PEER_CALLS:
            break
    return count


def _end_to_end() -> float:
    """Calls a second of wall time, from rows in PostgreSQL to the report."""
    data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
    data.chmod(0o755)
    server = EmbeddedServer(Settings(data=data))
    try:
        server.start()
        database = Database(server.url, pool_size=2)
        migrate(database)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(hours=4)
        _fill(database, start)
        with database.connection() as connection:
            request = SimulationRequest(start, end, policy=parse_policy(POLICY))
            prepared = prepare(connection, request, end)
        took = []
        for _ in range(3):
            begin = time.perf_counter()
            assert simulate(database, prepared, Progress())["calls"] == RECORDED
            took.append(time.perf_counter() - begin)
        database.close()
        return RECORDED / statistics.median(took)
    finally:
        server.stop()
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)


def _fill(database: Database, start: datetime) -> None:
    from ringfence.database.partitions import ensure_between

    with database.connection() as connection:
        end = start + timedelta(hours=4)
        ensure_between(connection, "enum_event", start, end, end)
        connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
        connection.execute(
            "INSERT INTO device (name, kind, site_id, credential_hash) SELECT 'enum-1', 'enum', site_id, '' FROM site"
        )
        connection.execute(
            """
            INSERT INTO enum_event (time, source, destination, target, sequence, stream_id, rule_id, policy_version,
                latency_ns, device_id, peer_port, transport, direction, action, reason, rcode, source_class,
                destination_class, source_origin, peer)
            SELECT %(start)s + n * interval '4 hours' / %(count)s, 12105550000 + n %% 9973, 13125550000 + n %% 99991, 0,
                   n, 1, 0, 1, 12000, 1, 40000, 0, 2, 1, 2, 0, 1, 1, 1, '192.0.2.7'
            FROM generate_series(0, %(count)s - 1) AS n
            """,
            {"start": start, "count": RECORDED},
        )
        connection.execute(
            "INSERT INTO call_minute (device_id, dataset, minute, action, calls)"
            " SELECT device_id, 1, date_trunc('minute', time), action, count(*) FROM enum_event GROUP BY 1, 3, 4"
        )
    with database.autocommit() as connection:
        connection.execute("VACUUM ANALYZE enum_event")


def rows(result: dict[str, Any]) -> list[Row]:
    """The table's rows: a million calls a second and core, and faster than the loop one writes first."""
    loop = {"Python loop": result["python_loop"]}
    simulation, replay, stored = result["simulation"], result["replay"], result["end_to_end"]
    plain = result["python_loop"]
    return [
        row("simulation, calls a second and core", simulation, loop, f"≥ {GOAL:,}", simulation >= GOAL),
        row("of that replay alone", replay, loop, "> Python loop", replay > plain),
        row("end to end from PostgreSQL, calls a second", stored, loop, "> Python loop", stored > plain),
    ]
