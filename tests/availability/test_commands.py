"""Backups over API and CLI on a running mediation; restore on the stopped node, with nothing running."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from tests.cli.conftest import Run, run_ringfence
from tests.mediation_server import RunningMediation, wait_until

from ringfence.availability import schedule, shelf
from ringfence.availability.archive import check_archive
from ringfence.availability.backup import BackupOptions, create_backup, no_report
from ringfence.settings import Settings
from ringfence.vocabulary import Role


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """A job once it has come to its end."""

    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = client.get(f"/jobs/{job['id']}").json()
        return now if now["ended_at"] else None

    found: dict[str, Any] = wait_until(look, 60)
    return found


def test_made_listed_checked_and_removed_over_the_api(mediation: RunningMediation, tmp_path: Path) -> None:
    client = mediation.client()
    job = client.post("/backups", json={"jobs": 2}).json()
    done = ended(client, job)
    assert done["state"] == "done", done
    backup_id = done["result"]["backup_id"]
    listed = client.get("/backups").json()
    assert [one["backup_id"] for one in listed["backups"]] == [backup_id]
    assert listed["runs"][0]["ok"]
    assert (listed["keep"], listed["is_encrypted"]) == (14, False)

    whole = client.get(f"/backups/{backup_id}/archive").content
    first = client.get(f"/backups/{backup_id}/archive", headers={"Range": "bytes=0-999"})
    rest = client.get(f"/backups/{backup_id}/archive", headers={"Range": "bytes=1000-"})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.content + rest.content == whole
    (tmp_path / "copy").write_bytes(whole)
    assert check_archive(tmp_path / "copy", None, no_report).backup_id == backup_id

    job = client.post(f"/backups/{backup_id}/verify").json()
    assert ended(client, job)["state"] == "done"
    damaged = shelf.file_of(mediation.settings, backup_id)
    damaged.write_bytes(whole[:-600] + b"x" * 600)
    job = client.post(f"/backups/{backup_id}/verify").json()
    failed = ended(client, job)
    assert failed["error"]["code"] == "invalid.backup"

    assert client.delete(f"/backups/{backup_id}").status_code == 204
    assert client.get(f"/backups/{backup_id}").status_code == 404
    actions = [one["action"] for one in client.get("/audit", params={"action": "backup"}).json()["entries"]]
    assert set(actions) == {"backup.make", "backup.download", "backup.remove"}
    assert mediation.client(Role.VIEWER).get("/backups").status_code == 200
    assert mediation.client(Role.EDITOR).post("/backups", json={}).status_code == 403
    assert client.post("/backups", json={"select": ["moon"]}).status_code == 400


def test_the_commands(ringfence: Run, mediation: RunningMediation, may_make_databases: None, tmp_path: Path) -> None:
    made = json.loads(ringfence("backup", "--json", "--select", "database", "--keep", "3", "--jobs", "1").stdout)
    assert made["sections"] == ["database"]
    listed = ringfence("backup", "list")
    assert made["backup_id"] in listed.stdout
    assert listed.stdout.rstrip().endswith("whole")
    assert ringfence("backup", "verify").stdout == f"Backup {made['backup_id']} is whole.\n"
    refused = ringfence("restore", "--yes")
    assert refused.returncode == 4
    assert "runs (process" in refused.stderr
    dry = ringfence("restore", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Nothing was changed." in dry.stdout

    key = tmp_path / "key"
    assert ringfence("backup", "key", str(key)).returncode == 0
    assert key.stat().st_mode & 0o077 == 0

    file = shelf.file_of(mediation.settings, made["backup_id"])
    file.write_bytes(file.read_bytes()[:-1])
    damaged = ringfence("backup", "verify", made["backup_id"])
    assert damaged.returncode == 2
    assert "is truncated" in damaged.stdout


def test_without_a_mediation_the_command_does_it_itself(
    mediation: RunningMediation, may_make_databases: None, tmp_path: Path
) -> None:
    """As the timer's service does after a crash, and as everybody does on a stopped node."""
    here = {"RINGFENCE_DATA": str(tmp_path / "elsewhere"), "RINGFENCE_DATABASE_URL": mediation.database.url}
    made = run_ringfence("backup", "--json", **here)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["sections"] == ["database", "configuration"]
    busy = run_ringfence("restore", "--yes", **here)
    assert busy.returncode == 4
    assert "a mediation works on this database (this machine): stop it first" in busy.stderr
    mediation.stop()
    mediation.database.close()
    restored = run_ringfence("restore", "--yes", "--json", **here)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["sections"] == ["database", "configuration"]


def test_the_leader_makes_what_is_due(mediation: RunningMediation) -> None:
    """At once when there is none, then when the newest is old enough; after a failure not at once again."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    hourly = Settings.model_validate(mediation.settings.model_dump() | {"backup": {"every_s": 3600}})
    assert not schedule.is_due(mediation.settings, now)
    assert schedule.is_due(hourly, now)
    shelf.record_run(hourly, "backup", now, False, error="disk")
    assert not schedule.is_due(hourly, now + timedelta(minutes=4))
    assert schedule.is_due(hourly, now + timedelta(minutes=5))
    create_backup(hourly, BackupOptions(("configuration",)), now)
    assert not schedule.is_due(hourly, now + timedelta(minutes=59))
    assert schedule.is_due(hourly, now + timedelta(hours=1))
    assert schedule.is_due(hourly, now - timedelta(days=1))  # a clock that was set back must not stop backups

    process = mediation.process
    process.settings = Settings.model_validate(mediation.settings.model_dump() | {"backup": {"every_s": 3600}})
    process._start_due_backup(mediation.database)
    job = wait_until(lambda: next(iter(process.jobs.list(schedule.KIND)), None))
    assert job.owner == "schedule"
    assert job.ended.wait(60)
    assert job.state == "done"
