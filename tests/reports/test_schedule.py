"""When reports are due, over changes of the clock too, and what is done about their runs: a pure table of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import InvalidInputError
from ringfence.reports.schedule import (
    CLAIMED_FOR,
    EVERY,
    MAX_ATTEMPTS,
    RETRY_AFTER,
    SENDING_FOR,
    Every,
    GiveUp,
    Period,
    Planned,
    Run,
    Schedule,
    Send,
    State,
    decide,
)

BERLIN = "Europe/Berlin"
SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "due_at", "name"),
    [
        (Schedule("day", 1, 8, "UTC"), "2026-11-28T08:00", "2026-11-28"),
        (Schedule("day", 1, 8, "America/Chicago"), "2026-11-28T14:00", "2026-11-28"),
        (Schedule("day", 1, 0, "Asia/Kolkata"), "2026-11-27T18:30", "2026-11-28"),
        # Clocks go forward: 02:00 does not exist on 29 March; the clock passes it at 01:00 UTC.
        (Schedule("day", 1, 2, BERLIN), "2026-03-28T01:00", "2026-03-28"),
        (Schedule("day", 1, 2, BERLIN), "2026-03-29T01:00", "2026-03-29"),
        (Schedule("day", 1, 2, BERLIN), "2026-03-30T00:00", "2026-03-30"),
        # Clocks go back: 02:00 comes twice on 25 October; the first one counts.
        (Schedule("day", 1, 2, BERLIN), "2026-10-25T00:00", "2026-10-25"),
        (Schedule("day", 1, 2, BERLIN), "2026-10-26T01:00", "2026-10-26"),
        # The week's 08:00 stays at 08:00 across the change.
        (Schedule("week", 1, 8, BERLIN), "2026-03-23T07:00", "2026-W13"),
        (Schedule("week", 1, 8, BERLIN), "2026-03-30T06:00", "2026-W14"),
        (Schedule("week", 5, 8, "UTC"), "2027-01-01T08:00", "2026-W53"),
        (Schedule("month", 1, 6, "UTC"), "2026-11-01T06:00", "2026-11"),
        (Schedule("month", 31, 6, "UTC"), "2026-11-30T06:00", "2026-11"),
        (Schedule("month", 31, 6, "UTC"), "2028-02-29T06:00", "2028-02"),
        # A day that a zone left out altogether is due when it would have come.
        (Schedule("day", 1, 8, "Pacific/Apia"), "2011-12-29T18:00", "2011-12-29"),
    ],
)
def test_a_period_is_due_at_the_hour_of_its_zone(schedule: Schedule, due_at: str, name: str) -> None:
    schedule.check()
    due = utc(due_at)
    assert schedule.last_due(due) == Period(name, due)
    assert schedule.last_due(due - SECOND).name < name
    assert schedule.next_due(due - SECOND) == due
    assert schedule.next_due(due) > due


SCHEDULES = st.builds(
    lambda every, day, hour, zone: Schedule(every, min(day, {"day": 1, "week": 7, "month": 31}[every]), hour, zone),
    st.sampled_from(EVERY),
    st.integers(1, 31),
    st.integers(0, 23),
    st.sampled_from((BERLIN, "America/Chicago", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC")),
)


@given(SCHEDULES, st.integers(0, 4 * 366 * 24 * 60))
def test_each_local_day_week_or_month_is_due_exactly_once(schedule: Schedule, minutes: int) -> None:
    names: list[str] = []
    at = start = utc("2024-01-01T00:00") + timedelta(minutes=minutes)
    for _ in range(40):
        at = schedule.next_due(at)
        period = schedule.last_due(at)
        assert period.due_at == at
        names.append(period.name)
        local = at.astimezone(ZoneInfo(schedule.zone))
        # At its hour, or where the clock jumped over it, just behind.
        assert 0 <= local.hour - schedule.hour <= 1
    assert len(set(names)) == 40
    longest = {"day": 1, "week": 7, "month": 31}[schedule.every]
    assert at - start <= timedelta(days=41 * longest, hours=2)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule("day", 2, 8, "UTC"), "day"),
        (Schedule("week", 8, 8, "UTC"), "day"),
        (Schedule("month", 0, 8, "UTC"), "day"),
        (Schedule("day", 1, 24, "UTC"), "hour"),
        (Schedule("day", 1, 8, "Mars/Base"), "zone"),
        (Schedule("day", 1, 8, "../etc/passwd"), "zone"),
        (Schedule("year", 1, 8, "UTC"), "every"),  # type: ignore[arg-type]
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_by_field(schedule: Schedule, field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field}: "):
        schedule.check()


DUE = utc("2026-11-28T08:00")
PERIOD = Period("2026-11-28", DUE)


def report(every: Every = "day", set_at: datetime = DUE - timedelta(days=30)) -> Planned:
    return Planned(7, Schedule(every, 1, 8, "UTC"), set_at)


def run(state: State, attempts: int = 1, after: timedelta = timedelta(), **fields: object) -> Run:
    return Run(**({"report_id": 7, "period": PERIOD.name, "due_at": DUE, "state": state, "attempts": attempts,
                   "changed_at": DUE + after} | fields))  # type: ignore[arg-type]  # fmt: skip


def test_what_is_due_is_sent_once_and_what_was_missed_before_is_not() -> None:
    assert decide([report()], [], DUE) == [Send(7, PERIOD, 0)]
    # Three days asleep: one report, the newest.
    assert decide([report()], [], DUE + timedelta(hours=23, minutes=59)) == [Send(7, PERIOD, 0)]
    yesterday = Period("2026-11-27", DUE - timedelta(days=1))
    assert decide([report()], [], DUE - SECOND) == [Send(7, yesterday, 0)]
    # Set after it was due: it begins with the next one.
    assert decide([report(set_at=DUE)], [], DUE + timedelta(hours=5)) == []
    assert decide([report(set_at=DUE)], [], DUE + timedelta(days=1)) == [
        Send(7, Period("2026-11-29", DUE + timedelta(days=1)), 0)
    ]


@pytest.mark.parametrize("state", ["sent", "unsure", "given_up"])
def test_what_has_ended_is_left_alone(state: State) -> None:
    assert decide([report()], [run(state)], DUE + timedelta(hours=20)) == []


@pytest.mark.parametrize(("attempts", "wait"), list(enumerate(RETRY_AFTER, start=1)))
def test_a_failure_is_tried_again_later_and_later(attempts: int, wait: timedelta) -> None:
    failed = run("failed", attempts)
    assert decide([report()], [failed], DUE + wait - SECOND) == []
    assert decide([report()], [failed], DUE + wait) == [Send(7, PERIOD, attempts)]
    # Also when the report was set anew since, say with the right address.
    assert decide([report(set_at=DUE + wait)], [failed], DUE + wait) == [Send(7, PERIOD, attempts)]


def test_a_failure_ends_with_its_last_attempt_or_when_the_next_report_is_due() -> None:
    (end,) = decide([report()], [run("failed", MAX_ATTEMPTS)], DUE + timedelta(hours=9))
    assert isinstance(end, GiveUp)
    assert end.state == "given_up"
    tomorrow = DUE + timedelta(days=1)
    old = run("failed")
    assert decide([report()], [old], tomorrow) == [
        GiveUp(old, "given_up", "the next report is due"),
        Send(7, Period("2026-11-29", tomorrow), 0),
    ]


def test_a_claim_is_taken_over_only_when_it_is_old_and_nothing_has_left() -> None:
    assert decide([report()], [run("claimed")], DUE + CLAIMED_FOR - SECOND) == []
    assert decide([report()], [run("claimed")], DUE + CLAIMED_FOR) == [Send(7, PERIOD, 1)]
    (end,) = decide([report()], [run("claimed", MAX_ATTEMPTS)], DUE + CLAIMED_FOR)
    assert isinstance(end, GiveUp)
    assert end.state == "given_up"
    # The mail server may have it: never sent again, but said so.
    assert decide([report()], [run("sending")], DUE + SENDING_FOR - SECOND) == []
    (end,) = decide([report()], [run("sending")], DUE + SENDING_FOR)
    assert isinstance(end, GiveUp)
    assert end.state == "unsure"


def test_what_a_person_sent_is_not_tried_again_and_is_no_period() -> None:
    by_hand = run("claimed", period="by hand", asked_by="ada")
    steps = decide([report()], [by_hand], DUE + CLAIMED_FOR)
    assert steps == [
        GiveUp(by_hand, "given_up", "the mediation ended before the report was sent"),
        Send(7, PERIOD, 0),
    ]
