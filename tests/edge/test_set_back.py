"""A journal folder that was copied, and put back later: a real mediation stores every call exactly once (R4)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.edge.edge_process import Edge
from tests.edge.partners import wait_until
from tests.mediation_server import RunningMediation

from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device


@pytest.fixture
def real_mediation(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    with RunningMediation(database, tmp_path / "mediation") as running:
        yield running


@pytest.fixture
def flags(real_mediation: RunningMediation, tmp_path: Path) -> tuple[str, ...]:
    """For an edge with a device of its own at the mediation."""
    with real_mediation.database.connection() as connection:
        _, secret = register_device(connection, "enum-1", "enum", None, "test")
    credential = tmp_path / "credential"
    credential.write_text(secret)
    credential.chmod(0o600)
    return ("--mediation", real_mediation.url, "--credential-file", str(credential))


def stored(mediation: RunningMediation) -> list[tuple[int, int]]:
    """(journal_id, events) of every stream that has some, oldest first."""
    with mediation.database.connection() as connection:
        return connection.execute(
            """
            SELECT s.journal_id, count(*) FROM enum_event e JOIN device_stream s USING (stream_id)
            GROUP BY s.stream_id, s.journal_id ORDER BY s.stream_id
            """
        ).fetchall()


def serve(data: Path, calls: int, *flags: str, total: int | None = None, at: RunningMediation | None = None) -> str:
    """Run an edge for so many calls; with a mediation until it has `total` of them. What it logged."""
    edge = Edge(data, *flags)
    try:
        edge.ask(calls)
        if at is not None:
            wait_until(lambda: sum(count for _, count in stored(at)) >= (total or 0), f"{total} events are stored")
    finally:
        assert edge.stop() == 0
    return edge.said


@pytest.mark.slow
@pytest.mark.parametrize("offline", [0, 250], ids=["at once", "after more calls than were forgotten"])
def test_a_journal_put_back_from_a_copy_loses_and_doubles_nothing(
    real_mediation: RunningMediation, flags: tuple[str, ...], tmp_path: Path, offline: int
) -> None:
    data = set_back(real_mediation, flags, tmp_path)
    shutil.rmtree(data / "stage")  # put back on another machine, or after its power was off
    if offline:
        # Nobody can tell it yet; it starts twice before it meets its mediation again.
        serve(data, offline)
    said = serve(data, 50, *flags, total=250 + offline, at=real_mediation)
    assert "uplink.journal_retired" in said
    old, new = stored(real_mediation)
    assert (old[1], new[1]) == (200, 50 + offline)
    assert old[0] != new[0]
    said = serve(data, 10, *flags, total=260 + offline, at=real_mediation)
    assert "uplink.journal_retired" not in said
    assert stored(real_mediation) == [old, (new[0], 60 + offline)]


@pytest.mark.slow
def test_a_journal_put_back_beside_its_stage_goes_on_where_the_stage_ends(
    real_mediation: RunningMediation, flags: tuple[str, ...], tmp_path: Path
) -> None:
    data = set_back(real_mediation, flags, tmp_path)
    said = serve(data, 50, *flags, total=250, at=real_mediation)
    assert "uplink.journal_retired" not in said
    assert [events for _, events in stored(real_mediation)] == [250]


def set_back(mediation: RunningMediation, flags: tuple[str, ...], folder: Path) -> Path:
    """An edge's folder as it was after 100 calls, of an edge that has placed 200."""
    data, copy = folder / "edge", folder / "copy"
    serve(data, 100, *flags, total=100, at=mediation)
    shutil.copytree(data / "enum", copy)
    serve(data, 100, *flags, total=200, at=mediation)
    shutil.rmtree(data / "enum")
    shutil.copytree(copy, data / "enum")
    return data
