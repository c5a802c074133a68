"""Backups of a real database: made, kept, checked, put back; refused without a trace when something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql
from tests.availability.conftest import NOW, settings_of

from ringfence.accounts import audit, audit_chain
from ringfence.accounts.credentials import authenticate, create_session, create_token
from ringfence.accounts.people import create_person
from ringfence.availability import shelf
from ringfence.availability.archive import Report
from ringfence.availability.backup import BackupOptions, create_backup, verify_backup
from ringfence.availability.encryption import new_key
from ringfence.availability.restore import RestoreOptions, read_interrupted, restore_backup
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError, UnavailableError
from ringfence.mediation.trust_keys import device_authority
from ringfence.settings import Settings
from ringfence.vocabulary import Role

ALL = BackupOptions()
# Beginnings of the names of tables without which a backup still has all that these tests look at.
AWAY = re.compile("(enum|sip|call|part|hour|rule|detection|alert|fst|report|dynamic|lost|archive|evidence)_")


def note(database: Database, subject: str) -> None:
    """A change of configuration, as the audit trail shows it."""
    with database.connection() as connection:
        audit.record(connection, "test", "test.change", subject)


@contextmanager
def opened(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """The database that was put back."""
    database = Database(str(settings.database.url), pool_size=2)
    try:
        with database.connection() as connection:
            yield connection
    finally:
        database.close()


def subjects(settings: Settings) -> list[str]:
    assert settings.database.url is not None
    with psycopg.connect(settings.database.url) as connection:
        found = connection.execute(
            "SELECT subject FROM ringfence.audit WHERE action = 'test.change' ORDER BY audit_id"
        ).fetchall()
    return [row[0] for row in found]


def databases(settings: Settings) -> set[str]:
    assert settings.database.url is not None
    name = str(conninfo.conninfo_to_dict(settings.database.url)["dbname"])
    with psycopg.connect(settings.database.url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",)).fetchall()
    return {row[0] for row in rows} - {name}


def test_restores_what_was_there_at_the_time(node: Settings, database: Database) -> None:
    note(database, "before")
    with database.connection() as connection:
        authority = device_authority(connection)
    kept = create_backup(node, ALL, NOW)
    assert kept.manifest is not None
    assert kept.manifest.sections == ("database", "configuration")
    assert kept.manifest.counts["sites"] == 1
    assert kept.manifest.schema is not None
    note(database, "after")
    with database.connection() as connection:
        head = audit_chain.read_head(connection)
    assert head is not None
    audit_chain.anchors_file(node.data).write_text(audit_chain.anchor_line(head, NOW))
    database.close()
    restored = restore_backup(node, kept, RestoreOptions(), NOW)
    assert restored.sections == ("database", "configuration")
    assert subjects(node) == ["before"]
    assert not audit_chain.anchors_file(node.data).exists(), "an anchor of what is not there any more is put aside"
    with opened(node) as connection:
        assert audit_chain.verify(connection).is_whole
        assert device_authority(connection) == authority, "devices stay enrolled"
        audit.record(connection, "test", "test.another")
    with opened(node) as connection:
        assert audit_chain.verify(connection).is_whole, "and the chain goes on"
    assert databases(node) == set()
    assert read_interrupted(node) is None


def drop_what_it_is_not_about(database: Database) -> None:
    """Tables, most of which hold calls and counts, are what a dump and a restore take their time for."""
    with database.connection() as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema").fetchall()
        dropped = [name for (name,) in names if AWAY.match(name)]
        assert len(dropped) > len(names) / 2
        connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, dropped))))


def test_each_of_the_last_backups_restores(node: Settings, database: Database) -> None:
    """The newest N are kept, the oldest goes, and every one of them puts its own state back."""
    keep = 14
    drop_what_it_is_not_about(database)
    made = []
    for number in range(keep + 1):
        note(database, f"change {number}")
        options = BackupOptions(("database",), keep=keep, jobs=1)
        made.append(create_backup(node, options, NOW + timedelta(hours=number)))
    database.close()
    listed = shelf.list_backups(node)
    assert [backup.backup_id for backup in listed] == [backup.backup_id for backup in reversed(made[1:])]
    for age, kept in enumerate(listed):
        restore_backup(node, kept, RestoreOptions(jobs=1), NOW)
        assert subjects(node) == [f"change {number}" for number in range(keep + 1 - age)]


@pytest.mark.parametrize("what", ["flipped", "cut", "longer", "not one"])
def test_a_damaged_backup_changes_nothing(node: Settings, database: Database, what: str) -> None:
    kept = create_backup(node, BackupOptions(("database",)), NOW)
    note(database, "after")
    database.close()
    octets = bytearray(kept.path.read_bytes())
    if what == "flipped":
        octets[len(octets) // 2] ^= 0x10
    kept.path.write_bytes(
        {
            "flipped": bytes(octets),
            "cut": bytes(octets[:-700]),
            "longer": bytes(octets) + b"\0" * 512,
            "not one": b"x" * 4000,
        }[what]
    )
    again = shelf.find_backup(node, str(kept.path))
    with pytest.raises(InvalidInputError, match=f"backup {kept.backup_id}: ") as refused:
        restore_backup(node, again, RestoreOptions(), NOW)
    assert refused.value.code == "invalid.backup"
    assert subjects(node) == ["after"]
    assert shelf.list_runs(node)[0] | {"at": ""} == {
        "at": "", "what": "restore", "ok": False, "backup": kept.backup_id, "error": refused.value.message,
    }  # fmt: skip


def test_a_backup_of_a_newer_schema_is_refused(node: Settings, database: Database) -> None:
    with database.connection() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    kept = create_backup(node, BackupOptions(("database",)), NOW)
    database.close()
    with pytest.raises(InvalidInputError, match=r"schema 9999, this Ringfence .* upgrade Ringfence"):
        restore_backup(node, kept, RestoreOptions(jobs=1), NOW)


def test_a_restore_that_dies_leaves_the_old_state(
    node: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it loads or just before the renames: the old database is in use, and the next restore works."""
    kept = create_backup(node, ALL, NOW)
    note(database, "after")
    database.close()

    def killed_at(wanted: str) -> Report:
        def report(done: int, total: int, phase: str) -> None:
            if phase == wanted:
                raise KeyboardInterrupt

        return report

    for phase in ("checking", "unpacking", "restoring", "preparing"):
        with pytest.raises(KeyboardInterrupt):
            restore_backup(node, kept, RestoreOptions(), NOW, killed_at(phase))
        assert subjects(node) == ["after"]
    restore_backup(node, kept, RestoreOptions(), NOW)
    assert subjects(node) == []
    assert databases(node) == set()


def test_a_restore_goes_on_where_it_was_interrupted(
    node: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = create_backup(node, ALL, NOW)
    database.close()

    def fails(*arguments: object) -> Path:
        raise OSError(28, "No space left on device", str(node.data))

    with monkeypatch.context() as patch:
        patch.setattr("ringfence.availability.configuration.take_over", fails)
        with pytest.raises(UnavailableError, match="No space left on device"):
            restore_backup(node, kept, RestoreOptions(jobs=1), NOW)
    left = read_interrupted(node)
    assert left is not None
    assert left.done == ("database",)
    with psycopg.connect(node.database.url or "", autocommit=True) as connection:
        connection.execute("UPDATE ringfence.site SET name = 'proof that the database is not loaded again'")
    restore_backup(node, kept, RestoreOptions(), NOW)
    assert read_interrupted(node) is None
    with psycopg.connect(node.database.url or "") as connection:
        name = connection.execute("SELECT name FROM ringfence.site").fetchone()
    assert name == ("proof that the database is not loaded again",)


def test_a_running_mediation_is_not_restored_under(node: Settings, database: Database) -> None:
    kept = create_backup(node, BackupOptions(("database",)), NOW)
    with database.connection() as connection:
        connection.execute("SELECT 1")
        with pytest.raises(ConflictError, match="a mediation works on this database"):
            restore_backup(node, kept, RestoreOptions(jobs=1), NOW)


def test_nobody_is_signed_in_after_a_restore(node: Settings, database: Database) -> None:
    with database.connection() as connection:
        create_person(connection, "ada", Role.ADMINISTRATOR, "test")
        session = create_session(connection, account_id(connection), "ada", Role.ADMINISTRATOR, NOW)
        token = create_token(connection, "robot", Role.VIEWER, "test")
    kept = create_backup(node, BackupOptions(("database",)), NOW)
    database.close()
    restore_backup(node, kept, RestoreOptions(), NOW)
    again = Database(node.database.url or "", 2)
    try:
        with again.connection() as connection:
            assert authenticate(connection, token).name == "robot"
            with pytest.raises(NotSignedInError):
                authenticate(connection, session)
    finally:
        again.close()


def account_id(connection: psycopg.Connection) -> int:
    found = connection.execute("SELECT account_id FROM account WHERE name = 'ada'").fetchone()
    assert found
    return int(found[0])


def test_a_failed_backup_leaves_its_reason_only(node: Settings, database: Database) -> None:
    def fails(done: int, total: int, phase: str) -> None:
        if phase == "packing":
            raise OSError(28, "No space left on device")

    with pytest.raises(UnavailableError, match="No space left on device"):
        create_backup(node, ALL, NOW, fails)
    with pytest.raises(UnavailableError, match=r"took longer than .* s \(backup.timeout_s\)"):
        create_backup(node, BackupOptions(timeout_s=0.001), NOW)
    assert {file.name for file in shelf.folder_of(node).iterdir()} == {"lock", "runs.jsonl"}
    assert [(run["what"], run["ok"]) for run in shelf.list_runs(node)] == [("backup", False)] * 2


def test_one_at_a_time(node: Settings) -> None:
    with shelf.holding(node), pytest.raises(ConflictError, match="another backup"):
        create_backup(node, ALL, NOW)


def test_encrypted_backups_restore_with_their_key_only(node: Settings, database: Database, tmp_path: Path) -> None:
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text(new_key())
    other.write_text(new_key())
    sealed = settings_of(database, node.data, key_file=key)
    kept = create_backup(sealed, ALL, NOW)
    database.close()
    assert verify_backup(sealed, kept).key is not None
    assert [backup.problem for backup in shelf.list_backups(sealed)] == [None]
    (listed,) = shelf.list_backups(node)
    assert listed.backup_id == kept.backup_id
    assert "set backup.key_file" in str(listed.problem)
    for wrong in (node, settings_of(database, node.data, key_file=other)):
        with pytest.raises(InvalidInputError, match="is encrypted with key"):
            restore_backup(wrong, kept, RestoreOptions(), NOW)
    restore_backup(sealed, kept, RestoreOptions(), NOW)


def test_configuration_comes_without_what_is_the_hosts(node: Settings, database: Database, tmp_path: Path) -> None:
    set_there = {
        "data": str(node.data), "database": {"url": database.url}, "api": {"port": 9999}, "site": {"name": "north"},
        "enum": {"listen": ["127.0.0.1:1053"], "fail_mode": "none", "journal": {"keep_hours": 24}},
    }  # fmt: skip
    kept = create_backup(Settings.model_validate(set_there), BackupOptions(("configuration",)), NOW)
    here = tmp_path / "here.toml"
    here.write_text('[api]\nport = 7000\n[enum]\nfail_mode = "allow"\n[log]\nlevel = "debug"\n')
    restored = restore_backup(node, kept, RestoreOptions(configuration_file=here), NOW)
    assert restored.configuration_file == here
    text = here.read_text()
    for line in ("port = 7000", 'fail_mode = "none"', "keep_hours = 24", 'name = "north"'):
        assert line in text
    for line in ("9999", "1053", "postgresql://", "allow"):
        assert line not in text


def test_an_edges_folder_goes_back_without_its_journal(node: Settings) -> None:
    edge = node.data / "enum"
    for name, text in (("credential", "rfd_1"), ("policy/installed", "one"), ("journal/0/1.seg", "events")):
        (edge / name).parent.mkdir(parents=True, exist_ok=True)
        (edge / name).write_text(text)
    kept = create_backup(node, BackupOptions(("edge:enum",)), NOW)
    assert kept.manifest is not None
    assert {file.path for file in kept.manifest.files} == {"edge/enum/credential", "edge/enum/policy/installed"}
    (edge / "policy/installed").write_text("two")
    (edge / "policy/more").write_text("three")
    (edge / "journal/0/1.seg").write_text("more events")
    restore_backup(node, kept, RestoreOptions(), NOW)
    assert (edge / "policy/installed").read_text() == "one"
    assert not (edge / "policy/more").exists()
    assert (edge / "journal/0/1.seg").read_text() == "more events"  # what was recorded since is not thrown away
    assert not (node.data / ".enum.before").exists()


def test_choosing(node: Settings) -> None:
    with pytest.raises(NotFoundError, match="`ringfence backup` makes one"):
        shelf.find_backup(node)
    first = create_backup(node, BackupOptions(("configuration",)), NOW)
    second = create_backup(node, BackupOptions(("configuration",)), NOW + timedelta(days=1))
    assert shelf.find_backup(node).backup_id == second.backup_id
    assert shelf.find_backup(node, first.backup_id[:8]).backup_id == first.backup_id
    assert shelf.find_backup(node, str(first.path)).backup_id == first.backup_id
    with pytest.raises(NotFoundError, match="2 backups begin with '2026'"):
        shelf.find_backup(node, "2026")
    with pytest.raises(NotFoundError, match="does not exist"):
        shelf.find_backup(node, "1999")
    with pytest.raises(InvalidInputError, match="this node has no edge:probe"):
        create_backup(node, BackupOptions(("edge:probe",)), NOW)
    with pytest.raises(InvalidInputError, match="holds no database; it has configuration"):
        restore_backup(node, first, RestoreOptions(("database",)), NOW)


def test_runs_are_kept_within_bounds(node: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_RUNS_KEPT", 5)
    for number in range(25):
        shelf.record_run(node, "backup", datetime.fromtimestamp(number, NOW.tzinfo), True, number=number)
    lines = (shelf.folder_of(node) / "runs.jsonl").read_text().splitlines()
    assert 5 <= len(lines) <= 10
    assert json.loads(lines[-1])["number"] == 24
    assert [run["number"] for run in shelf.list_runs(node, 2)] == [24, 23]
