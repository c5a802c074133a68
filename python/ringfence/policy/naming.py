"""Which rules of which versions name a list, and what the list held then: from what the versions' authors wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import Connection

from ringfence.errors import NotFoundError
from ringfence.policy import versions
from ringfence.policy.lists import contents
from ringfence.policy.rules import Policy


@dataclass(frozen=True)
class NamedList:
    """A list as one version has it. Rules by id, for each side of a call that they look for on it."""

    version: int
    sources: tuple[int, ...]
    destinations: tuple[int, ...]
    entries: tuple[str, ...]
    is_dynamic: bool


def list_in_versions(connection: Connection, name: str, wanted: Iterable[int]) -> list[NamedList]:
    """The list in each of the versions that have it; NotFoundError when none has."""
    ids: dict[str, int] = dict(connection.execute("SELECT name, rule_id FROM policy_rule").fetchall())
    found = []
    for version in wanted:
        policy = Policy.model_validate(versions.read_source(connection, version))
        if name in policy.lists:
            held = contents.of_version(connection, version).get(name)
            listed = contents.patterns_of(connection, held.content) if held else ()
            found.append(_named(version, policy, name, ids, listed))
    if not found:
        raise NotFoundError(f"list {name!r} is in none of the versions; `ringfence policy show` shows the lists")
    return found


def _named(version: int, policy: Policy, name: str, ids: dict[str, int], listed: tuple[str, ...]) -> NamedList:
    matcher = f"list:{name}"
    numbers = policy.lists[name]
    return NamedList(
        version,
        tuple(ids[rule.name] for rule in policy.rules if rule.mode != "off" and matcher in rule.sources),
        tuple(ids[rule.name] for rule in policy.rules if rule.mode != "off" and matcher in rule.destinations),
        numbers.entries or listed,
        numbers.dynamic,
    )
