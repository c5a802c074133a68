"""`POST /api/v1/edge/events`, as an edge sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.ingest.samples import every_second, ipc, record_batch, upload

from ringfence.api.application import build_application
from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.process import MediationProcess
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings

PLACE = "/api/v1/edge/events?dataset=enum&journal_id=7&stream=0"


@pytest.fixture
def edge(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    """A client with the credential of a registered device."""
    settings = Settings(data=tmp_path)
    with database.connection() as connection:
        ensure_first_site(connection, settings.site)
        _, credential = register_device(connection, "enum-1", "enum", None, "test")
    app = build_application(MediationProcess(settings, database))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {credential}"
        yield client


def test_an_upload_is_answered_with_what_is_held(edge: TestClient, database: Database) -> None:
    for _ in range(2):
        answer = edge.post(PLACE, content=upload(every_second(20)))
        assert (answer.status_code, answer.json()) == (200, {"received": 20})
    with database.connection() as connection:
        rows = connection.execute("SELECT d.name, count(*) FROM enum_event JOIN device d USING (device_id) GROUP BY 1")
        assert rows.fetchall() == [("enum-1", 20)]
    hello = {"kind": "enum", "software": "0.1.0", "journal_id": 7, "now_us": 1}
    assert edge.post("/api/v1/edge/hello", json=hello).json()["received"] == {"0": 20}


def test_a_gap_is_409_with_the_last_sequence_held(edge: TestClient) -> None:
    assert edge.post(PLACE, content=upload(every_second(5))).status_code == 200
    answer = edge.post(PLACE, content=upload(every_second(5), first=7))
    assert answer.status_code == 409
    assert answer.json()["code"] == "gap"
    assert answer.json()["detail"] == {"received": 5}


@pytest.mark.parametrize(
    "body", [b"", b"noise", upload([{"sequence": 2}, {"sequence": 4}]), ipc(record_batch([{}]), compression="zstd")]
)
def test_a_malformed_body_is_400_with_a_reason(edge: TestClient, body: bytes) -> None:
    answer = edge.post(PLACE, content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert answer.json()["message"]
    # And the next good one is taken by the same process.
    assert edge.post(PLACE, content=upload(every_second(1))).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["", "dataset=enum&journal_id=7", "dataset=x&journal_id=7&stream=0", "dataset=enum&journal_id=-1&stream=0",
     "dataset=enum&journal_id=9223372036854775808&stream=0", "dataset=enum&journal_id=7&stream=32768"],
)  # fmt: skip
def test_a_bad_query_is_400(edge: TestClient, query: str) -> None:
    assert edge.post(f"/api/v1/edge/events?{query}", content=upload(every_second(1))).status_code == 400


def test_nobody_else_may_upload(edge: TestClient) -> None:
    for credential in ("Bearer wrong", "Basic Zm9v", ""):
        answer = edge.post(PLACE, content=upload(every_second(1)), headers={"Authorization": credential})
        assert answer.status_code == 401


def test_a_database_that_is_away_is_503(edge: TestClient, database: Database) -> None:
    database.close()
    assert edge.post(PLACE, content=upload(every_second(1))).status_code == 503
