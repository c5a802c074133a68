"""The SBC emulator's choice of ENUM server over time: the makers' documents as examples, and properties of any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.acceptance.sbc.distribution import Distribution, answered, at, begin_call, failed, initial
from ringfence.acceptance.sbc.presets import PRESETS, Preset, preset_named
from ringfence.errors import InvalidInputError

ORACLE, RIBBON = PRESETS["oracle"], PRESETS["ribbon"]


def first_servers(state: Distribution, preset: Preset, calls: int, now: float = 0.0) -> tuple[Distribution, list[int]]:
    """Which server each of so many calls asks first, all of which answer."""
    asked = []
    for _ in range(calls):
        state, order = begin_call(state, preset, now)
        asked.append(order[0])
        state = answered(state, preset, order[0])
    return state, asked


def test_round_robin_asks_one_after_the_other() -> None:
    assert first_servers(initial(3), ORACLE, 6)[1] == [0, 1, 2, 0, 1, 2]


def test_hunt_asks_the_first_as_long_as_it_answers() -> None:
    hunt = PRESETS["oracle-hunt"]
    assert first_servers(initial(3), hunt, 4)[1] == [0, 0, 0, 0]
    assert begin_call(failed(initial(3), hunt, 0, 0.0), hunt, 1.0)[1] == (1, 2)


def test_oracle_rests_a_server_for_thirty_seconds_after_its_first_failure() -> None:
    state = failed(initial(3), ORACLE, 0, 100.0)
    assert at(state, ORACLE, 129.9).servers[0].condition == "resting"
    assert begin_call(state, ORACLE, 129.9)[1] == (1, 2)
    assert at(state, ORACLE, 130.0).servers[0].condition == "in_service"


def test_oracle_takes_a_server_out_for_ten_minutes_after_five_failures_in_a_row() -> None:
    state, now = initial(3), 0.0
    for _ in range(5):
        state = failed(at(state, ORACLE, now), ORACLE, 1, now)
        now += 30.0
    since = now - 30.0
    assert at(state, ORACLE, since + 599.9).servers[1].condition == "out_of_service"
    assert at(state, ORACLE, since + 600.0).servers[1].condition == "in_service"
    # The turn of the one that is out goes to the first that is not.
    assert first_servers(state, ORACLE, 6, since + 1)[1] == [0, 0, 2, 0, 0, 2]


def test_an_answer_in_between_forgets_failures() -> None:
    state, now = initial(2), 0.0
    for _ in range(4):
        state, now = failed(at(state, ORACLE, now), ORACLE, 0, now), now + 30.0
    state = answered(at(state, ORACLE, now), ORACLE, 0)
    assert failed(state, ORACLE, 0, now).servers[0].condition == "resting"


def test_ribbon_blacklists_after_three_failures_and_takes_two_answers_to_trust_again() -> None:
    state = initial(2)
    for _ in range(3):
        state = failed(state, RIBBON, 0, 50.0)
    assert at(state, RIBBON, 229.9).servers[0].condition == "out_of_service"
    state = at(state, RIBBON, 230.0)
    assert state.servers[0].condition == "probation"
    assert failed(state, RIBBON, 0, 230.0).servers[0].condition == "out_of_service"
    once = answered(state, RIBBON, 0)
    assert once.servers[0].condition == "probation"
    assert answered(once, RIBBON, 0).servers[0].condition == "in_service"


def test_all_out_asks_nobody() -> None:
    state = initial(2)
    for server in (0, 1):
        state = failed(state, ORACLE, server, 0.0)
    assert begin_call(state, ORACLE, 1.0)[1] == ()
    assert (PRESETS["oracle"].all_down, PRESETS["oracle-strict"].all_down) == ("proceed", "fail")


presets = st.builds(
    replace,
    st.sampled_from(list(PRESETS.values())),
    failures=st.integers(1, 6),
    rest_s=st.floats(0, 60),
    out_of_service_s=st.floats(1, 600),
)
steps = st.lists(st.tuples(st.floats(0, 120), st.lists(st.booleans(), min_size=4, max_size=4)), max_size=40)


@given(presets, st.integers(1, 4), steps)
def test_each_server_is_asked_at_most_once_a_call_and_never_while_it_is_out(
    preset: Preset, count: int, calls: list[tuple[float, list[bool]]]
) -> None:
    state, now = initial(count), 0.0
    out_until = [0.0] * count
    for passed, works in calls:
        now += passed
        state, order = begin_call(state, preset, now)
        assert len(set(order)) == len(order)
        assert all(now >= out_until[server] for server in order)
        assert bool(order) == any(server.is_asked for server in state.servers)
        for server in order:
            if works[server]:
                state = answered(state, preset, server)
                out_until[server] = 0.0
                break
            state = failed(state, preset, server, now)
            if not state.servers[server].is_asked:
                out_until[server] = state.servers[server].until
    # Whatever happened, in the end all come back.
    assert all(server.is_asked for server in at(state, preset, now + 601).servers)


@given(presets, st.integers(2, 4), st.integers(1, 12))
def test_round_robin_shares_evenly_while_all_answer(preset: Preset, count: int, rounds: int) -> None:
    _, asked = first_servers(initial(count), replace(preset, distribution="round_robin"), rounds * count)
    assert [asked.count(server) for server in range(count)] == [rounds] * count


@given(presets, st.floats(0.01, 60), st.floats(0.01, 10))
def test_the_waits_of_a_question_sum_up_to_its_timeout(preset: Preset, timeout_s: float, retransmit_s: float) -> None:
    waits = replace(preset, timeout_s=timeout_s, retransmit_s=retransmit_s).waits()
    assert sum(waits) == pytest.approx(timeout_s)
    assert all(wait > 0 for wait in waits)


def test_oracle_sends_again_after_doubling_waits() -> None:
    assert ORACLE.waits() == (0.25, 0.5, 1.0, 2.0, 4.0, 3.25)
    assert RIBBON.waits() == (4.0,)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [("cisco", {}, "preset"), ("oracle", {"failures": 0}, "failures"), ("oracle", {"timeout_s": -1.0}, "timeout_s")],
)
def test_a_figure_out_of_range_is_refused_by_name(name: str, changes: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        preset_named(name, **changes)
