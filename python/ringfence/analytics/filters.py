"""Which events a question is about: the one definition of filters for views, call log and exports. Pure.

A filter's fields are words and numbers as people write them; `conditions` makes SQL of them, constant text with
parameters, and `choices` the same in pieces. A field that the dataset does not have is refused by name, never passed
over.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from ringfence.database.sight import MASK, require_full_numbers
from ringfence.errors import InvalidInputError
from ringfence.numbering.countries import country_id
from ringfence.policy.patterns import numbers_of
from ringfence.vocabulary import Action, Attestation, CallResult, CallSide, CallType, Dataset, Direction, NumberClass

# Digits of the longest E.164 number (ITU-T E.164 section 6).
_LONGEST = 15
_ONLY_ENUM = ("action", "rule")
_ONLY_SIP = ("result", "released_by", "attestation", "codec")
_CLASS_WORDS = frozenset(one.word for one in NumberClass)
# Column of a response code.
CODE_COLUMNS = {Dataset.ENUM: "rcode", Dataset.SIP: "status"}
OUTCOME_COLUMNS = {Dataset.ENUM: "action", Dataset.SIP: "result"}
# Conditions of which one must hold. None of them has an OR over several columns: that one keeps a reader of columns
# from passing over what it does not need.
Choice: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class EventFilter:
    """None matches all. `number` is either side, `source` and `destination` one; each is E.164 with or without plus, a
    pattern (`+1900*`, `+12105550000-+12105559999`, `+1210555????`), or raw text that is no number.

    `country` (ISO 3166, `001` for none) is that of the far party: who calls in, or who is called. `code` is the
    response code: the DNS RCODE of an answer, the final SIP status of a call. `site`: of the device that saw it.
    """

    site: str | None = None
    direction: Direction | None = None
    action: Action | None = None
    result: CallResult | None = None
    call_type: CallType | None = None
    country: str | None = None
    number: str | None = None
    source: str | None = None
    destination: str | None = None
    rule: str | None = None
    code: int | None = None
    released_by: CallSide | None = None
    attestation: Attestation | None = None
    codec: str | None = None

    @property
    def given(self) -> frozenset[str]:
        """Names of the fields that say something."""
        return frozenset(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def as_json(self) -> dict[str, Any]:
        """The fields that say something, as words."""
        values = {name: getattr(self, name) for name in sorted(self.given)}
        return {name: getattr(value, "word", value) for name, value in values.items()}


FILTERS = tuple(field.name for field in fields(EventFilter))


def filters_of(dataset: Dataset) -> tuple[str, ...]:
    """The fields that can be asked of a dataset, in order."""
    others = _ONLY_SIP if dataset is Dataset.ENUM else _ONLY_ENUM
    return tuple(name for name in FILTERS if name not in others)


def conditions(wanted: EventFilter, dataset: Dataset) -> tuple[list[str], dict[str, Any]]:
    """SQL conditions on the dataset's table and their values; the site's devices are the caller's matter.

    InvalidInputError names a field that the dataset does not have, or that makes no sense.
    """
    found, values = choices(wanted, dataset)
    return [any_of(choice) for choice in found], values


def any_of(choice: Choice) -> str:
    """One condition: that one of them holds."""
    return choice[0] if len(choice) == 1 else f"({' OR '.join(choice)})"


def choices(wanted: EventFilter, dataset: Dataset) -> tuple[list[Choice], dict[str, Any]]:
    """The same, each condition as what one of must hold."""
    for name in wanted.given - set(filters_of(dataset)):
        raise InvalidInputError(f"{name}: calls of dataset {dataset.word} have none")
    found: list[Choice] = []
    values: dict[str, Any] = {}
    if wanted.number is not None:
        sides = [_side(column, "number", wanted.number, values) for column in ("source", "destination")]
        found.append((*sides[0], *sides[1]))
    for column in ("source", "destination"):
        text = getattr(wanted, column)
        if text is not None:
            found.append(_side(column, column, text, values))
    for name, column in (
        ("direction", "direction"),
        ("action", "action"),
        ("result", "result"),
        ("call_type", "call_type"),
        ("released_by", "released_by"),
        ("attestation", "attestation"),
        ("code", CODE_COLUMNS[dataset]),
        ("codec", "codec"),
    ):
        value = getattr(wanted, name)
        if value is not None:
            found.append((f"{column} = %(is_{name})s",))
            values[f"is_{name}"] = value if isinstance(value, str) else int(value)
    if wanted.country is not None:
        found.append(("country = %(is_country)s",))
        values["is_country"] = country_id(wanted.country)
    if wanted.rule is not None:
        found.append(("rule_id = (SELECT rule_id FROM policy_rule WHERE name = %(is_rule)s)",))
        values["is_rule"] = wanted.rule
    return found, values


def _side(column: str, name: str, text: str, values: dict[str, Any]) -> Choice:
    """Condition for a number or the numbers of a pattern; for the raw text when `text` is neither."""
    digits = text.removeprefix("+")
    if text not in _CLASS_WORDS and MASK not in text:
        require_full_numbers(f"{name}: looking for {text!r}")
    values[f"{name}_text"] = text
    of_text = f"({column} = 0 AND {column}_raw = %({name}_text)s)"
    if text in _CLASS_WORDS:  # where there was no text, the word of the class stands for the number
        values[f"{name}_class"] = int(NumberClass.from_word(text))
        of_nothing = f"({column} = 0 AND {column}_raw IS NULL AND {column}_class = %({name}_class)s)"
        return of_text, of_nothing
    if digits.isascii() and digits.isdigit() and len(digits) <= 18 and not digits.startswith("0"):
        values[f"{name}_digits"] = int(digits)
        return f"{column} = %({name}_digits)s", of_text
    if not any(mark in text for mark in "*?-"):
        return (of_text,)
    pattern = numbers_of(text if text.startswith(("+", "*")) else f"+{text}")
    if pattern is None:
        return (of_text,)
    if pattern.length is None:
        return (_beginning(column, name, pattern.low, values),)
    values |= {f"{name}_low": int(pattern.low), f"{name}_high": int(pattern.high)}
    within = f"{column} BETWEEN %({name}_low)s AND %({name}_high)s"
    if pattern.wildcard:
        values[f"{name}_shape"] = pattern.wildcard.replace("?", "_")
        within += f" AND {column}::text LIKE %({name}_shape)s"
    return (f"({within})",)


def _beginning(column: str, name: str, digits: str, values: dict[str, Any]) -> str:
    """Condition for all numbers that begin with `digits`: one range for each length that they can have."""
    if not digits:
        return f"{column} <> 0"
    ranges = []
    for more in range(_LONGEST - len(digits) + 1):
        low = int(digits) * 10**more
        values |= {f"{name}_low_{more}": low, f"{name}_high_{more}": low + 10**more - 1}
        ranges.append(f"{column} BETWEEN %({name}_low_{more})s AND %({name}_high_{more})s")
    return f"({' OR '.join(ranges)})"
