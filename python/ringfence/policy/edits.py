"""Edits of a policy: one object added, changed, removed, moved, copied. Pure: a policy in, a policy out.

Each edit says which objects it touches and how, so that edits of different operators merge by themselves where that is
safe: `drafts` compares with what others did since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.policy.diff import KINDS, Source, objects_of, put_object, remove_object
from ringfence.policy.rules import Policy, policy_from

_PARTS = {"rule": "rules", "sbc": "sbcs"}


@dataclass(frozen=True)
class Place:
    """Where a rule comes to stand: before or after another, else first or (by default) last."""

    before: str | None = None
    after: str | None = None
    is_first: bool = False


LAST = Place()


@dataclass(frozen=True)
class Edit:
    """What is to be done, to which object, and whether to its content or only to its place."""

    operation: str  # add, edit, remove, move, copy: a word of the audit trail
    kind: str
    name: str
    apply: Callable[[Policy], Policy]
    is_move: bool = False
    conflicts_with: tuple[str, ...] = ("added", "changed", "removed")


def add(kind: str, name: str, body: Mapping[str, Any], place: Place = LAST) -> Edit:
    """A new object. ConflictError when there is one of this name."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        if name in objects_of(source, kind):
            raise ConflictError(f"{kind} {name!r} exists already; edit it, or choose another name")
        put_object(source, kind, name, _named(kind, name, body))
        return _placed(source, kind, name, place)

    return Edit("add", _kind(kind), name, apply)


def put(kind: str, name: str, body: Mapping[str, Any]) -> Edit:
    """An object's whole content, new or not; a rule that is there keeps its place."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        put_object(source, kind, name, _named(kind, name, body))
        return policy_from(source)

    return Edit("edit", _kind(kind), name, apply)


def change(kind: str, name: str, fields: Mapping[str, Any]) -> Edit:
    """Some fields of an object; None takes a field back to its default. NotFoundError."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        body = _body(source, kind, name) | dict(fields)
        put_object(source, kind, name, {field: value for field, value in body.items() if value is not None})
        return policy_from(source)

    if kind in _PARTS and str(fields.get("name", name)) != name:
        raise InvalidInputError("name: is an object's identity; copy it under the new name and remove the old one")
    return Edit("edit", _kind(kind), name, apply)


def remove(kind: str, name: str) -> Edit:
    """Take an object away. NotFoundError; InvalidInputError while a rule refers to it."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        _body(source, kind, name)
        remove_object(source, kind, name)
        return policy_from(source)

    return Edit("remove", _kind(kind), name, apply)


def move(name: str, place: Place) -> Edit:
    """Another place for a rule. NotFoundError names the rule that is not there."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        _body(source, "rule", name)
        return _placed(source, "rule", name, place)

    return Edit("move", "rule", name, apply, is_move=True, conflicts_with=("moved", "removed"))


def copy(kind: str, name: str, new_name: str) -> Edit:
    """The same content under a new name; a rule's copy stands right after it."""

    def apply(policy: Policy) -> Policy:
        source = policy.as_source()
        body = _body(source, kind, name)
        if new_name in objects_of(source, kind):
            raise ConflictError(f"{kind} {new_name!r} exists already; choose another name")
        put_object(source, kind, new_name, _named(kind, new_name, body))
        return _placed(source, kind, new_name, Place(after=name))

    return Edit("copy", _kind(kind), new_name, apply)


def _placed(source: Source, kind: str, name: str, place: Place) -> Policy:
    if kind == "rule":
        rules = source["rules"]
        rule = next(rule for rule in rules if rule["name"] == name)
        others = [rule for rule in rules if rule["name"] != name]
        others.insert(_index(others, place, len(others)), rule)
        source["rules"] = others
    return policy_from(source)


def _index(others: list[dict[str, Any]], place: Place, last: int) -> int:
    anchor = place.before or place.after
    if anchor is None:
        return 0 if place.is_first else last
    for index, rule in enumerate(others):
        if rule["name"] == anchor:
            return index if place.before else index + 1
    raise NotFoundError(f"rule {anchor!r} does not exist in the draft: name another to stand beside")


def _named(kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "name": name} if kind in _PARTS else dict(body)


def _body(source: Source, kind: str, name: str) -> dict[str, Any]:
    found = objects_of(source, kind).get(name)
    if found is None:
        raise NotFoundError(f"{kind} {name!r} does not exist in the draft")
    return dict(found)


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidInputError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    return kind
