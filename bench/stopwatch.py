"""How long questions take: by the clock, and in processor time of asker and database, which hardly feels other work."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
# What takes longer misses its goal by far.
PATIENCE_S = 5.0
# In /proc/PID/stat, counted from the state: a process's own time, and that of its children that ended.
_OWN, _ENDED = slice(11, 13), slice(13, 15)


@dataclass(frozen=True)
class Taken:
    """Milliseconds, medians."""

    clock: float
    processor: float


def timed(database: Database, runs: int, ask: Callable[[psycopg.Connection[Any]], object]) -> Taken:
    """The median of `runs` questions, each in a transaction of its own; the database is on this machine.

    One that times out has taken its time and is not asked again, nor is one that takes longer than PATIENCE_S.
    """
    clock: list[float] = []
    processor: list[float] = []
    for _ in range(runs):
        with database.connection() as connection:
            backend = connection.info.backend_pid
            used, begin = _processor_ms(backend), time.perf_counter()
            try:
                ask(connection)
            except UnavailableError:
                if time.perf_counter() - begin < PATIENCE_S:
                    raise  # not for its time
            clock.append((time.perf_counter() - begin) * 1000)
            processor.append(_processor_ms(backend) - used)
        if clock[-1] > PATIENCE_S * 1000:
            break
    return Taken(statistics.median(clock), statistics.median(processor))


def _processor_ms(backend: int) -> float:
    """Of this process and of a backend; parallel workers of it count when they have ended."""
    backend_words, parent = _stat(backend)
    ended, _ = _stat(parent)
    ticks = sum(map(int, backend_words[_OWN])) + sum(map(int, ended[_ENDED]))
    return time.process_time() * 1000 + ticks * _TICK_MS


def _stat(process: int) -> tuple[list[str], int]:
    words = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return words, int(words[1])
