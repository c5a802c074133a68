"""A fault in a policy as one line: which rule, which field, what was wrong, what would be right."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

# pydantic's name of a fault → what would be right.
_EXPECTED = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
}
_PATTERNS = {
    "target": 'must be a number such as "+12105550199"',
    "from": 'must be a time such as "08:00"',
    "to": 'must be a time such as "18:00"',
    "protected": 'must be a number such as "911"',
}
_NAME = "must be a name of 1 to 64 letters, digits, spaces, '.', '_' or '-'"


def describe_fault(details: ErrorDetails, tree: dict[Any, Any]) -> str:
    """One line for one of pydantic's errors; `tree` is what was read, to name the rule."""
    where, loc = _rule_of(details["loc"], tree)
    path = _path(loc)
    if details["type"] == "value_error":
        message = str(details["ctx"]["error"])
    elif details["type"] == "extra_forbidden":
        message = "no such field"
    elif details["type"] == "missing":
        message = "is missing"
    else:
        message = f"{_expected(path, details)}, got {_shortened(details['input'])}"
    return f"{where}{path}: {message}" if path else f"{where}{message}"


def _rule_of(loc: tuple[int | str, ...], tree: dict[Any, Any]) -> tuple[str, tuple[int | str, ...]]:
    """`rule 'premium': ` and the rest of the location; nothing when the fault is not in a rule."""
    if len(loc) < 2 or loc[0] != "rules" or not isinstance(loc[1], int):
        return "", loc
    rule = tree["rules"][loc[1]]
    name = rule.get("name") if isinstance(rule, dict) else None
    return (f"rule {name!r}: " if isinstance(name, str) else f"rule {loc[1] + 1}: "), loc[2:]


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


def _expected(path: str, details: ErrorDetails) -> str:
    if details["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(path.rsplit(".", 1)[-1].split("[")[0], _NAME)
    message = _EXPECTED.get(details["type"], details["msg"])
    message = message.replace("Input should be", "must be").replace("Input should", "must")
    return message[0].lower() + message[1:]


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
