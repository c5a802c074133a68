"""One alert for an episode, whatever comes again; what people do about it is kept."""

from __future__ import annotations

import pytest
from tests.detection.alerts.samples import fire, firing, second

from ringfence.accounts.audit import AuditFilter, find_entries
from ringfence.database.connection import Database
from ringfence.detection.alerts import reading, store
from ringfence.detection.alerts.alert import Contained, HeldBack
from ringfence.detection.alerts.reading import AlertFilter
from ringfence.detection.firing import Mode, Severity
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError


def test_an_episode_is_one_alert(database: Database) -> None:
    first = fire(database, firing(10, value=101.0))
    again = fire(database, firing(40, value=250.0), now=41)
    third = fire(database, firing(70, value=120.0, severity=Severity.WARNING), now=71)
    assert first.alert_id == again.alert_id == third.alert_id
    assert (third.count, third.value, third.peak, third.severity) == (3, 120.0, 250.0, Severity.CRITICAL)
    assert (third.started_at, third.first_at, third.last_at) == (second(0), second(10), second(70))
    # Another key, and another detection, are others.
    assert fire(database, firing(10, key={"destination": "+12105550101"})).alert_id != first.alert_id
    assert fire(database, firing(10, detection="other")).alert_id != first.alert_id
    # What is quiet for longer than an episode may be is over; what comes then is new, and the old one stays to be seen.
    later = fire(database, firing(2000), now=71 + store.QUIET_S + 1)
    assert later.alert_id != first.alert_id
    with database.connection() as connection:
        assert reading.read_alert(connection, first.alert_id).state == "open"


def test_a_firing_that_comes_again_changes_nothing(database: Database) -> None:
    first = fire(database, firing(10))
    second_one = fire(database, firing(40), now=41)
    replayed = fire(database, firing(10), now=60)
    assert replayed == second_one
    assert replayed.alert_id == first.alert_id
    with database.connection() as connection:
        store.close(connection, first.alert_id, "ada", second(61))
    # Replayed after it was closed, or long after: still the same, closed alert.
    assert fire(database, firing(40), now=62).state == "closed"
    assert fire(database, firing(40), now=99_999).alert_id == first.alert_id
    # So is one that comes late, with a call between those that were recorded.
    assert fire(database, firing(25), now=63) == fire(database, firing(40), now=64)
    # A new one after closing is another alert: the attack goes on.
    later = fire(database, firing(70), now=71)
    assert later.alert_id != first.alert_id
    assert fire(database, firing(40), now=72).alert_id == first.alert_id
    assert fire(database, firing(70), now=72) == later


def test_it_keeps_what_was_contained_and_what_was_not(database: Database) -> None:
    one = Contained("under-attack", "+12105550100", second(600))
    fire(database, firing(mode=Mode.CONTAIN), contained=[one], held_back=[HeldBack("+911", "protected")])
    longer = Contained("under-attack", "+12105550100", second(1200))
    alert = fire(database, firing(40, mode=Mode.CONTAIN), now=41, contained=[longer])
    assert alert.contained == (longer,)
    assert alert.held_back == (HeldBack("+911", "protected"),)
    with database.connection() as connection:
        said = [entry.words for entry in reading.timeline(connection, alert.alert_id)]
    assert said[1] == ("Contained: +12105550100 on list under-attack, until 2026-11-20 12:10 UTC at the latest. "
                       "Not contained: +911 (protected).")  # fmt: skip


def test_what_comes_again_with_every_firing_fills_no_timeline(database: Database) -> None:
    held, entry = [HeldBack("+911", "protected")], [Contained("under-attack", "+12105550100", second(600))]
    for at in range(10, 20):
        alert = fire(database, firing(at), now=at, contained=entry, held_back=held)
    # Recorded already, with an entry that is new: kept all the same, once.
    more = [*entry, *(Contained("under-attack", f"+1210555{one:04}", second(600)) for one in range(store.MAX_LISTED))]
    for _ in range(2):
        alert = fire(database, firing(15), now=30, contained=more)
    assert (alert.count, len(alert.contained), alert.held_back) == (10, store.MAX_LISTED, tuple(held))
    with database.connection() as connection:
        said = [entry.kind for entry in reading.timeline(connection, alert.alert_id)]
    assert said == ["opened", "contained", "contained"]


def test_below_a_threshold_the_worst_is_the_lowest(database: Database) -> None:
    fire(database, firing(10, value=3.0, threshold=5.0))
    fire(database, firing(20, value=1.0, threshold=5.0), now=21)
    assert fire(database, firing(30, value=2.0, threshold=5.0), now=31).peak == 1.0


def test_people_acknowledge_comment_and_close(database: Database) -> None:
    alert = fire(database)
    with database.connection() as connection:
        store.acknowledge(connection, alert.alert_id, "ada", second(20))
        store.acknowledge(connection, alert.alert_id, "eve", second(21))  # it stays ada's
        store.comment(connection, alert.alert_id, "eve", "Carrier called; <b>ticket 7</b>", second(22))
        store.close(connection, alert.alert_id, "ada", second(23), "Carrier filters it")
        with pytest.raises(ConflictError, match="closed already"):
            store.close(connection, alert.alert_id, "ada", second(24))
        with pytest.raises(ConflictError, match="closed already"):
            store.acknowledge(connection, alert.alert_id, "ada", second(24))
        with pytest.raises(NotFoundError, match="alert 99"):
            store.comment(connection, 99, "ada", "x", second(24))
        with pytest.raises(InvalidInputError, match="text: must have 1 to"):
            store.comment(connection, alert.alert_id, "ada", "  ", second(24))
        happened = [(one.kind, one.actor, one.words) for one in reading.timeline(connection, alert.alert_id)]
        audited = [(one.actor, one.action) for one in find_entries(connection, AuditFilter(action="alert"))]
        closed = reading.read_alert(connection, alert.alert_id)
    assert happened == [
        ("opened", "ringfence", "101 for destination +12105550100, threshold 100"),
        ("acknowledged", "ada", ""),
        ("comment", "eve", "Carrier called; <b>ticket 7</b>"),
        ("closed", "ada", "Carrier filters it"),
    ]
    assert audited == [("ada", "alert.close"), ("eve", "alert.comment"), ("ada", "alert.acknowledge")]
    assert (closed.state, closed.closed_at) == ("closed", second(23))


def test_alerts_are_found_and_followed(database: Database) -> None:
    flood = fire(database)
    probing = fire(database, firing(detection="probing", key={"source": "+4420 79460000"}, severity=Severity.INFO))
    with database.connection() as connection:
        store.close(connection, flood.alert_id, "ada", second(20))

        def found(**wanted: object) -> list[int]:
            return [one.alert_id for one in reading.find_alerts(connection, AlertFilter(**wanted))]  # type: ignore[arg-type]

        assert found() == [probing.alert_id, flood.alert_id]
        assert found(state="unclosed") == found(detection="probing") == found(text="+4420 7") == [probing.alert_id]
        assert found(text="%") == []
        assert found(severity=Severity.WARNING) == found(state="closed") == found(before=probing.alert_id)
        assert found(since=second(12)) == []
        assert reading.unclosed_by_severity(connection)[Severity.INFO] == 1
        # In the order of changes: the one that was closed last comes last.
        changed = reading.alerts_since(connection, 0)
        assert [one.alert_id for one in changed] == [probing.alert_id, flood.alert_id]
        assert reading.alerts_since(connection, changed[-1].change) == []
        assert reading.newest_change(connection) == changed[-1].change
        assert store.purge(connection, second(20) + store.KEPT) == 0
        assert store.purge(connection, second(21) + store.KEPT) == 1
        assert found() == [probing.alert_id]
