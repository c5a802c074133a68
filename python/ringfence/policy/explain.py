"""Why a call would be decided as it would: asked of the very engine that decides on the wire."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from psycopg import Connection

from ringfence._native import DynamicEntries
from ringfence._native import Policy as CompiledPolicy
from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import dynamic, versions
from ringfence.policy.compile import build_document, canonical_bytes, compile_document
from ringfence.policy.engines import compiled_version
from ringfence.policy.rules import Policy

MAX_NUMBER_LENGTH = 256
_entries: tuple[int, DynamicEntries] | None = None  # number of the last change, and what acts after it


def explain_call(
    connection: Connection, site: Site, source: str | None, destination: str, now: datetime, version: int | None = None
) -> dict[str, Any]:
    """Decision, normalised numbers, direction and a verdict on every rule (docs/contracts.md 4).

    `version` None: what is installed; with nothing installed the reason is `no_policy` and the edge's fail mode acts.
    """
    for field, number in (("source", source), ("destination", destination)):
        if number is not None and not 0 < len(number) <= MAX_NUMBER_LENGTH:
            raise InvalidInputError(f"{field}: has {len(number)} characters; expected 1 to {MAX_NUMBER_LENGTH}")
        if number is not None and not _is_unicode(number):
            raise InvalidInputError(f"{field}: is not UTF-8 text")
    installed = versions.installed_everywhere(connection)
    wanted = installed.version if version is None else version
    if wanted == versions.UNINSTALLED.version:
        engine = compile_document(canonical_bytes(build_document(Policy(), site, 1, {})))
        return _explained(engine, source, destination, now) | {"reason": "no_policy", "policy_version": 0}
    summary = versions.read_version(connection, wanted)
    return _explained(compiled_version(connection, summary), source, destination, now, _acting_entries(connection, now))


def _explained(
    engine: CompiledPolicy,
    source: str | None,
    destination: str,
    now: datetime,
    entries: DynamicEntries | None = None,
) -> dict[str, Any]:
    now_us = int(now.timestamp() * 1_000_000)
    answer: dict[str, Any] = json.loads(engine.explain(source, destination, now_us, entries))
    return answer


def _acting_entries(connection: Connection, now: datetime) -> DynamicEntries:
    """The dynamic entries as edges have them; compiled once for each change."""
    global _entries
    change = dynamic.last_change(connection)
    if _entries is None or _entries[0] != change:
        _entries = (change, dynamic.compile_entries(connection, now))
    return _entries[1]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
