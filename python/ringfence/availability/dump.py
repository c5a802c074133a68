"""PostgreSQL's own pg_dump and pg_restore: which programs, how they are run, how far they are.

The dump is the directory format with parallel jobs, of our schema alone, in one snapshot, from which also the manifest
takes what it says of the database. The password travels in the environment: a command line can be read by anybody.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from ringfence.availability.archive import Report
from ringfence.database import launch
from ringfence.database.connection import SCHEMA, describe
from ringfence.database.programs import Programs, client_programs
from ringfence.errors import UnavailableError
from ringfence.settings import DatabaseSettings

# A little processor time for a fifth of the size; more compression makes the dump several times slower.
COMPRESSION = 1
_LAST_WORDS = 20
_FINISHED = re.compile(r"finished item \d+ (?P<what>[A-Z ]+?) (?P<name>\S+)$")
_TERMINATE_S = 10.0


@dataclass(frozen=True)
class Snapshot:
    """What the database held at the moment of the dump."""

    schema: str | None
    server_version: str
    dump_version: str
    database_bytes: int
    counts: dict[str, int]
    positions: dict[str, int]


def default_jobs() -> int:
    """Parallel jobs where nobody says: one for each processor, at most four."""
    return min(os.cpu_count() or 1, 4)


def dump_database(
    url: str, settings: DatabaseSettings, folder: Path, jobs: int, timeout_s: float, report: Report
) -> Snapshot:
    """pg_dump into `folder`, which it makes. UnavailableError with its last words when it fails or takes too long."""
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="ringfence backup") as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            programs = programs_for(connection, settings)
            snapshot = _read_snapshot(connection, programs)
            sizes = _table_sizes(connection)
            exported = connection.execute("SELECT pg_export_snapshot()").fetchone()
            assert exported is not None  # noqa: S101 - one row always
            command = [
                str(programs.bin / "pg_dump"), "--format=directory", f"--jobs={jobs}", f"--compress={COMPRESSION}",
                f"--schema={SCHEMA}", "--no-owner", "--no-privileges", "--no-unlogged-table-data", "--no-sync",
                "--verbose",
                f"--snapshot={exported[0]}", f"--file={folder}", f"--dbname={_without_password(url)}",
            ]  # fmt: skip
            run_program(command, url, timeout_s, _by_weight(sizes, report, "dumping"))
            return snapshot
    except psycopg.Error as error:
        raise UnavailableError(f"database {describe(url)}: {str(error).strip().splitlines()[0]}") from None


def load_dump(url: str, programs: Programs, folder: Path, jobs: int, timeout_s: float, report: Report) -> None:
    """pg_restore of a dump's folder into an empty database. UnavailableError with its last words when it fails."""
    listing = subprocess.run(  # noqa: S603 - programs that we found
        [programs.bin / "pg_restore", "--list", folder], capture_output=True, text=True, check=False
    ).stdout
    items = sum(1 for line in listing.splitlines() if line and not line.startswith(";"))
    done = 0

    def finished(line: str) -> None:
        nonlocal done
        if _FINISHED.search(line):
            done += 1
            report(min(done, items), items, "restoring")

    command = [
        str(programs.bin / "pg_restore"), "--format=directory", f"--jobs={jobs}", "--exit-on-error", "--no-owner",
        "--no-privileges", "--verbose", f"--dbname={_without_password(url)}", str(folder),
    ]  # fmt: skip
    run_program(command, url, timeout_s, finished)


def programs_for(connection: psycopg.Connection, settings: DatabaseSettings, dump_major: int = 0) -> Programs:
    """Client programs that fit this server and a dump: as new as both, with TLS where this connection needed it."""
    major = max(connection.info.server_version // 10_000, dump_major)
    return client_programs(settings, major, needs_tls=bool(connection.pgconn.ssl_in_use))


def run_program(command: list[str], url: str, timeout_s: float, on_line: Callable[[str], None]) -> None:
    """Run one of PostgreSQL's clients to its end; what `on_line` raises ends it. It does not outlive us."""
    name = Path(command[0]).name
    guard = [str(number) for number in (os.getpid(), os.geteuid(), os.getegid(), int(signal.SIGTERM))]
    process = subprocess.Popen(  # noqa: S603 - programs that we found
        [sys.executable, "-I", "-S", launch.__file__, *guard, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=_environment(url),
    )
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    is_late = threading.Event()

    def late() -> None:
        is_late.set()
        process.terminate()

    timer = threading.Timer(timeout_s, late)
    timer.start()
    said: list[str] = []
    try:
        for line in process.stderr:
            said = [*said[-_LAST_WORDS:], line.strip()]
            on_line(line.strip())
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        timer.cancel()
        process.stderr.close()
    if is_late.is_set():
        raise UnavailableError(f"{name} took longer than {timeout_s:g} s (backup.timeout_s) and was ended")
    if status != 0:
        raise UnavailableError(f"{name} failed: {_last_words(said) or f'exit status {status}'}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_TERMINATE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(said: list[str]) -> str:
    errors = [line for line in said if "error" in line.lower() or "fatal" in line.lower()]
    return (errors or said)[-1] if said else ""


def _by_weight(sizes: Mapping[str, int], report: Report, phase: str) -> Callable[[str], None]:
    """Progress from pg_dump's own words, each table weighing what it has on disk."""
    done, total = 0, sum(sizes.values())

    def finished(line: str) -> None:
        nonlocal done
        found = _FINISHED.search(line)
        if found and found["what"] == "TABLE DATA":
            done += sizes.get(found["name"], 0)
        report(min(done, total), total, phase)

    return finished


def _table_sizes(connection: psycopg.Connection) -> dict[str, int]:
    return dict(
        connection.execute(
            "SELECT relname, pg_table_size(oid) FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
            [SCHEMA],
        ).fetchall()
    )


def _read_snapshot(connection: psycopg.Connection, programs: Programs) -> Snapshot:
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(SCHEMA)))
    if not connection.execute("SELECT to_regclass('alembic_version')").fetchone() == ("alembic_version",):
        raise UnavailableError("the database holds no Ringfence schema yet: start the mediation once")
    schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    positions = connection.execute(
        """
        SELECT format('%s/%s/%s', name, journal_id, stream), last_sequence
        FROM device_stream JOIN device USING (device_id) ORDER BY 1
        """
    ).fetchall()
    counts = connection.execute(
        """
        SELECT 'accounts', count(*) FROM account UNION ALL SELECT 'devices', count(*) FROM device
        UNION ALL SELECT 'sites', count(*) FROM site UNION ALL SELECT 'policy_versions', count(*) FROM policy_version
        UNION ALL SELECT 'lists', count(*) FROM policy_list UNION ALL SELECT 'audit', count(*) FROM audit
        """
    ).fetchall()
    size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return Snapshot(
        schema=schema[0] if schema else None,
        server_version=_version(connection.info.server_version),
        dump_version=programs.version,
        database_bytes=size[0] if size else 0,
        counts=dict(counts),
        positions=dict(positions),
    )


def _version(number: int) -> str:
    return f"{number // 10_000}.{number % 10_000}"


def _without_password(url: str) -> str:
    parts = conninfo.conninfo_to_dict(url)
    parts.pop("password", None)
    return conninfo.make_conninfo("", **parts)


def _environment(url: str) -> dict[str, str]:
    password = conninfo.conninfo_to_dict(url).get("password")
    return {**os.environ, "LC_ALL": "C", **({"PGPASSWORD": str(password)} if password else {})}
