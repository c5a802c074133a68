"""Distribution over HTTP: long polls wake at once, in every mediation, and survive the database's absence."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import httpx
import psycopg
import pytest
from tests.mediation_server import RunningMediation, wait_until

from ringfence.database.connection import Database
from ringfence.policy import installation
from ringfence.policy.installation import Scope


def apply(mediation: RunningMediation, name: str = "a") -> int:
    text = f'rules: [{{name: {name}, destinations: ["+19005550100"], action: terminate}}]'
    response = mediation.client().post("policy", content=text.encode())
    assert response.status_code == 200, response.text
    return int(response.json()["version"])


def poll(device: httpx.Client, has: httpx.Response | None = None, wait_s: float = 0) -> httpx.Response:
    version = has.headers["X-Policy-Version"] if has else "0"
    hash_ = has.headers["X-Policy-Hash"] if has else ""
    return device.get("edge/policy", params={"version": version, "hash": hash_, "wait_s": wait_s})


def begin_poll(pool: ThreadPoolExecutor, mediation: RunningMediation, device: httpx.Client) -> Future[httpx.Response]:
    """A poll under way; returns when the mediation has it waiting."""
    before = mediation.process.distribution.waiting
    polling = pool.submit(poll, device, None, 20)
    wait_until(lambda: mediation.process.distribution.waiting > before)
    return polling


def test_a_device_gets_the_documents_very_bytes_and_then_nothing_new(mediation: RunningMediation) -> None:
    device = mediation.device()
    assert poll(device).status_code == 204
    apply(mediation)
    got = wait_until(lambda: (r := poll(device)).status_code == 200 and r)
    assert got.headers["X-Policy-Version"] == "1"
    assert got.headers["X-Policy-Hash"] == hashlib.sha256(got.content).hexdigest()
    assert poll(device, got).status_code == 204
    mediation.client().post("policy/uninstall")
    gone = wait_until(lambda: (r := poll(device, got)).status_code == 200 and r)
    assert (gone.headers["X-Policy-Version"], gone.headers["X-Policy-Hash"], gone.content) == ("0", "", b"")
    assert poll(device, gone).status_code == 204


def test_a_waiting_poll_wakes_the_moment_a_version_is_installed(mediation: RunningMediation) -> None:
    device = mediation.device()
    with ThreadPoolExecutor(1) as pool:
        polling = begin_poll(pool, mediation, device)
        apply(mediation)
        since = monotonic()
        assert polling.result(10).headers["X-Policy-Version"] == "1"
        assert monotonic() - since < 1.0


def test_a_poll_in_another_mediation_wakes_too(mediation: RunningMediation, database: Database, tmp_path: Path) -> None:
    with RunningMediation(database, tmp_path / "other") as other, ThreadPoolExecutor(1) as pool:
        polling = begin_poll(pool, other, other.device())
        apply(mediation)
        since = monotonic()
        assert polling.result(10).headers["X-Policy-Version"] == "1"
        assert monotonic() - since < 1.0


def test_a_poll_waits_as_long_as_it_asked(mediation: RunningMediation) -> None:
    since = monotonic()
    assert poll(mediation.device(), wait_s=0.5).status_code == 204
    assert 0.5 <= monotonic() - since < 3.0


@pytest.mark.parametrize("wrong", [{"wait_s": 61}, {"wait_s": -1}, {"version": -1}, {"hash": "zz"}, {"version": 2**31}])
def test_a_poll_out_of_bounds_is_refused(mediation: RunningMediation, wrong: dict[str, str]) -> None:
    assert mediation.device().get("edge/policy", params=wrong).status_code == 400


def test_a_device_that_is_told_otherwise_does_not_follow_the_others(mediation: RunningMediation) -> None:
    follower, special = mediation.device("follower"), mediation.device("special")
    apply(mediation, "a")
    apply(mediation, "b")
    with mediation.database.connection() as connection:
        installation.install(connection, 1, "ana", datetime.now(UTC), Scope(device="special"))
    wait_until(lambda: poll(special).headers.get("X-Policy-Version") == "1")
    wait_until(lambda: poll(follower).headers.get("X-Policy-Version") == "2")


def test_an_install_while_the_listening_connection_was_cut_is_not_missed(
    mediation: RunningMediation, database: Database
) -> None:
    device = mediation.device()
    with ThreadPoolExecutor(1) as pool:
        polling = begin_poll(pool, mediation, device)
        with psycopg.connect(database.url, autocommit=True) as connection:
            cut = connection.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND query ~ '^LISTEN|pg_advisory_lock|^SELECT 1$'
                  AND pid <> pg_backend_pid()
                """
            ).fetchall()
        assert cut
        apply(mediation)
        assert polling.result(10).headers["X-Policy-Version"] == "1"


def test_stopping_sends_waiting_polls_home_and_is_quick(mediation: RunningMediation) -> None:
    devices = [mediation.device(f"enum-{number}") for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        polls = [begin_poll(pool, mediation, device) for device in devices]
        since = monotonic()
        mediation.stop()
        assert monotonic() - since < 2.5
        assert [polling.result(5).status_code for polling in polls] == [204] * 5
