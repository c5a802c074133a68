"""Policies to be asked rather than enforced: what is installed, a version, the draft or a file, compiled for places.

A policy says different things at different sites and devices; a candidate holds the engine of each place that was
asked for. Explain and simulation ask these; the engine is the very one of the wire. The last compiled ones are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ringfence._native import Policy as CompiledPolicy
from ringfence.policy import targets, versions
from ringfence.policy.compile import compile_document
from ringfence.policy.documents import Place, VersionDocuments, compile_for, named_devices, read_document_by_hash
from ringfence.policy.lists.contents import contents_for, pin, read_pinned
from ringfence.policy.rules import Policy

_KEPT = 8
_compiled: OrderedDict[str, CompiledPolicy] = OrderedDict()
_compiled_lock = threading.Lock()


@dataclass(frozen=True)
class RuleSummary:
    """What reports say of a rule."""

    rule_id: int
    name: str
    mode: str
    action: str


@dataclass(frozen=True)
class At:
    """What a candidate is at one place: the compiled policy, the one that was written, and its version (0: none)."""

    engine: CompiledPolicy
    policy: Policy
    version: int


@dataclass(frozen=True)
class Candidate:
    """A policy that can be asked how it would decide, at the places that it was made for."""

    kind: str  # installed, version, draft, file
    version: int  # 0: none, or not the same everywhere
    rules: tuple[RuleSummary, ...]
    places: Mapping[tuple[str, str], At]  # (site, device)

    @property
    def has_dynamic_lists(self) -> bool:
        """Whether entries that act beside a version matter."""
        return any(numbers.dynamic for at in self.places.values() for numbers in at.policy.lists.values())

    @property
    def title(self) -> str:
        """For people."""
        if self.kind == "version":
            return f"version {self.version}"
        if self.kind == "installed":
            known = sorted({at.version for at in self.places.values()} - {0})
            shown = f" (version{'s' if len(known) > 1 else ''} {', '.join(map(str, known))})"
            return f"what is installed{shown if known else ': no policy'}"
        return {"draft": "the draft"}.get(self.kind, "the file")


def version_candidate(connection: Connection, version: int, places: Sequence[Place]) -> Candidate:
    """A committed version. NotFoundError."""
    return _of_versions(connection, "version", {_key(place): version for place in places}, places, version)


def installed_candidate(connection: Connection, places: Sequence[Place]) -> Candidate:
    """What each place follows; where nothing is installed, a policy without rules: its fail mode allows."""
    known = targets.read_targets(connection)
    wanted = {}
    for place in places:
        target = targets.target_of(known, place.site.name, place.device)
        wanted[_key(place)] = target.version if target else 0
    followed = set(wanted.values())
    return _of_versions(connection, "installed", wanted, places, followed.pop() if len(followed) == 1 else 0)


def no_policy(place: Place) -> Candidate:
    """Nothing installed at a place, with a fail mode that allows."""
    at = At(CompiledPolicy(compile_for(Policy(), place, 1, {}, {})), Policy(), 0)
    return Candidate("installed", 0, (), {_key(place): at})


def policy_candidate(connection: Connection, policy: Policy, places: Sequence[Place], kind: str = "file") -> Candidate:
    """A policy that is no version: rules that were seen before keep their ids. InvalidInputError: does not compile."""
    ids = _known_ids(connection)
    free = max(ids.values(), default=0)
    for rule in policy.rules:
        if rule.name not in ids:
            free += 1
            ids[rule.name] = free
    pinned, pins = pin(connection, policy, datetime.now(UTC))
    listed = read_pinned(connection, pins)
    named = named_devices(policy)
    engines: dict[tuple[str, str], CompiledPolicy] = {}
    found = {}
    for place in places:
        effective = Place(place.site, place.device if place.device in named else "")
        if _key(effective) not in engines:
            engines[_key(effective)] = CompiledPolicy(compile_for(pinned, effective, 1, ids, listed), listed)
        found[_key(place)] = At(engines[_key(effective)], policy, 0)
    return Candidate(kind, 0, _summaries([policy], ids), found)


def compiled_document(connection: Connection, hash_: str) -> CompiledPolicy:
    """A kept document's engine; the last few stay, since a large one takes its time."""
    with _compiled_lock:
        engine = _compiled.get(hash_)
        if engine is not None:
            _compiled.move_to_end(hash_)
            return engine
    document = read_document_by_hash(connection, hash_)
    engine = compile_document(document, contents=contents_for(connection, document))
    with _compiled_lock:
        _compiled[hash_] = engine
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return engine


def rule_names(connection: Connection) -> dict[int, str]:
    """Names of all rules that ever were, by id."""
    return {rule_id: name for name, rule_id in _known_ids(connection).items()}


def rules_of(connection: Connection, version: int) -> tuple[RuleSummary, ...]:
    """A version's rules in their order. NotFoundError."""
    policy = Policy.model_validate(versions.read_source(connection, version))
    return _summaries([policy], _known_ids(connection))


def _of_versions(
    connection: Connection, kind: str, wanted: Mapping[tuple[str, str], int], places: Sequence[Place], version: int
) -> Candidate:
    """A place that follows version 0 has no rules."""
    policies = {
        number: Policy.model_validate(versions.read_source(connection, number)) if number else Policy()
        for number in sorted({version, *wanted.values()}, reverse=True)
    }
    documents = {number: VersionDocuments(connection, number) for number in policies if number}
    found = {}
    for place in places:
        number = wanted[_key(place)]
        if number:
            engine = compiled_document(connection, documents[number].hash_for(place.site, place.device))
        else:
            engine = CompiledPolicy(compile_for(Policy(), place, 1, {}, {}))
        found[_key(place)] = At(engine, policies[number], number)
    return Candidate(kind, version, _summaries(policies.values(), _known_ids(connection)), found)


def _key(place: Place) -> tuple[str, str]:
    return place.site.name, place.device


def _known_ids(connection: Connection) -> dict[str, int]:
    rows: list[Any] = connection.execute("SELECT name, rule_id FROM policy_rule").fetchall()
    return dict(rows)


def _summaries(policies: Iterable[Policy], ids: Mapping[str, int]) -> tuple[RuleSummary, ...]:
    """Each rule once, as the first of the policies has it."""
    found: dict[str, RuleSummary] = {}
    for policy in policies:
        for rule in policy.rules:
            found.setdefault(rule.name, RuleSummary(ids[rule.name], rule.name, rule.mode, rule.action))
    return tuple(found.values())
