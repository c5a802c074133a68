"""The agent beside the data plane: its parts are started again, a refused credential is told once, a socket will do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.edge.edge_process import Edge
from tests.edge.partners import FakeMediation, ask, open_server, wait_until
from tests.mediation_server import RunningMediation

from ringfence.database.connection import Database
from ringfence.edge.agent import keep_running
from ringfence.edge.failures import Failures
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.mediation.devices import register_device


def test_a_part_that_raises_is_started_again_while_the_data_plane_answers(tmp_path: Path) -> None:
    server = open_server(tmp_path)
    starts = 0
    well = asyncio.Event()

    async def part() -> None:
        nonlocal starts
        starts += 1
        ask(server, 5)
        if starts < 3:
            raise RuntimeError("a defect")
        well.set()
        await asyncio.Event().wait()

    async def run() -> None:
        async with asyncio.timeout(20):
            task = asyncio.create_task(keep_running("part", part))
            await well.wait()
            task.cancel()

    try:
        with capture_logs() as logs:
            asyncio.run(run())
        assert [one["event"] for one in logs] == ["agent.part_failed"] * 2
        ask(server, 5)
    finally:
        server.stop()


def test_a_refused_credential_is_told_once_a_minute_by_all_parts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("ringfence.edge.failures.time.monotonic", lambda: now)
    failures = Failures()
    with capture_logs() as logs:
        for event in ("uplink.failed", "heartbeat.failed", "policy.poll_failed"):
            failures.tell(event, NotSignedInError("401"))
        failures.tell("uplink.failed", UnavailableError("down"))
        now += 60
        failures.tell("uplink.failed", NotSignedInError("401"))
    refused = "agent.credential_refused"
    assert [one["event"] for one in logs] == [refused, "uplink.failed", refused]


def test_a_stand_alone_edge_with_a_stale_credential_says_so_and_goes_on_answering(
    tmp_path: Path, mediation: FakeMediation
) -> None:
    credential = tmp_path / "credential"
    credential.write_text("rfd_of_another_database")
    credential.chmod(0o600)
    edge = Edge(tmp_path / "data", "--mediation", mediation.address, "--credential-file", str(credential))
    try:
        wait_until(lambda: edge.metric("ringfence_enum_uplink_errors_total") >= 3, "it keeps trying")
        assert "allow.e164.internal" in edge.ask(10)
        assert edge.get("/healthz")[0] == 200
    finally:
        assert edge.stop() == 0
    assert edge.said.count("agent.credential_refused") == 1
    assert "ringfence device invite" in edge.said


@pytest.fixture
def real_mediation(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    with RunningMediation(database, tmp_path / "mediation") as running:
        yield running


def test_events_go_up_and_heartbeats_too_over_a_unix_socket(real_mediation: RunningMediation, tmp_path: Path) -> None:
    with real_mediation.database.connection() as connection:
        _, secret = register_device(connection, "enum-1", "enum", None, "test")
    credential = tmp_path / "credential"
    credential.write_text(secret)
    credential.chmod(0o600)
    address = f"unix:{real_mediation.settings.api.socket}"
    edge = Edge(tmp_path / "data", "--mediation", address, "--credential-file", str(credential))

    def stored() -> tuple[int, int]:
        with real_mediation.database.connection() as connection:
            row = connection.execute(
                "SELECT count(*), (SELECT count(*) FROM device WHERE report->'listen' IS NOT NULL) FROM enum_event"
            ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    try:
        edge.ask(30)
        wait_until(lambda: stored() == (30, 1), "events and a heartbeat are stored")
    finally:
        assert edge.stop() == 0
