"""`ringfence mediation` as a process: starts, refuses, stops, and outlives its database's absence."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
from tests.cli.conftest import run_ringfence
from tests.environment import environment
from tests.mediation_server import wait_until
from tests.suite_server import SuiteServer
from tests.warm import SERVERS, WarmProcess

from ringfence.database.connection import Database
from ringfence.mediation.local_files import mediation_file, token_file


@contextmanager
def running(database_url: str, data: Path, *flags: str) -> Iterator[tuple[WarmProcess, httpx.Client]]:
    variables = environment(RINGFENCE_DATABASE_URL=database_url, RINGFENCE_DATA=str(data))
    process = SERVERS.start(["mediation", "--port", "0", *flags], variables)
    try:
        wait_until(lambda: mediation_file(data).exists() or process.poll() is not None, 60)
        assert process.poll() is None, process.said()
        place = json.loads(mediation_file(data).read_text(encoding="utf-8"))
        token = Path(place["token_file"]).read_text(encoding="utf-8")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=place["url"], headers=headers, timeout=20, trust_env=False) as client:
            yield process, client
    finally:
        process.kill()
        process.wait(10)


def test_without_a_database_it_refuses_to_start_in_one_line(tmp_path: Path) -> None:
    """R11."""
    done = run_ringfence(
        "mediation",
        RINGFENCE_DATA=str(tmp_path),
        RINGFENCE_DATABASE_URL="postgresql://nobody:s3cret@127.0.0.1:1/none",
        RINGFENCE_DATABASE_CONNECT_TIMEOUT_S="0.5",
    )
    assert done.returncode == 6
    assert re.fullmatch(r"ringfence: database [^\n]+\n", done.stderr)
    assert "s3cret" not in done.stderr
    assert not mediation_file(tmp_path).exists()


def test_a_taken_port_is_named_in_one_line(database: Database, tmp_path: Path) -> None:
    with running(database.url, tmp_path / "first") as (_, client):
        port = str(client.base_url.port)
        done = run_ringfence("mediation", "--port", port, "--data", str(tmp_path), RINGFENCE_DATABASE_URL=database.url)
    message = f"ringfence: api.port: 127.0.0.1:{port} cannot be listened on: Address already in use\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_the_first_start_prints_the_one_time_password_and_a_stop_leaves_nothing(
    empty_database: Database, tmp_path: Path
) -> None:
    socket = tmp_path / "api.sock"
    with running(empty_database.url, tmp_path, "--socket", str(socket)) as (process, client):
        assert client.get("/healthz").json()["status"] == "ok"
        credential = client.post("/api/v1/devices", json={"name": "enum-1"}).json()["credential"]
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=20) as device:
            headers = {"Authorization": f"Bearer {credential}"}
            assert device.get("http://mediation/api/v1/edge/policy", headers=headers).status_code == 204
        since = monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert monotonic() - since < 5
        said = process.said()
    assert re.search(r"^First administrator: admin, one-time password \S{23}$", said, re.MULTILINE)
    assert "Traceback" not in said
    assert not mediation_file(tmp_path).exists()
    assert not token_file(tmp_path).exists()


def test_the_local_token_is_new_at_every_start_and_the_old_one_is_dead(database: Database, tmp_path: Path) -> None:
    with running(database.url, tmp_path) as (process, client):
        old = client.headers["Authorization"]
        process.kill()
        process.wait(10)
    mediation_file(tmp_path).unlink()
    with running(database.url, tmp_path) as (_, client):
        assert client.headers["Authorization"] != old
        assert client.get("/api/v1/session").json()["role"] == "administrator"
        assert client.get("/api/v1/session", headers={"Authorization": old}).status_code == 401


def test_it_answers_503_while_the_database_is_away_and_recovers_by_itself(
    postgres_server: SuiteServer, database: Database, tmp_path: Path
) -> None:
    with running(database.url, tmp_path) as (process, client):
        credential = client.post("/api/v1/devices", json={"name": "enum-1"}).json()["credential"]
        postgres_server.set_reachable(database, False)
        away = client.get("/api/v1/devices")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert client.get("/healthz").status_code == 503
        postgres_server.set_reachable(database, True)
        wait_until(lambda: client.get("/healthz").status_code == 200, 20)
        client.post("/api/v1/policy", content=b"rules: []")
        device = {"Authorization": f"Bearer {credential}"}
        policy = wait_until(
            lambda: (r := client.get("/api/v1/edge/policy?wait_s=5", headers=device)).status_code == 200 and r, 20
        )
        assert policy.headers["X-Policy-Version"] == "1"
        assert process.poll() is None


def test_it_does_not_listen_beyond_loopback_before_an_administrator_exists(database: Database, tmp_path: Path) -> None:
    done = run_ringfence("mediation", "--host", "0.0.0.0", "--data", str(tmp_path), "--database", database.url)
    assert done.returncode == 2
    assert done.stderr.startswith("ringfence: api.host: ")
