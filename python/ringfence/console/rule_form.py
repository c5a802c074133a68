"""A rule as the fields of a form, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SITE, DEVICE = "site:", "device:"  # names of the boxes for places
_PLAIN = ("mode", "direction", "action", "target", "schedule", "track", "note")


def body_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """What a form says, as the policy has it: without what is empty, unchecked."""
    body: dict[str, Any] = {"name": fields.get("name", "").strip()}
    body |= {part: text for part in _PLAIN if (text := fields.get(part, "").strip())}
    if body.get("action") != "redirect":
        body.pop("target", None)
    body |= {side: found for side in ("sources", "destinations") if (found := matchers_of(fields.get(side, "")))}
    places = {
        "sites": [name.removeprefix(SITE) for name in fields if name.startswith(SITE)],
        "devices": [name.removeprefix(DEVICE) for name in fields if name.startswith(DEVICE)],
    }
    body |= {part: names for part, names in places.items() if names}
    limit, window = fields.get("rate_limit", "").strip(), fields.get("rate_window", "").strip()
    if limit or window:
        body["rate"] = {"limit": limit or None, "window_s": window or None, "key": fields.get("rate_key", "source")}
    return body


def matchers_of(text: str) -> list[str]:
    """Patterns one a line, or with commas between them."""
    return [part.strip() for part in re.split(r"[\n,;]", text) if part.strip()]


def fields_from(body: Mapping[str, Any]) -> dict[str, str]:
    """The texts with which a form of this rule opens."""
    rate: Mapping[str, Any] = body.get("rate") or {}
    fields = {part: str(body.get(part) or "") for part in ("name", *_PLAIN)}
    fields |= {side: "\n".join(str(one) for one in body.get(side) or []) for side in ("sources", "destinations")}
    fields |= {"mode": str(body.get("mode", "enforce")), "direction": str(body.get("direction", "any"))}
    return fields | {
        "track": str(body.get("track", "log")),
        "rate_limit": str(rate.get("limit") or ""),
        "rate_window": str(rate.get("window_s") or ""),
        "rate_key": str(rate.get("key") or "source"),
    }


def rate_words(rate: Mapping[str, Any] | None) -> str:
    """`above 10 calls in 60 s of one source`; empty without a rate."""
    if not rate:
        return ""
    of = {"source": "one source", "destination": "one destination", "pair": "one pair"}[str(rate["key"])]
    return f"above {int(rate['limit']):,} calls in {int(rate['window_s']):,} s of {of}"


def free_name(name: str, taken: Iterable[str]) -> str:
    """A name for a copy that nobody has."""
    known = set(taken)
    base = f"{name[:56]} copy"
    return next(one for one in (base, *(f"{base} {n}" for n in range(2, len(known) + 3))) if one not in known)
