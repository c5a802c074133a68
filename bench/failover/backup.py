"""A backup of N events beside `pg_dump` alone with the same jobs: `make bench-backup`.

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
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.failover.deployment import fill
from bench.report import Row, finish, row

from ringfence.availability.backup import BackupOptions, create_backup, verify_backup
from ringfence.availability.dump import COMPRESSION, default_jobs
from ringfence.availability.encryption import new_key
from ringfence.availability.restore import RestoreOptions, restore_backup
from ringfence.availability.shelf import KeptBackup
from ringfence.database.cluster import remove_cluster
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.programs import find_programs, server_user
from ringfence.settings import Settings

GOAL = 1.2


def main() -> None:
    """Print the table and the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filled", type=Path, help="data folder with such a database, made if it is not there")
    asked = parser.parse_args()
    finish("backup", measure(asked.events, asked.rounds, asked.filled), events=asked.events)


def measure(events: int, rounds: int, filled: Path | None) -> list[Row]:
    """The rows, on a server of their own."""
    data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
    data.chmod(0o755)
    settings = Settings(data=data)
    server = EmbeddedServer(settings)
    try:
        fill(settings, events, told, filled)
        server.start()
        beside, kept, peer_s = beside_pg_dump(settings, server, rounds, events)
        return [beside, *more(settings, server, kept, peer_s)]
    finally:
        server.stop()
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)


def beside_pg_dump(
    settings: Settings, server: EmbeddedServer, rounds: int, events: int
) -> tuple[Row, KeptBackup, float]:
    """pg_dump and ours in turns: the row, the last backup, and the median of pg_dump in seconds."""
    jobs, dumped = default_jobs(), settings.data / "dumped"
    program = find_programs(settings.database, server_user()).bin / "pg_dump"
    peers, ours, kept = [], [], None
    for number in range(rounds):
        told(f"backup beside pg_dump, round {number + 1} of {rounds}")
        shutil.rmtree(dumped, ignore_errors=True)
        peers.append(took(lambda: pg_dump(program, server.url, dumped, jobs)))
        began = time.monotonic()
        kept = create_backup(settings, BackupOptions(("database",), jobs=jobs, keep=1), datetime.now(UTC))
        ours.append(time.monotonic() - began)
    assert kept is not None
    shutil.rmtree(dumped)
    return against(f"backup of {events:,} events, s", ours, peers), kept, statistics.median(peers)


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


def told(what: str) -> None:
    """Where it is, for who waits."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def took(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
