"""From a NAPTR's regular expression to what an SBC does with the call. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Action = Literal["allow", "terminate", "redirect", "proceed", "fail"]
_URI = re.compile(r"sips?:([^@;>]+)@([^;>:]+)")
_BACK_REFERENCE = re.compile(r"\\([0-9])")


@dataclass(frozen=True)
class Routed:
    """What becomes of the call: `number` is where it goes. `proceed`: as dialled, because nobody had an opinion."""

    action: Action
    number: str
    uri: str | None = None
    why: str = ""


def apply_expression(expression: str, number: str) -> str | None:
    """The URI that a substitution (RFC 3402, 3.2) makes of `+E.164`; None when it does not match or is none."""
    if len(expression) < 4:
        return None
    parts = expression[1:].split(expression[0])
    if len(parts) != 3:
        return None
    pattern, replacement, flags = parts
    try:
        match = re.search(pattern, number, re.IGNORECASE if flags == "i" else 0)
        if match is None:
            return None
        made = _BACK_REFERENCE.sub(lambda found: match.group(int(found[1])) or "", replacement)
    except (re.error, IndexError):
        return None
    return number[: match.start()] + made + number[match.end() :]


def route(expression: str | None, destination: str) -> Routed:
    """What the answer means. A host or user `terminate` refuses, another number redirects, the same one allows."""
    if expression is None:
        return Routed("proceed", destination, why="no record: no opinion")
    uri = apply_expression(expression, destination)
    parts = _URI.match(uri) if uri is not None else None
    if uri is None or parts is None:
        return Routed("proceed", destination, uri, "the expression makes no SIP URI of the number")
    user, host = parts[1], parts[2].lower()
    if user == "terminate" or host.split(".")[0] == "terminate":
        return Routed("terminate", "", uri)
    return Routed("allow" if user == destination else "redirect", user, uri)
