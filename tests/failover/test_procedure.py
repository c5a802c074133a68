"""Which steps a failover has, which interrupted one is gone on with, which term is taken: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringfence.availability.cluster import Cluster
from ringfence.availability.failover import outcome
from ringfence.availability.failover.procedure import begin, ended, following_of, term_to_take, to_go_on_with
from ringfence.availability.failover.record import Record, keep_record, read_record
from ringfence.availability.failover.run import give_up
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.standby import Mode, Standby
from ringfence.availability.term import Term
from ringfence.errors import ConflictError
from ringfence.settings import Settings

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
SECRET = b"s" * 32
CLUSTER = "ab" * 16


def term(epoch: int, holder: int = 1, secret: bytes = SECRET) -> Term:
    return Term.sealed(CLUSTER, epoch, f"{holder:016x}", secret)


def standby(mode: Mode = "streaming") -> Standby:
    return Standby(mode, "https://active.example", token="rft_secret", ssh=("ssh", "-p", "22"))


FOLLOWED = standby()


def done_to(record: Record, name: str) -> Record:
    """With every step before `name` done and that one under way."""
    for step in record.steps:
        record = record.with_step(replace(step, state="running" if step.name == name else "done"))
        if step.name == name:
            return record
    raise KeyError(name)


def test_a_standby_that_streams_follows_until_it_has_the_last_word() -> None:
    names = [step.name for step in begin("failover", standby(), None, NOW).steps]
    assert names.index("fence") < names.index("catch_up") < names.index("stop_old") < names.index("stop_here")
    assert names.index("stop_here") < names.index("take_over")


def test_a_standby_of_backups_fences_and_stops_the_old_pair_before_it_takes_over() -> None:
    names = [step.name for step in begin("failover", standby("backup"), None, NOW).steps]
    assert names.index("stop_here") < names.index("fence") < names.index("stop_old") < names.index("take_over")


def goes_on(
    before: Record | None, kind: str = "failover", backup: str | None = None, following: Standby | None = FOLLOWED
) -> Record | None:
    return to_go_on_with(before, kind, backup, following, NOW + timedelta(minutes=10))


def test_nothing_is_gone_on_with_that_has_ended_or_only_looked() -> None:
    record = begin("failover", standby(), None, NOW)
    assert goes_on(None) is None
    assert goes_on(record) is None
    assert goes_on(done_to(record, "check")) is None
    assert goes_on(ended(done_to(record, "report"), NOW), following=None) is None


def test_an_interrupted_one_is_gone_on_with_while_what_it_found_out_holds() -> None:
    record = done_to(begin("failover", standby(), None, NOW), "catch_up")
    assert goes_on(record) == record
    assert to_go_on_with(record, "failover", None, FOLLOWED, NOW + timedelta(hours=2)) is None


def test_one_that_has_taken_over_is_gone_on_with_however_late() -> None:
    record = done_to(begin("failover", standby(), None, NOW), "start")
    assert to_go_on_with(record, "failover", None, None, NOW + timedelta(days=2)) == record


def test_one_of_a_standby_that_this_node_once_was_is_none_of_now() -> None:
    """It lost against another pair at the end, or was left; then `ringfence standby init` made a new one of it."""
    record = begin("failover", standby(), None, NOW)
    assert goes_on(done_to(record, "verify")) is None
    assert goes_on(done_to(record, "take_over"), following=replace(FOLLOWED, active="other.example")) is None
    assert goes_on(done_to(record, "catch_up"), following=None) is None


def test_before_the_database_is_taken_over_one_may_think_otherwise() -> None:
    record = done_to(begin("failback", standby(), None, NOW), "catch_up").with_facts(term="told")
    assert goes_on(record, "failover") is None
    assert goes_on(record, "failback", "20260301T0430") is None
    assert begin("failover", standby(), None, NOW, record).facts["term"] == "told"


@pytest.mark.parametrize(("kind", "backup"), [("failback", None), ("failover", "20260228")])
def test_afterwards_only_the_same_may_go_on(kind: str, backup: str | None) -> None:
    record = done_to(begin("failover", standby(), "20260301", NOW), "take_over")
    assert goes_on(record) == record
    with pytest.raises(ConflictError, match=r"of backup 20260301 .* `ringfence failover` goes on with it"):
        goes_on(record, kind, backup)


def test_a_standby_that_follows_again_has_given_up_and_remembers_the_term_that_it_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("node"))
    record = begin("failover", standby(), None, NOW).with_facts(term=str(term(2)))
    keep_record(settings, done_to(record, "catch_up"))
    give_up(settings, FOLLOWED)
    kept = read_record(settings)
    assert kept is not None
    assert not kept.is_under_way
    assert not kept.is_done
    remembered = NodeTerm(settings.data).highest_of(Cluster(term(1), SECRET))
    assert term_to_take(Cluster(term(1), SECRET), None, remembered).epoch == 3


def test_a_standby_that_has_taken_over_does_not_follow_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("node"))
    keep_record(settings, done_to(begin("failover", standby(), None, NOW), "take_over"))
    with pytest.raises(ConflictError, match="`ringfence failover` goes on with it"):
        give_up(settings, FOLLOWED)


def test_a_record_outlives_the_command_and_shows_no_secret(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("node"))
    record = begin("failover", standby(), None, NOW).with_facts(term=str(term(2)))
    keep_record(settings, record)
    assert read_record(settings) == record
    assert following_of(record) == standby()
    assert (settings.data / "failover.json").stat().st_mode & 0o077 == 0
    assert "rft_secret" not in str(record.as_json())
    assert following_of(ended(record, NOW)).token is None


def test_a_damaged_record_is_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("node"))
    (settings.data / "failover.json").write_text('{"format": 1, "steps": 3}', encoding="utf-8")
    assert read_record(settings) is None


def test_the_term_that_was_told_is_taken_while_it_is_the_highest() -> None:
    found = Cluster(term(1), SECRET)
    assert term_to_take(found, str(term(2)), None) == term(2)
    assert term_to_take(found, str(term(2)), term(2)) == term(2), "remembered"
    assert term_to_take(replace(found, fenced_by=term(2)), str(term(2)), None) == term(2), "streamed back"
    assert term_to_take(Cluster(term(2), SECRET), str(term(2)), None) == term(2), "taken before the interruption"


@pytest.mark.parametrize(
    ("fenced_by", "told", "remembered", "epoch"),
    [
        (None, None, None, 2),
        (term(4), str(term(2)), None, 5),
        (None, str(term(2)), term(7), 8),
        (None, str(term(6)), term(7), 8),
        (None, str(term(9, secret=b"forged")), None, 2),
        (None, "nonsense", term(3, secret=b"forged"), 2),
    ],
)
def test_else_one_above_all_that_is_known_and_proven(
    fenced_by: Term | None, told: str | None, remembered: Term | None, epoch: int
) -> None:
    taken = term_to_take(Cluster(term(1), SECRET, fenced_by), told, remembered)
    assert taken.epoch == epoch
    assert taken.is_proven(SECRET)


def test_what_is_lost_is_named() -> None:
    facts = {"events": {"received": 1200, "lost": 0}, "backup_made_at": NOW.isoformat(), "devices": {"enum-1": False}}
    assert outcome.in_words("backup", facts) == (
        "1,200 events received since, 0 events lost; what enum-1 recorded comes when they do; "
        "configuration changed after 2026-03-01 04:30:00 UTC is lost; the old pair's audit trail names it"
    )
    changes = [{"action": "site.add", "subject": f"s{number}"} for number in range(21)]
    assert outcome.in_words("backup", facts | {"lost_changes": changes}).endswith("site.add s19 and 1 more")
    known = facts | {"lost_changes": changes[:1], "changes_known_at": "2026-03-01T04:39:58+00:00"}
    assert outcome.in_words("backup", known).endswith(
        "lost are 1 changes, as known at 2026-03-01 04:39:58 UTC: site.add s0"
    )
    assert outcome.in_words("backup", known | {"lost_changes": []}).endswith(
        "no configuration is lost, as known at 2026-03-01 04:39:58 UTC"
    )
    assert outcome.in_words("streaming", facts).endswith("at most its last moments")
    assert outcome.in_words("streaming", facts | {"is_complete": True}).endswith("no configuration is lost")


def test_a_device_is_here_with_what_it_had_when_it_came_however_many_calls_go_on() -> None:
    awaited = outcome.Awaited({"enum-1": "10:00", "enum-2": None})
    idle = ("enum-2", "10:31", 0, 0)
    found = awaited.look([("enum-1", "10:00", 100, 100), idle])
    assert found == [outcome.Arrival("enum-1", False, 0), outcome.Arrival("enum-2", True, 0)]
    assert not awaited.are_here(found)
    for seen, received, durable, waiting in (
        ("10:30", 100, 100, 0),  # it greets: what is known of its journal is old
        ("10:32", 100, 900, 800),
        ("10:34", 850, 1400, 50),
    ):
        found = awaited.look([("enum-1", seen, received, durable), ("enum-2", "10:33", 0, 0)])
        assert found[0] == outcome.Arrival("enum-1", True, waiting)
        assert not awaited.are_here(found)
    assert awaited.are_here(awaited.look([("enum-1", "10:36", 900, 1900), ("enum-2", "10:35", 0, 0)]))


def test_devices_that_have_not_come_are_named_and_what_is_on_its_way_is_counted() -> None:
    found = [outcome.Arrival("enum-1", True, 1500), outcome.Arrival("enum-2", False, 0)]
    assert outcome.arrivals_in_words(found) == (
        "1 of 2 have come; not yet: enum-2; events still on their way: 1,500 of enum-1"
    )
