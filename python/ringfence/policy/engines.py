"""Policies to be asked rather than enforced: a version, a draft or a file, compiled for each place where it would act.

Explain and simulation ask these; the engine is the very one of the wire. Compiled versions are kept, the last few.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection

from ringfence._native import Policy as CompiledPolicy
from ringfence.errors import NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import versions
from ringfence.policy.compile import build_document, canonical_bytes, compile_document
from ringfence.policy.lists.contents import contents_for, pin
from ringfence.policy.rules import Policy

_KEPT = 4
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
class Candidate:
    """A policy that can be asked how it would decide. `version` 0: it is none (yet), or there is no policy."""

    kind: str  # version, draft, file, none
    version: int
    rules: tuple[RuleSummary, ...]
    has_dynamic_lists: bool
    engine_at: Callable[[str, str], CompiledPolicy]  # (site, device) → engine

    @property
    def title(self) -> str:
        """For people."""
        if self.kind == "version":
            return f"version {self.version}"
        return {"draft": "the draft", "file": "the file"}.get(self.kind, "no policy")


def version_candidate(connection: Connection, version: int) -> Candidate:
    """A committed version. NotFoundError."""
    summary = versions.read_version(connection, version)
    policy = Policy.model_validate(versions.read_source(connection, version))
    engine = compiled_version(connection, summary)
    return Candidate(
        "version",
        version,
        _summaries(policy, _known_ids(connection)),
        any(numbers.dynamic for numbers in policy.lists.values()),
        lambda site, device: engine,
    )


def policy_candidate(connection: Connection, policy: Policy, site: Site, kind: str = "file") -> Candidate:
    """A policy that is no version: rules that were seen before keep their ids. InvalidInputError: does not compile."""
    ids = _known_ids(connection)
    free = max(ids.values(), default=0)
    for rule in policy.rules:
        if rule.name not in ids:
            free += 1
            ids[rule.name] = free
    pinned, _ = pin(connection, policy, datetime.now(UTC))
    document = canonical_bytes(build_document(pinned, site, 1, ids))
    engine = compile_document(document, [rule.name for rule in policy.rules], contents_for(connection, document))
    has_dynamic = any(numbers.dynamic for numbers in policy.lists.values())
    return Candidate(kind, 0, _summaries(policy, ids), has_dynamic, lambda site, device: engine)


def draft_candidate(connection: Connection, site: Site) -> Candidate:
    """The draft that operators edit."""
    raise NotFoundError("there is no draft")


def no_policy(connection: Connection, site: Site) -> Candidate:
    """Nothing installed, with a fail mode that allows."""
    return policy_candidate(connection, Policy(), site, "none")


def compiled_version(connection: Connection, version: versions.Version) -> CompiledPolicy:
    """A version's compiled policy; the last few stay, since a large one takes its time."""
    with _compiled_lock:
        engine = _compiled.get(version.hash)
        if engine is not None:
            _compiled.move_to_end(version.hash)
            return engine
    document = versions.read_document(connection, version.version)
    engine = compile_document(document, contents=contents_for(connection, document))
    with _compiled_lock:
        _compiled[version.hash] = engine
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return engine


def rule_names(connection: Connection) -> dict[int, str]:
    """Names of all rules that ever were, by id."""
    return {rule_id: name for name, rule_id in _known_ids(connection).items()}


def _known_ids(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, rule_id FROM policy_rule").fetchall())


def _summaries(policy: Policy, ids: dict[str, int]) -> tuple[RuleSummary, ...]:
    return tuple(RuleSummary(ids[rule.name], rule.name, rule.mode, rule.action) for rule in policy.rules)
