"""A page's state as query parameters, so that any view can be shared, bookmarked and linked to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from ringfence.analytics.time_range import SPANS, TimeRange, instant_of, iso

__all__ = ["CUSTOM", "SPANS", "TimeRange", "instant_of", "iso", "link", "local_path"]

CUSTOM = "custom"


def link(path: str, parameters: Mapping[str, str | None]) -> str:
    """`path` with those parameters that have a value."""
    kept = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def local_path(target: str | None) -> str:
    """`target` if it is a page of this console, else the start page: a sign-in never sends anyone elsewhere."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\", "/sign-")):
        return "/"
    return target if target.isprintable() and "\\" not in target else "/"
