"""Streaming: the standby's PostgreSQL follows the active's, statement by statement, through ssh.

    active   admit: role `ringfence_standby`, a slot for this standby ──JSON over ssh──► standby
    standby  init: tunnel ─► pg_basebackup ─► becomes our cluster, in recovery
             up:   tunnel (ssh -L, Unix socket to Unix socket) and the server in recovery, both kept running
             promote: what was received is replayed, then the server is a primary of its own

Neither server listens on a network, and the wheel's PostgreSQL has no TLS: ssh keeps secret what travels and knows
hosts and users; SCRAM authenticates the standby to the server (docs/decisions/0014-streaming.md).
The slot keeps what a standby that is away has not had, up to `max_slot_wal_keep_size`; beyond it, `init` again.
"""

from __future__ import annotations

import json
import re
import secrets as random
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import conninfo, sql

from ringfence import __version__
from ringfence.availability.archive import Report
from ringfence.availability.backup import no_report
from ringfence.availability.database_access import own_server
from ringfence.availability.source import ssh_command
from ringfence.availability.standby import Standby, become, note, refuse_to_replace, require
from ringfence.database.cluster import (
    SUPERUSER,
    Place,
    Secrets,
    adopt_cluster,
    home_of,
    make_home,
    place_of,
    read_secrets,
    settle,
)
from ringfence.database.programs import ServerUser, find_programs, server_user
from ringfence.errors import ConfigurationError, ConflictError, InvalidInputError, UnavailableError
from ringfence.node.child import ChildProcess
from ringfence.private_file import write_private
from ringfence.settings import Settings

ROLE = "ringfence_standby"
TUNNEL_PORT = 5433  # of the tunnel's socket beside our server's own; only part of its name
PROMOTE_TIMEOUT_S = 60.0
_TUNNEL_TIMEOUT_S = 30.0
_SLOT = re.compile(r"standby_[a-z0-9_]{1,48}")

log = structlog.get_logger()


@dataclass(frozen=True)
class Admission:
    """What an active gives a standby that it lets in. It holds the passwords of its server: the copy has them too."""

    slot: str
    socket: str
    password: str
    superuser: str
    application: str
    major: int
    software: str

    def as_json(self) -> dict[str, Any]:
        """All of it: for the standby's eyes, over ssh."""
        return asdict(self)


@dataclass(frozen=True)
class Promoted:
    """What a promotion did: up to where everything that was received is there."""

    lsn: str
    replayed_at: str | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def admit(settings: Settings, name: str) -> Admission:
    """On the active: a slot and the replication role, for the standby `name`; asked again, a new password."""
    if settings.database.url is not None:
        raise ConfigurationError(
            "standby: this database is external (database.url): it replicates by its own means, see docs/operations"
        )
    slot = slot_of(name)
    place, known = place_of(settings.data), read_secrets(home_of(settings.data))
    password = random.token_urlsafe(32)
    try:
        with psycopg.connect(place.url(SUPERUSER, known.superuser, "postgres"), autocommit=True) as connection:
            if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                raise ConflictError("standby: this node is a standby itself: nobody can follow it")
            _make_role(connection, password)
            if not connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot,)).fetchone():
                connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
            major = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise UnavailableError(f"database: {str(error).strip().splitlines()[0]}") from None
    return Admission(slot, str(place.socket), password, known.superuser, known.application, major, __version__)


def dismiss(settings: Settings, slot: str) -> None:
    """On the active: forget a standby, so that nothing is kept for it any more. NotFound is no failure."""
    place, known = place_of(settings.data), read_secrets(home_of(settings.data))
    try:
        with psycopg.connect(place.url(SUPERUSER, known.superuser, "postgres"), autocommit=True) as connection:
            connection.execute(
                """
                SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                WHERE slot_name = %s AND NOT active
                """,
                (slot,),
            )
    except psycopg.Error as error:
        raise UnavailableError(f"database: {str(error).strip().splitlines()[0]}") from None


def slot_of(name: str) -> str:
    """The slot of a standby's name. InvalidInputError."""
    slot = f"standby_{re.sub(r'[^a-z0-9]', '_', name.lower())}"
    if not _SLOT.fullmatch(slot):
        raise InvalidInputError(f"standby name: {name!r} must be 1 to 48 letters, digits, '.', '_' or '-'")
    return slot


def ask_admission(standby: Standby, command: str, name: str) -> Admission:
    """On the standby: have the active admit us, over ssh. `command` is how `ringfence` is called there."""
    remote = f"{command} standby admit {shlex.quote(name)} --json"
    done = subprocess.run(  # noqa: S603 - ssh as the operator named it
        [*shlex.split(ssh_command(standby)), standby.active, remote],
        capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UnavailableError(f"the active {standby.active}: {said[-1]}")
    try:
        return Admission(**json.loads(done.stdout))
    except (ValueError, TypeError):
        raise UnavailableError(f"the active {standby.active} answers, and not as Ringfence does: {command}") from None


def init_streaming(
    settings: Settings, standby: Standby, admission: Admission, report: Report = no_report, *, may_replace: bool = False
) -> None:
    """On the stopped standby, under its lock: copy the active's cluster in place of ours and follow it from now on."""
    refuse_to_replace(settings, may_replace=may_replace)
    user = server_user()
    programs = find_programs(settings.database, user)
    if programs.major != admission.major:
        raise ConfigurationError(
            f"standby: the active's server is PostgreSQL {admission.major}, the programs here are {programs.version}: "
            "streaming needs the same major version"
        )
    make_home(settings.data)
    place = settle(settings.data, user)
    following = replace(standby, mode="streaming", slot=admission.slot, socket=admission.socket)
    password_file = _write_password(place, admission.password, user)
    fresh = Path(tempfile.mkdtemp(prefix=".cluster-", dir=place.cluster.parent))
    try:
        user.own(fresh)
        with _tunnel_open(settings, following):
            report(0, 0, "copying the active's database")
            done = user.run(
                programs.bin / "pg_basebackup", "--pgdata", fresh, "--write-recovery-conf", "--wal-method=stream",
                "--checkpoint=fast", f"--slot={admission.slot}", f"--dbname={_upstream(place, password_file)}",
            )  # fmt: skip
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise UnavailableError(f"pg_basebackup: {lines[-1]}")
        adopt_cluster(place, fresh, Secrets(admission.superuser, admission.application))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    become(settings, following)
    note(settings, active_software=admission.software)
    log.info("standby.following", active=standby.active, slot=admission.slot)


def tunnel(settings: Settings, standby: Standby, *, is_awaited: bool = True) -> ChildProcess:
    """The ssh process between the two sockets, as a service; awaited, it has started once its own socket is there."""
    ours = _tunnel_socket(place_of(settings.data))
    options = [
        "ExitOnForwardFailure=yes", "StreamLocalBindUnlink=yes", "StreamLocalBindMask=0111", "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
    ]  # fmt: skip
    there = f"{standby.socket}/.s.PGSQL.5432"
    return ChildProcess(
        "tunnel",
        [
            shutil.which("env") or "/usr/bin/env", *shlex.split(ssh_command(standby)), "-N", "-T",
            *(part for option in options for part in ("-o", option)), "-L", f"{ours}:{there}", standby.active,
        ],
        output=settings.data / "log" / "tunnel.out",
        ready_file=ours if is_awaited else None,
        ready_timeout_s=_TUNNEL_TIMEOUT_S,
    )  # fmt: skip


def promote(settings: Settings, report: Report = no_report) -> Promoted:
    """On the stopped standby, under its lock: replay what was received, become a primary, stop the server again.

    UnavailableError when it does not within PROMOTE_TIMEOUT_S. Called again after an interruption it goes on.
    """
    if require(settings).mode != "streaming":
        raise ConflictError("standby: this node does not follow by streaming: there is nothing to promote")
    began = time.monotonic()
    with own_server(settings) as server, psycopg.connect(server.superuser_url, autocommit=True) as connection:
        report(0, 0, "replaying what was received")
        if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            _wait_for_replay(connection)
            found = connection.execute("SELECT pg_last_xact_replay_timestamp()::text").fetchone()
            done = connection.execute("SELECT pg_promote(true, %s)", (int(PROMOTE_TIMEOUT_S),)).fetchone()
            if done != (True,):
                raise UnavailableError(f"database: the standby was not promoted within {PROMOTE_TIMEOUT_S:.0f} s")
        else:
            found = None
        connection.execute("ALTER SYSTEM RESET primary_conninfo")
        connection.execute("ALTER SYSTEM RESET primary_slot_name")
        lsn = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    seconds = round(time.monotonic() - began, 1)
    promoted = Promoted(str(lsn[0]) if lsn else "", found[0] if found else None, seconds)
    log.info("standby.promoted", lsn=promoted.lsn, seconds=seconds)
    return promoted


def _wait_for_replay(connection: psycopg.Connection) -> None:
    """Until all WAL that is here is replayed; without its source the server has only that."""
    give_up = time.monotonic() + PROMOTE_TIMEOUT_S
    while time.monotonic() < give_up:
        row = connection.execute(
            "SELECT coalesce(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), true)"
        ).fetchone()
        if row == (True,):
            return
        time.sleep(0.02)
    raise UnavailableError(f"database: what was received is not replayed within {PROMOTE_TIMEOUT_S:.0f} s; call again")


def _make_role(connection: psycopg.Connection, password: str) -> None:
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN REPLICATION").format(sql.Identifier(ROLE)))
    verifier = connection.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(verifier.decode()))
    )


def _write_password(place: Place, password: str, user: ServerUser) -> Path:
    """The password file of the server's user, beside the cluster: it stays, for reconnecting."""
    file = place.cluster.parent / "standby.pgpass"
    write_private(file, f"*:*:*:{ROLE}:{password}\n")
    user.own(file)
    return file


def _upstream(place: Place, password_file: Path) -> str:
    return conninfo.make_conninfo(
        "", host=str(place.socket), port=TUNNEL_PORT, user=ROLE, passfile=str(password_file),
        application_name="ringfence standby", connect_timeout=10,
    )  # fmt: skip


def _tunnel_socket(place: Place) -> Path:
    return place.socket / f".s.PGSQL.{TUNNEL_PORT}"


@contextmanager
def _tunnel_open(settings: Settings, standby: Standby) -> Iterator[None]:
    service = tunnel(settings, standby)
    try:
        service.start()
        yield
    finally:
        with suppress(ProcessLookupError):
            service.stop()
