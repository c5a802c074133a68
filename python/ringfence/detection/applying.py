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
        self._recorded: dict[tuple[int, WindowsKey], datetime] = {}

    def apply(self, connection: Connection, crossings: Sequence[Crossing], now: datetime) -> Applied:
        """Record them, contain, and tell. Whoever else applies waits until this transaction has ended."""
        applied = Applied()
        for crossing in crossings:
            self._apply(connection, crossing, now, applied)
        return applied

    def _apply(self, connection: Connection, crossing: Crossing, now: datetime, applied: Applied) -> None:
        deployment = self._deployed[crossing.detection]
        definition, last_at = deployment.definition, moment(crossing.last_us)
        # A flood crosses in every look; without news a second's worth is recorded at a time.
        recorded = self._recorded.get((crossing.detection, crossing.key))
        if recorded is not None and now - recorded < _AT_MOST_EVERY and not (crossing.is_new or crossing.numbers):
            return
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
        self._recorded[crossing.detection, crossing.key] = now
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
        found = usual(connection, one, self._around, crossing.key, moment(crossing.at_us))
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
        return tuple(listed), tuple(HeldBack(candidate.pattern, cap.value) for candidate, cap in held)

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
