"""SIP messages of ended calls, kept on the probe's own disk for the ladder (docs/decisions/0009).

```text
probe ── ladders, secrets covered ──► here, each second ──► SQLite: one row for each call ──► by Call-ID: `probe ladder`
                                                            └ oldest go by age and size └──► `evidence_answers`
```
Evidence is not call data: what a crash takes of the last second is gone, and nothing waits for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog

from ringfence.errors import NotFoundError, UnavailableError
from ringfence.settings import EvidenceSettings

_TICK_S = 1.0
_TRIM_EVERY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ladder (
    id INTEGER PRIMARY KEY AUTOINCREMENT, call_id TEXT NOT NULL, time_us INTEGER NOT NULL, octets INTEGER NOT NULL,
    kept_at REAL NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS ladder_call ON ladder (call_id);
"""
# All rows up to the one that stands behind the newest `max_bytes`.
_TRIM = """
DELETE FROM ladder WHERE kept_at < :before OR id <= coalesce(
    (SELECT id FROM (SELECT id, sum(octets) OVER (ORDER BY id DESC) AS held FROM ladder) WHERE held > :most
     ORDER BY id DESC LIMIT 1), 0)
"""
_FIND = "SELECT body FROM ladder WHERE call_id = ? AND time_us BETWEEN ? AND ? ORDER BY time_us LIMIT ?"
_ANY_US = (1 << 63) - 1

log = structlog.get_logger()


class Evidence:
    """The ladders of one probe."""

    def __init__(self, file: Path, settings: EvidenceSettings) -> None:
        self._file = file
        self._settings = settings
        self._trimmed_at = 0.0
        self._is_on_disk = asyncio.Event()

    async def keep(self, take: Callable[[], list[str]]) -> None:
        """Keep what `take` gives until cancelled; a disk that fails costs evidence, nothing else."""
        while True:
            texts = await asyncio.to_thread(take)
            try:
                await asyncio.to_thread(self.add, texts, time.time())
            except (sqlite3.Error, OSError) as error:
                log.warning("evidence.lost", calls=len(texts), error=str(error))
            self._is_on_disk.set()
            await asyncio.sleep(_TICK_S)

    async def settle(self) -> None:
        """Return when every call that has ended by now is on the disk: a second or so."""
        # Of the round that goes on now nobody knows what it took already.
        for _ in range(2):
            self._is_on_disk.clear()
            await self._is_on_disk.wait()

    def add(self, texts: list[str], now_s: float) -> None:
        """Keep ladders as the probe writes them: `call_id`, `time_us`, `messages`."""
        rows = []
        for text in texts:
            ladder = json.loads(text)
            body = zlib.compress(json.dumps(ladder["messages"]).encode(), 1)
            rows.append((ladder["call_id"], ladder["time_us"], len(body), now_s, body))
        is_due = now_s - self._trimmed_at >= _TRIM_EVERY_S
        if not rows and not is_due:
            return
        with closing(self._open()) as store, store:
            store.executemany(
                "INSERT INTO ladder (call_id, time_us, octets, kept_at, body) VALUES (?, ?, ?, ?, ?)", rows
            )
            if is_due:
                self._trimmed_at = now_s
                before = now_s - self._settings.keep_hours * 3600
                store.execute(_TRIM, {"before": before, "most": self._settings.max_bytes})

    def _open(self) -> sqlite3.Connection:
        if not self._file.exists():
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600))
        store = sqlite3.connect(self._file, timeout=5.0)
        store.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON; {_SCHEMA}"
        )
        return store


def read_ladders(
    file: Path, call_id: str, from_us: int = 0, until_us: int = _ANY_US, most: int = -1
) -> list[dict[str, Any]]:
    """The messages of every kept call of a Call-ID that began in [from_us, until_us], oldest first, `most` of them.

    Of each `messages` and `left_out`. NotFoundError: none is kept; UnavailableError: the file cannot be read.
    """
    if not file.exists():
        raise NotFoundError(f"{file}: this probe keeps no messages")
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5.0)) as store:
            rows = store.execute(_FIND, (call_id, from_us, until_us, most)).fetchall()
    except sqlite3.Error as error:
        raise UnavailableError(f"{file}: cannot be read: {error}") from None
    if not rows:
        raise NotFoundError(f"no messages of call {call_id!r} are kept: it has not ended, or is too long ago")
    return [json.loads(zlib.decompress(row[0])) for row in rows]
