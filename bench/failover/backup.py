"""A backup of N events beside `pg_dump` alone with the same jobs: `make bench-backup`, a row of issue 7.

Both dump the same database on the same server, in turns, page cache warm for both. pg_dump writes its directory and is
done; ours dumps, packs, syncs and renames. Then what was written is encrypted, verified, and restored.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.report import Row, finish, row

from ringfence.availability.backup import BackupOptions, create_backup, verify_backup
from ringfence.availability.dump import COMPRESSION, default_jobs
from ringfence.availability.encryption import new_key
from ringfence.availability.restore import RestoreOptions, restore_backup
from ringfence.availability.shelf import KeptBackup
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.database.partitions import ensure_between
from ringfence.database.programs import find_programs, server_user
from ringfence.settings import Settings

GOAL = 1.2
EVENTS = """
INSERT INTO ringfence.enum_event
SELECT %(now)s - (n %% 172800) * interval '1 second', 12105550000 + (n * 7919) %% 200000,
       13125550000 + (n * 104729) %% 20000, 0, n, NULL, 1, 0, 7, 9000, 1, 40000, 1, 2, 1, 2, 0, 1, 1, 1,
       '192.0.2.7', '+' || 12105550000 + (n * 7919) %% 200000, (13125550000 + (n * 104729) %% 20000)::text, NULL
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_BATCH = 500_000


def main() -> None:
    """Print the table and the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    finish("backup", measure(asked.events, asked.rounds), events=asked.events)


def measure(events: int, rounds: int) -> list[Row]:
    """The rows, on a server of their own."""
    data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
    data.chmod(0o755)
    settings = Settings(data=data)
    server = EmbeddedServer(settings)
    try:
        server.start()
        fill(server, events)
        return compare(settings, server, rounds, events)
    finally:
        server.stop()
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)


def compare(settings: Settings, server: EmbeddedServer, rounds: int, events: int) -> list[Row]:
    """pg_dump and ours in turns; then encrypted, verified, restored."""
    jobs, dumped = default_jobs(), settings.data / "dumped"
    program = find_programs(settings.database, server_user()).bin / "pg_dump"
    peers, ours, kept = [], [], None
    for _ in range(rounds):
        shutil.rmtree(dumped, ignore_errors=True)
        peers.append(took(lambda: pg_dump(program, server.url, dumped, jobs)))
        began = time.monotonic()
        kept = create_backup(settings, BackupOptions(("database",), jobs=jobs, keep=1), datetime.now(UTC))
        ours.append(time.monotonic() - began)
    assert kept is not None
    shutil.rmtree(dumped)
    return [
        against(f"backup of {events:,} events, s", ours, peers),
        *more(settings, server, kept, statistics.median(peers)),
    ]


def more(settings: Settings, server: EmbeddedServer, kept: KeptBackup, peer_s: float) -> list[Row]:
    """What has no goal of its own: under a key, verified, put back."""
    key = settings.data / "key"
    key.write_text(new_key())
    sealed = settings.model_copy(update={"backup": settings.backup.model_copy(update={"key_file": key})})
    encrypted_s = took(lambda: create_backup(sealed, BackupOptions(("database",), keep=2), datetime.now(UTC)))
    verified_s = took(lambda: verify_backup(settings, kept))
    server.stop()
    restored_s = took(lambda: restore_backup(settings, kept, RestoreOptions(), datetime.now(UTC)))
    return [
        row("the same, encrypted, s", encrypted_s, {"pg_dump": peer_s}, "told", True),
        row("verify, s", verified_s, {}, "told", True),
        row("restore, s", restored_s, {}, "told", True),
        row("archive, MiB", kept.size / 2**20, {}, "told", True),
    ]


def against(name: str, ours: list[float], peers: list[float]) -> Row:
    """Medians beside each other."""
    mine, theirs = statistics.median(ours), statistics.median(peers)
    ratio = mine / theirs
    return row(name, mine, {"pg_dump": theirs}, f"at most {GOAL} × pg_dump (is {ratio:.2f})", ratio <= GOAL)


def pg_dump(program: Path, url: str, folder: Path, jobs: int) -> None:
    """As an administrator would: the same jobs, compression and schema, nothing around it."""
    options = ["--format=directory", f"--jobs={jobs}", f"--compress={COMPRESSION}", "--schema=ringfence"]
    subprocess.run([program, *options, f"--file={folder}", f"--dbname={url}"], check=True)


def took(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def fill(server: EmbeddedServer, events: int) -> None:
    """Events over two days, as one stream of one device."""
    database = Database(server.url, 2)
    try:
        migrate(database)
        now = datetime.now(UTC)
        with database.connection() as connection:
            ensure_between(connection, "enum_event", now - timedelta(days=2), now, now)
    finally:
        database.close()
    with psycopg.connect(server.superuser_url.replace("/postgres?", "/ringfence?"), autocommit=True) as connection:
        for first in range(1, events + 1, _BATCH):
            last = min(first + _BATCH - 1, events)
            connection.execute(EVENTS, {"now": now, "first": first, "last": last})
        connection.execute("VACUUM (ANALYZE) ringfence.enum_event")


if __name__ == "__main__":
    main()
