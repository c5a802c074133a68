"""The standby, with real servers: copies over the API and by rsync over ssh, streaming through ssh, promotion."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.availability.conftest import NOW
from tests.availability.ssh_server import SshServer
from tests.cli.conftest import run_ringfence
from tests.mediation_server import RunningMediation, wait_until

from ringfence.accounts import audit
from ringfence.availability import shelf, source, streaming
from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.database_access import own_server
from ringfence.availability.failover.record import Step, read_record
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.availability.follow import follow
from ringfence.availability.standby import Standby, State, become, leave, note, read_standby, read_state, role_of
from ringfence.availability.standby_status import Replication, StandbyStatus, read_status
from ringfence.availability.sync import sync_once
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.errors import ConflictError, InvalidInputError, UnavailableError
from ringfence.node.supervisor import Supervisor
from ringfence.settings import Settings
from ringfence.vocabulary import Role

HERE = f"{sys.executable} -m ringfence"


@pytest.fixture
def away() -> Iterator[Settings]:
    """A second node, empty, in a folder that the database's user may enter."""
    yield from folder_of_a_node()


@pytest.fixture
def home() -> Iterator[Settings]:
    """A first one."""
    yield from folder_of_a_node()


def folder_of_a_node() -> Iterator[Settings]:
    data = Path(tempfile.mkdtemp(prefix="ringfence-test-"))
    data.chmod(0o755)
    try:
        yield Settings.model_validate({"data": data, "backup": {"jobs": 1}})
    finally:
        remove_cluster(data)
        shutil.rmtree(data, ignore_errors=True)


def change(database: Database, subject: str) -> None:
    with database.connection() as connection:
        audit.record(connection, "test", "test.change", subject)


def imported(settings: Settings) -> list[str]:
    """The changes that a standby's own database holds."""
    with own_server(settings) as server, psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT subject FROM ringfence.audit WHERE action = 'test.change' ORDER BY audit_id"
        ).fetchall()
    return [row[0] for row in rows]


def make(mediation: RunningMediation, number: int = 0) -> str:
    now = NOW + timedelta(minutes=number)
    return create_backup(mediation.settings, BackupOptions(("database",), jobs=1), now).backup_id


def test_copies_over_the_api(mediation: RunningMediation, away: Settings, tmp_path: Path) -> None:
    change(mediation.database, "first")
    token = tmp_path / "token"
    token.write_text(mediation.client()._headers["authorization"].removeprefix("Bearer "))
    command = ("standby", "init", mediation.url, "--token-file", str(token), "--keep", "2", "--json")
    done = run_ringfence(*command, RINGFENCE_DATA=str(away.data))
    assert done.returncode == 0, done.stderr
    assert "token" not in json.loads(done.stdout)
    assert role_of(away) == "standby"

    first = make(mediation)
    run = sync_once(away, NOW)
    assert (run.backup_id, run.is_copied, run.is_imported) == (first, True, True)
    assert imported(away) == ["first"]
    again = sync_once(away, NOW)
    assert (again.is_copied, again.is_imported) == (False, False)

    # What changed since is named, and lost only until the next copy.
    change(mediation.database, "second")
    sync_once(away, NOW)
    status = read_status(away, NOW + timedelta(minutes=1))
    changes = [one["subject"] for one in status.state.changes or [] if one["action"] == "test.change"]
    assert changes == ["first", "second"]
    assert status.copy_age == timedelta(minutes=1)
    assert "no call data: edges send it again" in status.loses
    assert status.problems == ()

    # A copy that was cut off goes on where it was.
    second = make(mediation, 1)
    whole = shelf.file_of(mediation.settings, second).read_bytes()
    incoming = shelf.file_of(away, second)
    incoming.with_name(f".{incoming.name}.incoming").write_bytes(whole[:5000])
    assert sync_once(away, NOW).backup_id == second
    assert shelf.file_of(away, second).read_bytes() == whole

    # The active's newest is damaged: refused with the reason, nothing changes here.
    third = make(mediation, 2)
    broken = shelf.file_of(mediation.settings, third)
    octets = bytearray(broken.read_bytes())
    octets[len(octets) // 2] ^= 1
    broken.write_bytes(octets)
    with pytest.raises(InvalidInputError, match=rf"copy of backup {third}: .* is damaged"):
        sync_once(away, NOW)
    assert not list(shelf.folder_of(away).glob(".*incoming"))
    assert "is damaged" in str(read_status(away, NOW).problems)
    assert read_state(away).imported == second
    broken.unlink()

    make(mediation, 3)
    sync_once(away, NOW)
    assert len(shelf.list_backups(away)) == 2
    mediation.stop()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        sync_once(away, NOW)
    late = read_status(away, NOW + timedelta(hours=1))
    assert "the newest copy is of 2026-03-01 04:33:00 UTC" in late.problems
    assert imported(away) == ["first", "second"]
    assert leave(away).active == mediation.url
    assert role_of(away) == "active"


def test_an_active_that_does_not_answer_holds_up_no_stop(away: Settings) -> None:
    """A failover stops the standby first, and the active's site may have gone dark."""
    with socket.create_server(("127.0.0.1", 0)) as dark:
        standby = Standby("backup", f"http://127.0.0.1:{dark.getsockname()[1]}", token="x", every_s=60)
        become(away, standby)
        asked = []

        def tick() -> None:
            asked.append(dark.accept())
            raise KeyboardInterrupt

        began = time.monotonic()
        with Supervisor(away.data) as supervisor, pytest.raises(KeyboardInterrupt):
            follow(away, standby, supervisor, tick=tick)
        assert time.monotonic() - began < source.TIMEOUT_S / 2


def test_a_token_that_is_none_is_refused_at_init(mediation: RunningMediation, away: Settings, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("rft_nothing")
    done = run_ringfence("standby", "init", mediation.url, "--token-file", str(token), RINGFENCE_DATA=str(away.data))
    assert done.returncode == 5
    assert read_standby(away) is None
    done = run_ringfence("standby", "status", "--json", RINGFENCE_DATA=str(away.data))
    assert json.loads(done.stdout)["role"] == "none"
    viewer = mediation.client(Role.VIEWER)._headers["authorization"].removeprefix("Bearer ")
    become(away, Standby("backup", mediation.url, token=viewer))
    make(mediation)
    with pytest.raises(Exception, match="needs the role administrator"):
        sync_once(away, NOW)


def test_copies_by_rsync_over_ssh(mediation: RunningMediation, away: Settings, ssh_server: SshServer) -> None:
    first, second = make(mediation), make(mediation, 1)
    folder = str(shelf.folder_of(mediation.settings))
    standby = Standby("backup", ssh_server.host, ssh=tuple(ssh_server.command.split()), folder=folder)
    way = source.source_of(standby)
    assert [offer.backup_id for offer in way.offers()] == [second, first]
    become(away, standby)
    mediation.stop()  # it is not asked
    run = sync_once(away, NOW, imports=False)
    assert run.is_copied
    assert shelf.file_of(away, second).read_bytes() == shelf.file_of(mediation.settings, second).read_bytes()
    with pytest.raises(UnavailableError, match="rsync"):
        source.source_of(replace(standby, folder="/nowhere")).offers()


def test_streaming_and_promotion(home: Settings, away: Settings, ssh_server: SshServer) -> None:
    """The active's database as it changes; when the active is gone, what it told is there and can be written to."""
    active = EmbeddedServer(home)
    active.start()
    database = Database(active.url, 2)
    try:
        migrate(database)
        change(database, "before")
        command = f"env RINGFENCE_DATA={home.data} PYTHONPATH={':'.join(sys.path)} {HERE}"
        arguments = ["standby", "init", ssh_server.host, "--mode", "streaming", "--ssh", ssh_server.command]
        done = run_ringfence(*arguments, "--command", command, "--name", "away", RINGFENCE_DATA=str(away.data))
        assert done.returncode == 0, done.stderr
        with Supervisor(away.data) as supervisor:
            following(away, supervisor)
            chosen = create_backup(home, BackupOptions(("database",), jobs=1), NOW)
            change(database, "while it follows")
            wait_until(lambda: replica_holds(away, "while it follows"), 60)
            status = wait_until(lambda: streams(away), 30)
            assert status["problems"] == []
            assert status["loses"].startswith("nothing")
            with psycopg.connect(active.superuser_url) as connection:
                slots = connection.execute("SELECT slot_name, active FROM pg_replication_slots").fetchall()
            assert slots == [("standby_away", True)]
            with pytest.raises(ConflictError):
                run_or_raise(away)
            database.close()
            active.stop()
            wait_until(lambda: not read_status(away, datetime.now(UTC)).as_json()["is_streaming"], 30)
        promoted = streaming.promote(away)
        assert promoted.lsn
        assert imported(away) == ["before", "while it follows"]
        set_back_to(away, chosen)
        assert streaming_is_over(away)
    finally:
        database.close()
        active.stop()


def set_back_to(settings: Settings, chosen: shelf.KeptBackup) -> None:
    """`ringfence failover --backup`: of a standby that streamed too, what was changed after a backup may be undone."""
    shelf.folder_of(settings).mkdir(exist_ok=True)
    shutil.copy(chosen.path, shelf.folder_of(settings))

    class Enough(BaseException):
        """What comes next starts daemons, and has its test."""

    def told(step: Step) -> None:
        if (step.name, step.state) == ("start", "running"):
            raise Enough

    with pytest.raises(Enough):
        Failover(settings, Options(backup=chosen.backup_id), lambda: {}, told=told).run()
    record = read_record(settings)
    assert record is not None
    assert (record.mode, record.facts["backup"]) == ("backup", chosen.backup_id)
    words = record.step("take_over").words
    assert words.startswith("promoted at ")
    assert f"; backup {chosen.backup_id}: database restored in" in words
    assert imported(settings) == ["before"]
    assert role_of(settings) == "active"


def following(settings: Settings, supervisor: Supervisor) -> None:
    """`follow` without its endless watch."""
    standby = read_standby(settings)
    assert standby is not None

    class Enough(Exception):  # noqa: N818
        """The services run."""

    def told(words: str) -> None:
        raise Enough

    with pytest.raises(Enough):
        follow(settings, standby, supervisor, told)


def replica_holds(settings: Settings, subject: str) -> bool:
    from ringfence.database.cluster import embedded_url

    with psycopg.connect(embedded_url(settings.data)) as connection:
        found = connection.execute("SELECT 1 FROM ringfence.audit WHERE subject = %s", (subject,)).fetchone()
    return found is not None


def streams(settings: Settings) -> dict[str, Any] | None:
    report = read_status(settings, datetime.now(UTC)).as_json()
    return report if report["is_streaming"] and report["lag_bytes"] == 0 else None


def run_or_raise(settings: Settings) -> None:
    """The node's lock is held while it follows: nothing else may take its database."""
    EmbeddedServer(settings).start()


def streaming_is_over(settings: Settings) -> bool:
    with own_server(settings) as server, psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE proof (x int)")
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def test_what_was_heard_while_we_looked_is_no_older_than_now() -> None:
    heard = Replication(True, None, None, 0, NOW + timedelta(milliseconds=200), None)
    status = StandbyStatus("standby", None, State(), NOW, 0, heard)
    assert status.copy_age == timedelta(0)


def test_a_database_of_its_own_is_not_replaced_unasked(home: Settings) -> None:
    with own_server(home):
        pass
    done = run_ringfence("standby", "init", "nobody@127.0.0.1", RINGFENCE_DATA=str(home.data))
    assert done.returncode == 4
    assert "say --replace" in done.stderr
    note(home, error="nothing")  # a state without its standby means nothing
    assert role_of(home) == "active"
