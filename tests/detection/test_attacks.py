"""The traffic models: the same for the same seed, in order, labelled, and each with the marks of its kind (R7, E4)."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest

from ringfence.detection.attacks.call import ORDINARY, ModelCall, Pace, Scene
from ringfence.detection.attacks.fraud import CALL_BACK_SHARE
from ringfence.detection.attacks.kinds import KINDS, Kind, kind_of
from ringfence.errors import NotFoundError
from ringfence.numbering.classification import call_type, facts_of
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of
from ringfence.vocabulary import CallResult, CallType, Direction, NumberClass, TrunkSide

SCENE = Scene()
LABELLED_ORDINARY = {"device-silent"}


def calls_of(name: str, seed: int = 1) -> list[ModelCall]:
    return list(kind_of(name).calls(SCENE, seed))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_seeded_ordered_bounded_and_labelled(kind: Kind) -> None:
    calls = list(kind.calls(SCENE, 1, kind.trial))
    assert calls == list(kind.calls(SCENE, 1, kind.trial))
    assert calls != list(kind.calls(SCENE, 2, kind.trial))
    assert all(one.at <= next_.at for one, next_ in pairwise(calls))
    expected = kind.trial.calls_per_second * kind.trial.seconds
    assert 0.4 * expected < len(calls) < 1.5 * expected
    assert {call.label for call in calls} <= {kind.name, ORDINARY}
    assert (kind.name in {call.label for call in calls}) is (kind.name not in LABELLED_ORDINARY)
    assert all(call.answered == (call.result is CallResult.ANSWERED) == (call.duration_s > 0) for call in calls)


def test_a_number_flood_rotates_its_sources_on_one_destination() -> None:
    calls = calls_of("tdos-number")
    assert {call.destination for call in calls} == {SCENE.main_number}
    assert len({call.source for call in calls}) == len(calls)
    held = [call.duration_s for call in calls if call.answered]
    assert max(held) - min(held) <= 10


def test_a_trunk_flood_calls_each_number_a_little_and_a_site_flood_comes_through_all_edges() -> None:
    per_number = Counter(call.destination for call in calls_of("tdos-device"))
    assert max(per_number.values()) < 15
    assert len({call.device for call in calls_of("tdos-site")}) == 2


def test_one_source_reaches_many_numbers_in_order_only_when_it_dials_through_them() -> None:
    for name, adjacent in (("war-dialling", True), ("robocall-dialer", False)):
        calls = calls_of(name)
        assert len({call.source for call in calls}) == 1
        steps = [int(after.destination) - int(before.destination) for before, after in pairwise(calls)]
        assert (set(steps) == {1}) is adjacent


def test_robocalls_are_mostly_shorter_than_a_minute_and_short_calls_than_three_seconds() -> None:
    assert all(call.duration_s < 60 for call in calls_of("robocall-dialer"))
    assert all(0 < call.duration_s < 3 for call in calls_of("short-call-burst"))


def test_one_ring_calls_are_not_answered_and_some_are_called_back() -> None:
    calls = calls_of("wangiri")
    rings = [call for call in calls if call.direction is Direction.INBOUND]
    back = [call for call in calls if call.direction is Direction.OUTBOUND]
    assert not any(call.answered for call in rings)
    assert {call.destination for call in back} <= {call.source for call in rings}
    assert 0.2 * CALL_BACK_SHARE < len(back) / len(rings) < 2 * CALL_BACK_SHARE


def test_fraud_is_international_long_and_comes_from_few_extensions() -> None:
    for name, extensions in (("irsf", 3), ("pbx-off-hours", 1)):
        calls = calls_of(name)
        assert len({call.source for call in calls}) == extensions
        assert not any(call.destination.startswith(SCENE.exchange) for call in calls)
        assert all(call.duration_s >= 1200 for call in calls if call.answered)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_site_that_has_the_scenes_numbers_sees_each_call_go_as_it_says(kind: Kind) -> None:
    normaliser = normaliser_of(Site("main", "US", SCENE.own_ranges))
    for call in islice(kind.calls(SCENE, 1), 200):
        uri = f"sip:{call.source}@192.0.2.10"
        side = TrunkSide.SOURCE if call.is_from_trunk else TrunkSide.DESTINATION
        source, source_class, destination, _, direction = normaliser.call(uri, call.destination, side)
        assert direction == call.direction
        assert destination == int(call.destination)
        is_number = kind.name not in ("anonymous-flood", "invalid-source")
        assert source == (int(call.source) if is_number else 0)
        if not is_number:
            wanted = NumberClass.ANONYMOUS if kind.name == "anonymous-flood" else NumberClass.INVALID
            assert source_class == wanted


def test_spoofed_sources_are_own_numbers_and_neighbours_are_not() -> None:
    own = range(int(SCENE.own(0)), int(SCENE.own(4999)) + 1)
    assert all(int(call.source) in own for call in calls_of("spoofed-own-number"))
    for call in calls_of("neighbour-spoofing"):
        assert call.source.startswith(SCENE.exchange)
        assert int(call.source) not in own


def test_pumped_numbers_are_toll_free_and_fraud_costs_as_abroad() -> None:
    for name, types in (
        ("toll-free-pumping", {CallType.TOLL_FREE}),
        ("irsf", {CallType.INTERNATIONAL, CallType.PREMIUM}),
        ("pbx-off-hours", {CallType.INTERNATIONAL, CallType.PREMIUM}),
    ):
        numbers = {int(call.destination) for call in calls_of(name)}
        assert {call_type(one, NumberClass.NUMBER, facts_of(one), "US") for one in numbers} <= types


def test_answers_stop_in_the_middle_and_a_silent_device_says_nothing_more() -> None:
    kind = kind_of("asr-drop")
    calls = list(kind.calls(SCENE, 1))
    before = [call.answered for call in calls if call.label == ORDINARY]
    after = [call.answered for call in calls if call.label == kind.name]
    assert sum(before) / len(before) > 0.6
    assert sum(after) / len(after) < 0.15
    silent = kind_of("device-silent")
    assert max(call.at for call in silent.calls(SCENE, 1)) < silent.natural.seconds / 2


def test_a_pace_begins_at_once_and_keeps_its_time() -> None:
    first = next(iter(kind_of("tdos-number").calls(SCENE, 3, Pace(0.001, 10))))
    assert first.at == 0.0


def test_an_unknown_kind_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(NotFoundError, match="attack 'phishing': there is none; one of tdos-number, "):
        kind_of("phishing")
