"""What an alert keeps of the calls around it, after the calls themselves are gone."""

from __future__ import annotations

import pytest
from tests.analytics.conftest import AddCalls
from tests.detection.alerts.samples import NOON, TARGET, fire, firing, second
from tests.ingest.samples import every_second

from ringfence.database.connection import Database
from ringfence.detection.alerts import evidence, reading, store
from ringfence.detection.firing import Severity
from ringfence.errors import NotFoundError

ATTACKED = int(TARGET[1:])


@pytest.fixture
def attacked(database: Database, add_calls: AddCalls) -> Database:
    """A call a second to the target from noon on for 60 s from two sources, three before, and other people's calls."""
    before = every_second(3, second(-60), destination=ATTACKED, source=13125550100)
    flood = every_second(60, NOON, destination=ATTACKED)
    add_calls([*before, *flood[::2], *every_second(20, NOON, destination=19005550111)])
    add_calls([one | {"source": 13125550199} for one in flood[1::2]], stream=1)
    return database


def test_it_has_calls_before_and_during_numbers_times_and_a_series(attacked: Database) -> None:
    alert = fire(attacked, firing(10), now=12)
    with attacked.connection() as connection, pytest.raises(NotFoundError, match="not collected yet"):
        evidence.read_evidence(connection, alert.alert_id)
    assert evidence.collect_due(attacked, second(12)) == 1
    with attacked.connection() as connection:
        first = evidence.read_evidence(connection, alert.alert_id)
        assert reading.read_alert(connection, alert.alert_id).has_evidence
        assert not evidence.is_due(connection, second(41))
    assert [len(first["calls"][part]) for part in ("before", "rising", "during")] == [3, 11, 1]
    assert {call["destination"] for _, call in evidence.call_rows(first)} == {TARGET}
    assert first["asked"] == {"destination": TARGET}
    # It goes on: collected again in growing steps, and last when its episode is over.
    fire(attacked, firing(50), now=51)
    assert [evidence.collect_due(attacked, second(at)) for at in (42, 71, 72, 131, 132)] == [1, 0, 1, 0, 1]
    over = 51 + store.QUIET_S + 2
    assert evidence.collect_due(attacked, second(over)) == 1
    with attacked.connection() as connection:
        last = evidence.read_evidence(connection, alert.alert_id)
        assert not evidence.is_due(connection, second(over + 99_999))
    assert last["stopped_at"] == second(59).isoformat(timespec="microseconds")
    assert last["alert"]["count"] == 2
    assert last["series"]["grouping"] == "minute"
    counted = dict(zip(last["series"]["columns"], last["series"]["rows"][2], strict=True))
    assert (counted["time"], counted["calls"]) == (NOON.isoformat(), 60)
    assert [one["source"] for one in last["sources"]] == ["+12105550123", "+13125550199"]
    assert last["traffic"]["calls"]["calls"] == 60
    assert last["traffic"]["peak_cps"]["peak"] == 1


def test_it_outlives_the_calls(attacked: Database) -> None:
    alert = fire(attacked, firing(10), now=12)
    evidence.collect_due(attacked, second(12))
    with attacked.connection() as connection:
        connection.execute("DELETE FROM enum_event")
        kept = evidence.read_evidence(connection, alert.alert_id)
    assert len(list(evidence.call_rows(kept))) == 15


def test_keys_are_asked_as_the_call_log_knows_them(attacked: Database) -> None:
    beginning = fire(attacked, firing(key={"source_prefix": "+1312"}), calls={"direction": "outbound"})
    assert evidence.asked_calls(beginning) == {"direction": "outbound", "source": "+1312*"}
    everything = fire(attacked, firing(key={}, detection="storm", severity=Severity.INFO))
    unknown = fire(attacked, firing(key={"site": "nowhere"}))
    evidence.collect_due(attacked, second(12))
    with attacked.connection() as connection:
        of_all = evidence.read_evidence(connection, everything.alert_id)
        assert len(of_all["calls"]["rising"]) == 22
        assert len(evidence.read_evidence(connection, beginning.alert_id)["calls"]["before"]) == 3
        # What cannot be answered is said, and asked no more than any other.
        assert "nowhere" in evidence.read_evidence(connection, unknown.alert_id)["fault"]
