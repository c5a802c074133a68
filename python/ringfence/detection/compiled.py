"""Definitions → what the windows (Rust) are told to watch: everything by number. Pure.

The specification is JSON (`crates/windows/src/spec.rs`). Schedules become intervals of time, names of sites become
devices, own numbers a set of patterns; so nothing is looked up by name while calls are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.detection.definition import Definition, Duration, Measure, Party
from ringfence.detection.surroundings import Surroundings
from ringfence.errors import InvalidInputError
from ringfence.numbering.countries import country_id, country_of
from ringfence.policy.rules import Schedule
from ringfence.vocabulary import Action, CallResult, CallType, Direction, NumberClass, TrunkSide

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_MS = (1 << 31) - 1
_SECOND_US = 1_000_000

WindowsKey = tuple[int, int]


def specification(definitions: Sequence[Definition], around: Surroundings, period: tuple[datetime, datetime]) -> str:
    """What the windows watch over a period. InvalidInputError names what a definition refers to and is not there."""
    sets: list[list[str]] = []
    detections = [_detection(one, around, period, sets) for one in definitions]
    places = {
        str(device.device_id): {
            "site": around.site_number(device.site), "country": around.home_country(device),
        }
        for device in around.devices
    }  # fmt: skip
    return json.dumps({"detections": detections, "sets": sets, "places": places}, separators=(",", ":"))


def key_words(definition: Definition, key: WindowsKey, around: Surroundings) -> dict[str, str]:
    """A key as people and alerts know it; numbers in E.164."""
    first, second = key
    match definition.key:
        case "source" | "destination":
            return {definition.key: f"+{first}"}
        case "pair":
            return {"source": f"+{first}", "destination": f"+{second}"}
        case "source_prefix" | "destination_prefix":
            return {definition.key: f"+{first}"}
        case "country":
            return {"country": country_of(first)}
        case "site":
            return {"site": around.sites[first - 1].name if 0 < first <= len(around.sites) else str(first)}
        case "device":
            return {"device": next((one.name for one in around.devices if one.device_id == first), str(first))}
        case _:
            return {"all": "calls"}


def windows_key(definition: Definition, words: Mapping[str, str], around: Surroundings) -> WindowsKey | None:
    """What `key_words` was made of; None when it is no more."""
    match definition.key:
        case "source" | "destination" | "source_prefix" | "destination_prefix":
            return int(words[definition.key].removeprefix("+")), 0
        case "pair":
            return int(words["source"].removeprefix("+")), int(words["destination"].removeprefix("+"))
        case "country":
            return country_id(words["country"]), 0
        case "site":
            number = around.site_number(words["site"])
            return (number, 0) if number else None
        case "device":
            return next(((one.device_id, 0) for one in around.devices if one.name == words["device"]), None)
        case _:
            return 0, 0


def schedule_of(definition: Definition, around: Surroundings) -> Schedule | None:
    """The schedule that a definition follows. InvalidInputError when the installed policy has none of its name."""
    if definition.schedule_name is None:
        return definition.schedule
    found = around.schedules.get(definition.schedule_name)
    if found is None:
        raise InvalidInputError(
            f"schedule_name: the installed policy has no schedule {definition.schedule_name!r}",
            code="invalid.detection",
        )
    return found


def intervals(schedule: Schedule, period: tuple[datetime, datetime], *, outside: bool) -> list[tuple[int, int]]:
    """When a schedule is in force (or, `outside`, is not) within a period: microseconds, ascending, ends excluded."""
    zone, begin, end = ZoneInfo(schedule.zone), period[0], period[1]
    day = begin.astimezone(zone).date() - timedelta(days=1)
    found: list[tuple[int, int]] = []
    while datetime.combine(day, datetime.min.time(), zone) < end:
        if _DAYS[day.weekday()] in schedule.days:
            start = _moment(day, schedule.start, zone)
            stop = _moment(day, schedule.end, zone)
            if schedule.end <= schedule.start:
                stop = _moment(day + timedelta(days=1), schedule.end, zone)
            found.append((max(_us(start), _us(begin)), min(_us(stop), _us(end))))
        day += timedelta(days=1)
    inside = _merged(span for span in found if span[0] < span[1])
    return _complement(inside, _us(begin), _us(end)) if outside else inside


def lists_sources(definition: Definition) -> bool:
    """Whether containment lists callers that are not in the key."""
    return (
        definition.contain is not None
        and definition.contain.sources is not None
        and definition.key not in ("source", "pair")
    )


def _detection(
    one: Definition, around: Surroundings, period: tuple[datetime, datetime], sets: list[list[str]]
) -> dict[str, Any]:
    return {
        "dataset": one.dataset,
        "filter": _filter(one, around, period, sets),
        "key": {one.key: one.prefix_digits} if one.key.endswith("_prefix") else one.key,
        "measure": _measure(one.measure),
        "window_us": one.window_s * _SECOND_US,
        "cool_down_us": one.cool_down_s * _SECOND_US,
        "value": one.threshold.value,
        "below": one.threshold.below,
        "at_least": 1 if one.measure.kind == "silence" else one.threshold.at_least,
        "tells_sources": lists_sources(one),
    }


def _measure(measure: Measure) -> Any:
    match measure.kind:
        case "distinct":
            return {"distinct": measure.of}
        case "adjacent":
            return {"adjacent": [measure.of, measure.gap]}
        case "share":
            return {"share_short": measure.short_ms} if measure.of == "short" else f"share_{measure.of}"
        case _:
            return measure.kind


def _filter(
    one: Definition, around: Surroundings, period: tuple[datetime, datetime], sets: list[list[str]]
) -> dict[str, Any]:
    condition = one.condition
    found: dict[str, Any] = {
        "directions": mask(int(Direction.from_word(word)) for word in condition.direction),
        "call_types": mask(int(CallType.from_word(word)) for word in condition.call_types),
        "outcomes": mask(
            [
                *(int(Action.from_word(word)) for word in condition.actions),
                *(int(CallResult.from_word(word)) for word in condition.results),
            ]
        ),
        "trunk_sides": mask(int(TrunkSide.from_word(word)) for word in condition.trunk_side),
        "source_classes": mask(int(NumberClass.from_word(word)) for word in condition.source.classes),
        "destination_classes": mask(int(NumberClass.from_word(word)) for word in condition.destination.classes),
        "source": _party(condition.source, around, sets),
        "destination": _party(condition.destination, around, sets),
        "foreign": condition.foreign,
        "same_prefix": condition.same_prefix,
    }
    if condition.duration != Duration():
        least, most = condition.duration.min_ms, condition.duration.max_ms
        found["duration_ms"] = [least or 0, _MOST_MS if most is None else most]
    if one.sites:
        for name in one.sites:
            if not around.site_number(name):
                raise InvalidInputError(f"sites: there is no site {name!r}", code="invalid.detection")
        found["devices"] = around.devices_at(one.sites)
    schedule = schedule_of(one, around)
    if schedule is not None:
        found["intervals_us"] = intervals(schedule, period, outside=one.outside_schedule)
    return found


def _party(party: Party, around: Surroundings, sets: list[list[str]]) -> dict[str, list[int]]:
    all_of, none_of = [], []
    if party.patterns:
        all_of.append(_place(sets, sorted(party.patterns)))
    if party.except_:
        none_of.append(_place(sets, sorted(party.except_)))
    if party.own is not None:
        (all_of if party.own else none_of).append(_place(sets, around.own_patterns))
    return {"all_of": all_of, "none_of": none_of}


def _place(sets: list[list[str]], patterns: list[str]) -> int:
    """Where a set stands; equal ones are kept once."""
    if patterns not in sets:
        sets.append(patterns)
    return sets.index(patterns)


def mask(words: Iterable[int]) -> int:
    """Bit N for word N; 0 for none."""
    return sum(1 << word for word in set(words))


def _moment(day: Any, time_of_day: str, zone: ZoneInfo) -> datetime:
    if time_of_day == "24:00":
        return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
    hour, minute = map(int, time_of_day.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _complement(spans: list[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    edges = [begin, *(edge for span in spans for edge in span), end]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def _us(moment: datetime) -> int:
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta // timedelta(microseconds=1)
