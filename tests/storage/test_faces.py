"""Storage over HTTP, at the command line, in status and metrics; and the leader does it by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Run, ringfence
from tests.mediation_server import RunningMediation, wait_until
from tests.storage.conftest import days, fill, query

from ringfence.database.connection import Database
from ringfence.settings import Settings
from ringfence.storage.disk import disk_reader, read_path
from ringfence.storage.keeper import StorageKeeper

__all__ = ["ringfence"]


def today() -> datetime:
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def partitions(database: Database) -> list[str]:
    return [name for (name,) in query(database, "SELECT relname FROM pg_class WHERE relname ~ '^enum_event_[0-9]+$'")]


def test_retention_now_over_http_and_what_is_kept(mediation: RunningMediation, database: Database) -> None:
    fill(database, "enum_event", 100, now=today())
    client = mediation.client()
    job = client.post("storage/retention").json()
    done = wait_until(lambda: (one := client.get(f"jobs/{job['id']}").json())["state"] == "done" and one)
    # The leader may have been faster: either has dropped the day of a hundred days ago.
    assert done["result"]["failures"] == []
    old = f"enum_event_{today() - timedelta(days=100):%Y%m%d}"
    wait_until(lambda: old not in partitions(database))
    report = client.get("storage").json()
    assert report["archive"]["place"] is None
    assert report["reason"] is None
    assert {one["table"] for one in report["tables"]} >= {"enum_event", "sip_event", "call_minute"}
    assert query(database, "SELECT count(*) FROM audit WHERE action = 'storage.retention'") == [(1,)]


def test_the_leader_keeps_the_database_by_itself(mediation: RunningMediation, database: Database) -> None:
    # Days ahead are made by the leader's first round: it has looked.
    ahead = f"enum_event_{datetime.now(UTC) + timedelta(days=2):%Y%m%d}"
    wait_until(lambda: ahead in partitions(database), 20)
    wait_until(lambda: mediation.client().get("storage").json()["last_round"])


def test_the_command_shows_what_is_kept_and_fails_when_the_disk_is_full(
    mediation: RunningMediation, ringfence: Run, database: Database
) -> None:
    wait_until(lambda: mediation.client().get("storage").json()["last_round"])
    fill(database, "enum_event", 1, 50, now=today())
    shown = ringfence("database", "storage")
    assert shown.returncode == 0, shown.stderr
    assert "storage.disk_path" in shown.stdout
    assert f"{today() - timedelta(days=1):%Y-%m-%d}" in shown.stdout
    assert json.loads(ringfence("database", "storage", "--json").stdout)["drops_now"] == []
    assert ringfence("database", "retain").returncode in (0, 4)
    status = ringfence("status")
    assert "storage" in status.stdout


def test_settings_out_of_bounds_are_refused_by_name() -> None:
    from ringfence.errors import ConfigurationError
    from ringfence.settings import load_settings

    for name, value in (
        ("storage.full_percent", 99),
        ("storage.enum.disk_percent", 0),
        ("storage.enum.days", 401),
        ("storage.archive.to", "relative/folder"),
    ):
        with pytest.raises(ConfigurationError, match=name):
            load_settings(environment={}, flags={name: value})


def test_the_disk_is_read_where_it_is(database: Database, tmp_path: Path) -> None:
    def read(**storage: object) -> object:
        settings = Settings.model_validate({"data": tmp_path, "database": {"url": database.url}, "storage": storage})
        with database.connection() as connection:
            return disk_reader(settings)(connection)

    assert read() is None
    found = read(disk_path=tmp_path)
    assert found is not None
    assert abs(found.total - read_path(tmp_path).total) < 1 << 20  # type: ignore[attr-defined, union-attr]
    assert read(disk_path=tmp_path / "nothing") is None
    sized = read(disk_bytes=1 << 40)
    assert (sized.total, sized.source) == (1 << 40, "size")  # type: ignore[attr-defined]
    assert 0 < sized.used < 1 << 40  # type: ignore[attr-defined]


def test_one_round_at_a_time_in_a_process(database: Database, tmp_path: Path) -> None:
    settings = Settings.model_validate({"data": tmp_path, "database": {"url": database.url}})
    keeper = StorageKeeper(settings)
    keeper.start_round(database)
    keeper.start_round(database)
    wait_until(lambda: keeper.rounds == 1)
    assert keeper.failed_rounds == 0
    assert days(database) == []


def test_a_mediation_starts_without_the_engine_of_the_archive() -> None:
    program = (
        "import sys; from ringfence.mediation.process import MediationProcess; from ringfence.settings import Settings;"
        "from ringfence.storage.keeper import keeping_of;"
        "keeping_of(Settings.model_validate({'storage': {'archive': {'to': 's3://bucket/prefix'}}}));"
        "print(*sorted({'duckdb', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
