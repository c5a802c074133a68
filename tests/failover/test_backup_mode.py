"""A standby of backups whose active is still reached over its API: copied a last time behind its fence, or set back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.availability.conftest import may_make_databases
from tests.availability.ssh_server import SshServer, ssh_server
from tests.failover.conftest import Pairs
from tests.failover.pair_node import COMMAND
from tests.failover.test_old_pair import NOW, follows
from tests.mediation_server import RunningMediation
from tests.system.running_node import PACKAGE

from ringfence.availability import shelf
from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.failover.record import Record, Step, read_record
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.availability.standby import Standby, become, role_of
from ringfence.availability.sync import sync_once
from ringfence.database.connection import Database
from ringfence.errors import ConflictError
from ringfence.settings import Settings

__all__ = ["may_make_databases", "ssh_server"]  # fixtures


class Enough(BaseException):
    """The database is taken over: what comes next starts daemons, and has its test."""


@dataclass
class Follower:
    """A standby that holds two backups, the older of which lacks a change; the newest lacks another one."""

    settings: Settings
    older: str
    newer: str

    def run(self, kind: str, options: Options) -> Record:
        def told(step: Step) -> None:
            if (step.name, step.state) == ("start", "running"):
                raise Enough

        with pytest.raises(Enough):
            Failover(self.settings, options, lambda: {}, kind, told).run()
        record = read_record(self.settings)
        assert record is not None
        return record

    def names(self) -> set[str]:
        database = Database(str(self.settings.database.url), pool_size=2)
        try:
            with database.connection() as connection:
                return {row[0] for row in connection.execute("SELECT name FROM site").fetchall()}
        finally:
            database.close()


@pytest.fixture
def follower(pairs: Pairs, old_mediation: RunningMediation, tmp_path: Path, may_make_databases: None) -> Follower:
    settings = Settings.model_validate(
        {"data": tmp_path / "here", "database": {"url": pairs.new.url}, "backup": {"jobs": 1}}
    )
    pairs.new.close()
    become(settings, follows(old_mediation))
    made = []
    for number, name in enumerate(("one", "two")):
        options = BackupOptions(("database",), jobs=1)
        made.append(create_backup(old_mediation.settings, options, NOW + timedelta(minutes=number)).backup_id)
        sync_once(settings, NOW, imports=False)
        answer = old_mediation.client().post("sites", json={"name": name, "country": "US"})
        assert answer.status_code == 201
    return Follower(settings, *made)


def words(record: Record) -> dict[str, Any]:
    return {step.name: step.words for step in record.steps}


def test_what_was_changed_last_comes_too(follower: Follower, pairs: Pairs) -> None:
    record = follower.run("failback", Options(is_planned=True))
    said = words(record)
    assert said["fence"].startswith("epoch 2: fenced over its API")
    assert said["catch_up"].endswith("made behind the fence: nothing is lost")
    assert record.facts["backup"] not in (follower.older, follower.newer)
    assert record.facts["is_complete"]
    assert "cannot be stopped" in said["stop_old"]
    assert {"one", "two"} <= follower.names()
    assert pairs.term_of(pairs.old).is_fenced
    assert role_of(follower.settings) == "active"
    with pytest.raises(ConflictError, match="`ringfence failback` goes on with it"):
        Failover(follower.settings, Options(), lambda: {}).run()


def test_what_was_changed_last_comes_over_ssh_too(
    follower: Follower, pairs: Pairs, old_mediation: RunningMediation, ssh_server: SshServer
) -> None:
    """A standby that has no token: the old pair is fenced, copied and stopped by its own commands, brought by rsync."""
    there = old_mediation.settings
    folder = str(shelf.folder_of(there))
    become(follower.settings, Standby("backup", ssh_server.host, ssh=tuple(ssh_server.command.split()), folder=folder))
    words_there = {"RINGFENCE_DATA": there.data, "RINGFENCE_DATABASE_URL": there.database.url, "PYTHONPATH": PACKAGE}
    command = shlex.join(["env", *(f"{name}={value}" for name, value in words_there.items()), *COMMAND])
    record = follower.run("failback", Options(is_planned=True, command=command))
    said = words(record)
    assert said["check"].endswith(f"the old pair is reached (ssh {ssh_server.host})")
    assert said["fence"].startswith("epoch 2: fenced over ssh: nothing is changed here any more")
    assert said["catch_up"].endswith("made behind the fence: nothing is lost")
    assert record.facts["backup"] not in (follower.older, follower.newer)
    assert {"one", "two"} <= follower.names()
    assert pairs.term_of(pairs.old).is_fenced
    assert role_of(follower.settings) == "active"


def test_an_older_backup_may_be_chosen(follower: Follower) -> None:
    record = follower.run("failover", Options(backup=follower.older))
    assert words(record)["catch_up"] == "nothing: an older backup was chosen"
    assert words(record)["take_over"].startswith(f"backup {follower.older}: database restored in")
    assert [change["subject"] for change in record.facts["lost_changes"] if change["action"] == "site.add"] == [
        "one",
        "two",
    ]
    assert not {"one", "two"} & follower.names()
