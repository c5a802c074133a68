"""How fast the engine counts, and what a million live keys cost. Batches are made beforehand; the time is the engine's.

`python bench/detection/speed.py keys` fills one engine with a million keys and prints its memory: a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.detection.engine import MAX_KEYS, SEED, deployed, surroundings  # noqa: E402
from bench.detection.events import record_batch  # noqa: E402

from ringfence._native import Windows  # noqa: E402
from ringfence.detection.compiled import specification  # noqa: E402
from ringfence.mediation.ingest.rows import arrow_stream  # noqa: E402
from ringfence.vocabulary import Action, CallResult, CallType, Direction, NumberClass, TrunkSide  # noqa: E402

BATCH, BATCHES, ROUNDS = 20_000, 20, 5
LIVE_KEYS = 1_000_000
_START = datetime(2026, 6, 1, 10, tzinfo=UTC)
_US = 324  # the country of the sites, as rows hold it (numbering.countries)


def events_per_second() -> float:
    """Median of five: a busy network's calls, half of them questions and half SIP calls, 20 detections, one core."""
    streams = [_busy(Random(place), place) for place in range(BATCHES)]
    return median(_once(streams) for _ in range(ROUNDS))


def million_keys() -> dict[str, float]:
    """Keys held and MiB of a process that holds them, from a process of its own."""
    done = subprocess.run([sys.executable, __file__, "keys"], capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _windows() -> Windows:
    period = (_START - timedelta(days=1), _START + timedelta(days=1))
    return Windows(specification(list(deployed().values()), surroundings(), period), MAX_KEYS, SEED)


def _once(streams: list[tuple[str, bytes]]) -> float:
    windows, now_us = _windows(), int(_START.timestamp() * 1e6) + 3_600_000_000
    began = time.process_time()
    for dataset, stream in streams:
        windows.feed(dataset, stream, now_us)
    taken = time.process_time() - began
    return windows.counters()[0] / taken


def _busy(randomness: Random, place: int) -> tuple[str, bytes]:
    """20,000 calls of a fifth of a second, sources few often and many rarely, inbound to 5,000 lines of a site."""
    dataset = ("enum", "sip")[place % 2]
    at = int(_START.timestamp() * 1e6) + (place // 2) * 200_000
    times = [at + index * 10 for index in range(BATCH)]
    sources = [12145550000 + int(randomness.paretovariate(0.7)) % 2_000_000 for _ in times]
    called = [12105550000 + int(randomness.paretovariate(0.5)) % 5000 for _ in times]
    is_answered = [randomness.random() < 0.7 for _ in times]
    durations = [int(randomness.expovariate(1 / 120_000)) if one and dataset == "sip" else -1 for one in is_answered]
    outcomes = [int(Action.ALLOW)] * BATCH
    if dataset == "sip":
        outcomes = [int(CallResult.ANSWERED if one else CallResult.NO_ANSWER) for one in is_answered]
    return dataset, _stream(times, sources, called, durations, outcomes, place % 3 + 1)


def _stream(
    times: list[int], sources: list[int], called: list[int], durations: list[int], outcomes: list[int], device: int
) -> bytes:
    count = len(times)
    words = (device, _US, Direction.INBOUND, CallType.NATIONAL)
    classes = (TrunkSide.SOURCE, NumberClass.NUMBER, NumberClass.NUMBER)
    columns = [times, times, sources, called, durations]
    columns += [[int(word)] * count for word in words]
    columns += [outcomes]
    columns += [[int(word)] * count for word in classes]
    return arrow_stream(record_batch(columns))


def _fill() -> None:
    """Sources that each call one line once within an hour's window, until a million keys live."""
    windows, start_us = _windows(), int(_START.timestamp() * 1e6)
    source = 0
    while windows.counters()[4] < LIVE_KEYS:
        # Within the shortest window that keys by source: war dialling's ten minutes.
        times = [start_us + (source + index) * 300 for index in range(BATCH)]
        sources = [12145550000 + source + index for index in range(BATCH)]
        called = [12105550000 + one % 5000 for one in sources]
        windows.feed("enum", _stream(times, sources, called, [-1] * BATCH, [int(Action.ALLOW)] * BATCH, 1), times[-1])
        source += BATCH
    keys, calls = windows.counters()[4:6]
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"keys": keys, "calls": calls, "mib": mebibytes, "sources": source}))


if __name__ == "__main__" and sys.argv[1:] == ["keys"]:
    _fill()
