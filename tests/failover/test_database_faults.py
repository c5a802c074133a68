"""The active pair's database slow, then away: said, refused, and recovered by itself; edges decide and keep (R4)."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import psycopg
from tests.failover.conftest import Pairs
from tests.failover.test_rehome import edge_of, sequences
from tests.mediation_server import RunningMediation, wait_until
from tests.suite_server import SuiteServer


def test_a_database_that_is_slow_or_away_holds_no_call_and_is_used_again_by_itself(
    pairs: Pairs, old_mediation: RunningMediation, postgres_server: SuiteServer, tmp_path: Path
) -> None:
    administrator = old_mediation.client()
    with edge_of(pairs, tmp_path / "edge", old_mediation.url) as edge:
        edge.ask(2)
        wait_until(lambda: sequences(pairs.old) == [1, 2], 30)
        with psycopg.connect(pairs.old.url, options="-c search_path=ringfence") as locking:
            locking.execute("LOCK TABLE device_stream, device IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            edge.ask(10)
            assert time.monotonic() - began < 5
        wait_until(lambda: sequences(pairs.old) == list(range(1, 13)), 60)

        postgres_server.set_reachable(pairs.old, False)
        try:
            for answer in (
                httpx.get(f"{old_mediation.url}/healthz", trust_env=False, timeout=20),
                administrator.post("sites", json={"name": "x", "country": "US"}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert "database" in answer.json()["message"]
            edge.ask(5)
        finally:
            postgres_server.set_reachable(pairs.old, True)
        wait_until(lambda: sequences(pairs.old) == list(range(1, 18)), 60)
        wait_until(lambda: httpx.get(f"{old_mediation.url}/healthz", trust_env=False, timeout=20).is_success, 30)
        assert edge.metric("ringfence_enum_journal_lost_total") == 0
