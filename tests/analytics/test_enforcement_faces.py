"""Proof of enforcement over HTTP and in the command: the same counts, the same calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.analytics.test_enforcement import leg, query, store
from tests.cli.conftest import Run, ringfence
from tests.mediation_server import RunningMediation

from ringfence.database.partitions import ensure_between
from ringfence.vocabulary import Action, Role

__all__ = ["ringfence"]


@pytest.fixture
def client(mediation: RunningMediation) -> httpx.Client:
    """A viewer of a database with three calls of the last minute: followed, ignored, not asked about."""
    now = datetime.now(UTC)
    begin = now - timedelta(minutes=1)
    with mediation.database.connection() as connection:
        for name, kind in (("enum-1", "enum"), ("probe-1", "probe")):
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT %s, %s, site_id, sha256(convert_to(%s, 'UTF8')) FROM site",
                [name, kind, name],
            )
        for table in ("enum_event", "sip_event"):
            ensure_between(connection, table, begin, now, now)

        def at(seconds: float) -> dict[str, Any]:
            return {"time": begin + timedelta(seconds=seconds)}

        store(connection, "enum_event", [query(0, **at(0.1)), query(0, Action.TERMINATE, **at(20.1))])
        store(connection, "sip_event", [leg(0, 7, **at(0)), leg(0, -8, **at(20)), leg(0, 9, **at(40))])
    return mediation.client(Role.VIEWER)


def get(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    response = client.get("enforcement", params=parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_verdicts_are_counted_and_their_calls_listed(client: httpx.Client) -> None:
    report = get(client)
    assert report["counts"] == {"unasked": 1, "followed": 1, "unproven": 0, "ignored": 1}
    assert (report["total"], report["queries"], report["next"]) == (3, 2, None)
    (ignored,) = get(client, verdict="ignored")["calls"]
    assert (ignored["action"], ignored["result"], ignored["enum_device"]) == ("terminate", "answered", "enum-1")
    assert ignored["correlation"] == "fffffffffffffff8"
    assert get(client, correlation="fffffffffffffff8")["calls"] == [ignored]
    decision = ignored["decisions"][0]
    assert get(client, event=f"{decision['stream']}/{decision['sequence']}")["calls"] == [ignored]
    first = get(client, limit=1)
    assert get(client, limit=1, before=first["next"])["calls"] == [ignored]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"verdict": "good"}, "verdict"),
        ({"event": "1"}, "event"),
        ({"before": "x"}, "before"),
        ({"before_s": 0, "after_s": 0.2}, "after_s"),
        ({"number": "bob"}, "number"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "start"),
    ],
)
def test_a_bad_question_names_its_field(client: httpx.Client, parameters: dict[str, Any], field: str) -> None:
    response = client.get("enforcement", params=parameters)
    assert response.status_code == 400
    assert response.json()["message"].startswith(f"{field}: ")


def test_the_command_says_the_same(client: httpx.Client, ringfence: Run) -> None:
    report = get(client)
    shown = ringfence("enforcement", "--json", "--since", "5m")
    assert json.loads(shown.stdout)["counts"] == report["counts"]
    lines = ringfence("enforcement", "--verdict", "unasked", "--since", "5m").stdout.splitlines()
    assert "1  no ENUM server was asked about" in "".join(lines[1:5])
    assert [line.split()[2] for line in lines if "+12105550123" in line] == ["unasked"]
    refused = ringfence("enforcement", "--verdict", "good")
    assert refused.returncode == 2
    assert "verdict: 'good' is not one of" in refused.stderr
