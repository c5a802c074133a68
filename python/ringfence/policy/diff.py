"""What changed between two policies, object by object, in words: for drafts, versions, commits and dry runs. Pure.

A policy's objects are its rules (in an order), lists, schedules, profiles, SBCs, protected numbers and its answers.
`changes_between(a, b)` names what to do to `a` to get `b`; `patched(a, changes)` does it.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ringfence.policy.rules import Policy
from ringfence.policy.yaml_reader import write_yaml

What = Literal["added", "changed", "removed", "moved"]
Body = dict[str, Any]
Source = dict[str, Any]

KINDS = ("rule", "list", "schedule", "profile", "sbc", "protected", "answers")
_MAPS = {"list": "lists", "schedule": "schedules", "profile": "profiles"}
_WORDS = {"sbc": "SBC", "protected": "protected number"}
# What a source leaves out and people still think of as having a value.
_DEFAULTS = {"mode": "enforce", "direction": "any", "track": "log"}
DEFAULT_ANSWERS = "default"
_SHOWN = 5


@dataclass(frozen=True)
class Change:
    """One object that differs. `place`: a rule's place from 1, where it comes to stand."""

    kind: str
    name: str
    what: What
    before: Body | None = None
    after: Body | None = None
    place: int | None = None
    neighbour: str = ""  # of a moved or added rule: `before 'x'`, or `last`

    @property
    def in_words(self) -> str:
        """One line."""
        subject = f"{_WORDS.get(self.kind, self.kind)} {self.name!r}" if self.kind != "answers" else "default answers"
        if self.what == "added":
            return f"{subject} added{self._where()}: {_described(self.kind, self.after or {})}".removesuffix(": ")
        if self.what == "removed":
            return f"{subject} removed"
        if self.what == "moved":
            return f"{subject} moved{self._where()}"
        return f"{subject}: {'; '.join(field_words(self.before or {}, self.after or {}))}"

    def _where(self) -> str:
        return f" to place {self.place}, {self.neighbour}" if self.what == "moved" else (
            f" at place {self.place}, {self.neighbour}" if self.place is not None else ""
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Every field and `words`."""
        return {
            "kind": self.kind,
            "name": self.name,
            "what": self.what,
            "before": self.before,
            "after": self.after,
            "place": self.place,
            "words": self.in_words,
        }


def changes_between(before: Policy, after: Policy) -> tuple[Change, ...]:
    """What to do to `before` to get `after`: removed and changed objects first, rules in their order."""
    was, now_is = before.as_source(), after.as_source()
    found: list[Change] = []
    for kind in KINDS:
        old, new = objects_of(was, kind), objects_of(now_is, kind)
        found += [Change(kind, name, "removed", body) for name, body in old.items() if name not in new]
        for place, (name, body) in enumerate(new.items(), 1):
            where = (place, _neighbour(list(new), place)) if kind == "rule" else (None, "")
            if name not in old:
                found.append(Change(kind, name, "added", None, body, *where))
            elif old[name] != body:
                found.append(Change(kind, name, "changed", old[name], body))
        if kind == "rule":
            found += _moves(list(old), list(new))
    return tuple(found)


def move_of(name: str, before: Policy, after: Policy) -> tuple[Change, ...]:
    """The one rule that was moved, by its name; nothing when the order is as it was."""
    names = [rule.name for rule in after.rules]
    if names == [rule.name for rule in before.rules]:
        return ()
    place = names.index(name) + 1
    return (Change("rule", name, "moved", place=place, neighbour=_neighbour(names, place)),)


def patched(policy: Policy, changes: Iterable[Change]) -> Policy:
    """The policy with changes done to it, wherever they came from. InvalidInputError when they do not fit together."""
    source = policy.as_source()
    placed: list[Change] = []
    for change in changes:
        if change.what == "removed":
            remove_object(source, change.kind, change.name)
        elif change.what == "moved" or (change.kind == "rule" and change.what == "added"):
            placed.append(change)
        else:
            put_object(source, change.kind, change.name, change.after or {})
    rules = source.get("rules", [])
    bodies = {rule["name"]: rule for rule in rules}
    rules = [rule for rule in rules if rule["name"] not in {change.name for change in placed}]
    for change in sorted(placed, key=lambda change: change.place or 0):
        body = change.after if change.what == "added" else bodies.get(change.name)
        if body is not None:
            rules.insert((change.place or 1) - 1, body)
    return Policy.model_validate(source | {"rules": rules})


def yaml_diff(before: Policy, after: Policy, old: str, new: str) -> str:
    """A unified diff of the two as YAML, `old` and `new` naming them; empty when they are equal."""
    return "".join(
        difflib.unified_diff(export(before).splitlines(True), export(after).splitlines(True), old, new)
    )  # fmt: skip


def export(policy: Policy) -> str:
    """The policy as YAML that `parse_policy` reads to the same policy; equal policies are equal text."""
    source = policy.as_source()
    for key in _MAPS.values():
        if key in source:
            source[key] = dict(sorted(source[key].items()))
    return write_yaml(source or {"rules": []})


def objects_of(source: Source, kind: str) -> dict[str, Body]:
    """Name → body of a kind's objects; a rule's and an SBC's body has its name too."""
    if kind in _MAPS:
        return dict(source.get(_MAPS[kind], {}))
    if kind == "protected":
        return {number: {} for number in source.get("protected", [])}
    if kind == "answers":
        return {DEFAULT_ANSWERS: source["answers"]} if source.get("answers") else {}
    return {one["name"]: one for one in source.get(_sequence(kind), [])}


def put_object(source: Source, kind: str, name: str, body: Body) -> None:
    """Add or replace an object in a source; a rule or SBC that is there keeps its place, a new one comes last."""
    if kind in _MAPS:
        source.setdefault(_MAPS[kind], {})[name] = body
    elif kind == "protected":
        source["protected"] = [*dict.fromkeys([*source.get("protected", []), name])]
    elif kind == "answers":
        source["answers"] = body
    else:
        there = source.setdefault(_sequence(kind), [])
        for place, one in enumerate(there):
            if one["name"] == name:
                there[place] = body
                return
        there.append(body)


def remove_object(source: Source, kind: str, name: str) -> None:
    """Take an object out of a source; whether it was there does not matter."""
    if kind in _MAPS:
        source.get(_MAPS[kind], {}).pop(name, None)
    elif kind == "protected":
        source["protected"] = [number for number in source.get("protected", []) if number != name]
    elif kind == "answers":
        source.pop("answers", None)
    else:
        source[_sequence(kind)] = [one for one in source.get(_sequence(kind), []) if one["name"] != name]


def field_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One phrase for each field that differs."""
    said = []
    for field in dict.fromkeys([*before, *after]):
        old, new = before.get(field, _DEFAULTS.get(field)), after.get(field, _DEFAULTS.get(field))
        if old == new:
            continue
        if isinstance(old or new, list) and isinstance(old or [], list) and isinstance(new or [], list):
            said.append(_sequence_words(field, old or [], new or []))
        elif old is None:
            said.append(f"{field} set to {_shown(new)}")
        elif new is None:
            said.append(f"{field} {_shown(old)} removed")
        else:
            said.append(f"{field} {_shown(old)} → {_shown(new)}")
    return said


def _sequence_words(field: str, old: list[Any], new: list[Any]) -> str:
    in_old, in_new = {str(one) for one in old}, {str(one) for one in new}
    added = [str(one) for one in new if str(one) not in in_old]
    removed = [str(one) for one in old if str(one) not in in_new]
    parts = [f"{verb} {_few(values)}" for verb, values in (("added", added), ("removed", removed)) if values]
    return f"{field}: {', '.join(parts) if parts else 'in another order'}"


def _few(values: list[str]) -> str:
    rest = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
    return f"{', '.join(values[:_SHOWN])}{rest}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    text = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
    return f"{text[:120]}…" if len(text) > 121 else text


def _described(kind: str, body: Body) -> str:
    if kind == "rule":
        sides = [
            f"{side} {_few([str(one) for one in body[side]])}" for side in ("sources", "destinations") if side in body
        ]
        target = f" to {body['target']}" if "target" in body else ""
        mode = f"{body['mode']}: " if "mode" in body else ""
        return f"{mode}{body.get('action', '')}{target}, {'; '.join(sides) if sides else 'any call'}"
    if kind == "list":
        words = [f"{len(body.get('entries', [])):,} entries"] if "entries" in body else []
        return ", ".join(words + (["dynamic"] if body.get("dynamic") else []))
    return ", ".join(f"{field} {_shown(value)}" for field, value in body.items() if field != "name")


def _moves(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """The fewest rules to move so that those that stay come into their new order."""
    places = {name: place for place, name in enumerate(old)}
    common = [name for name in new if name in places]
    still = _longest_increasing([places[name] for name in common])
    moved = {name for index, name in enumerate(common) if index not in still}
    return [
        Change("rule", name, "moved", place=place, neighbour=_neighbour(new, place))
        for place, name in enumerate(new, 1)
        if name in moved
    ]


def _neighbour(names: Sequence[str], place: int) -> str:
    return f"before {names[place]!r}" if place < len(names) else "last"


def _longest_increasing(values: Sequence[int]) -> set[int]:
    """Indices of a longest increasing subsequence."""
    tails: list[int] = []
    ends: list[int] = []  # index into values of the end of the best sequence of each length
    before: list[int | None] = []
    for index, value in enumerate(values):
        length = bisect_left(tails, value)
        tails[length : length + 1] = [value]
        ends[length : length + 1] = [index]
        before.append(ends[length - 1] if length else None)
    kept: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        kept.add(at)
        at = before[at]
    return kept


def _sequence(kind: str) -> str:
    return {"rule": "rules", "sbc": "sbcs"}[kind]
