"""Crossings of windows applied: episode, containment, alert, progress; all in the caller's transaction, or none.

crossing ─► usual for its key? ─► episode: extended or new ─► containment (caps) ─► entries of dynamic lists
                                                                               └─► on_firing: the alert
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from ringfence.accounts import audit
from ringfence.detection import episodes, store
from ringfence.detection.compiled import WindowsKey, key_words
from ringfence.detection.containment import Candidate, Cap, HeldBack, Listed, Plan, Room, candidates, decide
from ringfence.detection.definition import Contain, Definition
from ringfence.detection.firing import Firing, Mode
from ringfence.detection.sql import usual
from ringfence.detection.standing import Standings
from ringfence.detection.store import Deployment
from ringfence.detection.surroundings import Surroundings
from ringfence.errors import RingfenceError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import dynamic

# Candidates looked at of one crossing, beyond what there is room for: some of them will be own numbers and the like.
_SPARE = 20
_USUAL_FOR = timedelta(hours=1)
_AT_MOST_EVERY = timedelta(seconds=1)
_RECORDED = 100_000
_NUMBERS = 1000
_TOLD = 200  # numbers held back that one firing tells of; all are counted
_PATIENCE = "2s"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTE = 400  # characters of evidence in an entry's note
log = structlog.get_logger()


@dataclass(frozen=True)
class Crossing:
    """As the windows (Rust) tell it; times in microseconds since 1970."""

    detection: int
    key: WindowsKey
    is_new: bool
    started_us: int
    at_us: int
    last_us: int
    value: float
    threshold: float
    calls: int
    numbers: list[int]


@dataclass(frozen=True)
class Outcome:
    """What came of a firing beside its record: for the alert."""

    is_new: bool
    """It begins an episode; else it goes on with one."""
    listed: tuple[Listed, ...]
    held_back: tuple[HeldBack, ...]
    quiet_s: int
    """So long without another firing, and the next one is another attack: the detection's cool-down."""
    calls: Mapping[str, str] = field(default_factory=dict)
    """The calls that it is about beside the key, in the call log's words."""


OnFiring = Callable[[Connection, Firing, datetime, Outcome], object]


@dataclass(frozen=True)
class Raised:
    """A key whose usual value asks for a threshold of its own, until a time."""

    detection: int
    key: WindowsKey
    value: float
    until_us: int


@dataclass
class Applied:
    """What applying came to; the caller tells the windows after it has committed."""

    opened: int = 0
    listed: int = 0
    held_back: int = 0
    raised: list[Raised] = field(default_factory=list)


class Application:
    """Applies the crossings of one set of deployed detections."""

    def __init__(self, deployed: Sequence[Deployment], around: Surroundings, on_firing: OnFiring) -> None:
        self._deployed = deployed
        self._around = around
        self._on_firing = on_firing
        self._waiting: dict[tuple[int, WindowsKey], Crossing] = {}
        # When a key was recorded last, and whether there was anything to list.
        self._recorded: dict[tuple[int, WindowsKey], tuple[datetime, bool]] = {}

    def apply(self, connection: Connection, crossings: Sequence[Crossing], now: datetime) -> Applied:
        """Record them, contain, and tell. Whoever else applies waits until this transaction has ended."""
        applied = Applied()
        for crossing in self._due(crossings, now):
            self._apply(connection, crossing, now, applied)
        return applied

    def has_due(self, now: datetime) -> bool:
        """Whether something waits that can be recorded now."""
        return any(not self._is_recent(place, now) for place in self._waiting)

    def _due(self, crossings: Sequence[Crossing], now: datetime) -> list[Crossing]:
        """What to record now: a flood crosses in every look, and a second's worth is recorded at a time, as one.

        What begins an attack is recorded at once, and what there may be room to list.
        """
        for crossing in crossings:
            place = crossing.detection, crossing.key
            waiting = self._waiting.pop(place, None)
            below = self._deployed[crossing.detection].definition.threshold.below
            self._waiting[place] = crossing if waiting is None else merged(waiting, crossing, is_below=below)
        due = [
            place
            for place, one in self._waiting.items()
            if one.is_new or (one.numbers and self._has_room(place)) or not self._is_recent(place, now)
        ]
        return [self._waiting.pop(place) for place in due]

    def _is_recent(self, place: tuple[int, WindowsKey], now: datetime) -> bool:
        recorded = self._recorded.get(place)
        return recorded is not None and now - recorded[0] < _AT_MOST_EVERY

    def _has_room(self, place: tuple[int, WindowsKey]) -> bool:
        recorded = self._recorded.get(place)
        return recorded is None or recorded[1]

    def _apply(self, connection: Connection, crossing: Crossing, now: datetime, applied: Applied) -> None:
        deployment = self._deployed[crossing.detection]
        definition, last_at = deployment.definition, moment(crossing.last_us)
        firing = self._firing(deployment, crossing)
        known = episodes.find_covering(connection, firing, last_at, definition.cool_down_s)
        if known is None:
            threshold = self._usual_threshold(connection, definition, crossing)
            if threshold is not None and not _passes(definition, crossing.value, threshold):
                until_us = crossing.at_us + _USUAL_FOR // timedelta(microseconds=1)
                applied.raised.append(Raised(crossing.detection, crossing.key, threshold, until_us))
                return
            episode_id = episodes.open_episode(connection, firing, last_at, definition.cool_down_s, now)
            applied.opened += 1
            log.warning("detection.fired", detection=firing.detection, key=firing.key_text, value=firing.value)
        else:
            episode_id = known.episode_id
            below = definition.threshold.below
            episodes.extend_episode(connection, episode_id, firing, last_at, now, is_below=below)
        listed: tuple[Listed, ...] = ()
        held_back: tuple[HeldBack, ...] = ()
        # A restart may tell of an attack again that is over: nothing is listed for it.
        goes_on = now - last_at <= timedelta(seconds=definition.cool_down_s)
        if deployment.mode is Mode.CONTAIN and definition.contain is not None and goes_on:
            listed, held_back = self._contain(connection, definition, definition.contain, firing, episode_id, now)
        if len(self._recorded) > _RECORDED:
            self._recorded.clear()
        self._recorded[crossing.detection, crossing.key] = (now, bool(listed))
        applied.listed += len(listed)
        applied.held_back += len(held_back)
        told = replace(firing, at=last_at) if known is not None else firing
        outcome = Outcome(known is None, listed, held_back, definition.cool_down_s, call_words(definition))
        self._on_firing(connection, told, now, outcome)

    def _firing(self, deployment: Deployment, crossing: Crossing) -> Firing:
        definition = deployment.definition
        key = key_words(definition, crossing.key, self._around)
        numbers = tuple(f"+{number}" for number in crossing.numbers)
        if definition.contain is not None and not numbers:
            numbers = tuple(one.pattern for one in candidates(definition.contain, key, ()))
        return Firing(
            detection=definition.name,
            definition_version=deployment.version,
            dataset=definition.dataset,
            key=key,
            started_at=moment(crossing.started_us),
            at=moment(crossing.at_us),
            value=crossing.value,
            threshold=crossing.threshold,
            window_s=definition.window_s,
            severity=definition.severity,
            mode=deployment.mode,
            numbers=numbers,
        )

    def _usual_threshold(self, connection: Connection, one: Definition, crossing: Crossing) -> float | None:
        """What a key's usual value makes of the threshold; None: the fixed one decides, for nothing is usual yet."""
        if one.threshold.baseline is None:
            return None
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('statement_timeout', %s, true)", (_PATIENCE,))
                found = usual(connection, one, self._around, crossing.key, moment(crossing.at_us))
                connection.execute("SELECT set_config('statement_timeout', '0', true)")
        except psycopg.errors.QueryCanceled:
            # An attack does not wait for statistics.
            log.warning("detection.usual_unknown", detection=one.name)
            return None
        if one.measure.kind == "silence":
            # Silence is worth telling where calls are usual.
            return None if found is not None and found >= one.threshold.at_least else -1.0
        return None if found is None else found * one.threshold.baseline.factor

    def _contain(
        self, connection: Connection, one: Definition, contain: Contain, firing: Firing, episode_id: int, now: datetime
    ) -> tuple[tuple[Listed, ...], tuple[HeldBack, ...]]:
        switch = store.read_all_stop(connection, held=True)
        of_firing, in_minute = episodes.count_listed(connection, episode_id, one.name, now)
        room = Room(switch.is_stopped, of_firing, in_minute)
        wanted = candidates(contain, firing.key, firing.numbers)
        left = max(0, min(contain.max_entries - of_firing, contain.max_per_minute - in_minute))
        looked_at = wanted[: left + _SPARE]
        before = firing.started_at
        standings = Standings(connection, one, self._around, before, now)
        known = {candidate: standings.of(candidate) for candidate in looked_at} if not room.is_stopped else {}
        plan = decide(contain, looked_at, known, room)
        listed, refused = self._list(connection, one, contain, plan, firing, episode_id, now)
        held = [*plan.held_back, *refused, *((candidate, Cap.RATE) for candidate in wanted[len(looked_at) :])]
        counts = Counter(cap for _, cap in held)
        if listed or counts:
            episodes.record_outcome(connection, episode_id, len(listed), counts)
        told = held[:_TOLD]
        return tuple(listed), tuple(HeldBack(candidate.pattern, cap.value) for candidate, cap in told)

    def _list(
        self,
        connection: Connection,
        one: Definition,
        contain: Contain,
        plan: Plan,
        firing: Firing,
        episode_id: int,
        now: datetime,
    ) -> tuple[list[Listed], list[tuple[Candidate, Cap]]]:
        listed: list[Listed] = []
        refused: list[tuple[Candidate, Cap]] = []
        lasts = timedelta(seconds=contain.lasts_s)
        for candidate in (*plan.listings, *self._to_renew(connection, one, plan, contain, now)):
            origin = f"detection:{one.name}"
            note = f"{one.title}: {firing.key_text}, {firing.value:g} (threshold {firing.threshold:g})"[:_NOTE]
            try:
                dynamic.add_entry(
                    connection, self._site, candidate.list, candidate.pattern, origin, now, note=note, lasts=lasts
                )
            except RingfenceError as error:
                log.warning("detection.not_listed", detection=one.name, pattern=candidate.pattern, why=error.message)
                refused.append((candidate, Cap.LIST))
                continue
            episodes.record_listing(connection, episode_id, candidate.list, candidate.pattern, now, now + lasts)
            if candidate in plan.listings:
                listed.append(Listed(candidate.list, candidate.pattern, now + lasts))
                evidence = _evidence(firing) | {"episode": episode_id, "list": candidate.list}
                audit.record(connection, origin, "detection.contain", candidate.pattern, evidence)
        return listed, refused

    def _to_renew(
        self, connection: Connection, one: Definition, plan: Plan, contain: Contain, now: datetime
    ) -> list[Candidate]:
        """Our own entries of which less than half is left; a person's are left as they are."""
        found = []
        for candidate in plan.known:
            entry = dynamic.find_entry(connection, candidate.list, candidate.pattern, now)
            if entry is None or entry.origin != f"detection:{one.name}" or entry.expires_at is None:
                continue
            if entry.expires_at - now < timedelta(seconds=contain.lasts_s) / 2:
                found.append(candidate)
        return found

    @property
    def _site(self) -> Site:
        return self._around.sites[0]


def merged(one: Crossing, later: Crossing, *, is_below: bool) -> Crossing:
    """Two crossings of one key as one, unless the later begins an attack of its own: then that."""
    if later.is_new and not one.is_new:
        return later
    leads = later if (later.value > one.value) != is_below else one
    return replace(
        one,
        started_us=min(one.started_us, later.started_us),
        at_us=min(one.at_us, later.at_us),
        last_us=max(one.last_us, later.last_us),
        value=leads.value,
        calls=leads.calls,
        numbers=[*one.numbers, *later.numbers][:_NUMBERS],
    )


def call_words(definition: Definition) -> dict[str, str]:
    """What of a definition's condition the call log can be narrowed by."""
    directions = definition.condition.direction
    return {"direction": directions[0]} if len(directions) == 1 else {}


def moment(us: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return _EPOCH + timedelta(microseconds=us)


def microseconds(at: datetime) -> int:
    """A time as microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _passes(definition: Definition, value: float, threshold: float) -> bool:
    return value <= threshold if definition.threshold.below else value >= threshold


def _evidence(firing: Firing) -> dict[str, Any]:
    return {
        "detection": firing.detection,
        "version": firing.definition_version,
        "key": dict(firing.key),
        "value": firing.value,
        "threshold": firing.threshold,
        "window_s": firing.window_s,
        "started_at": firing.started_at.isoformat(),
        "at": firing.at.isoformat(),
    }
