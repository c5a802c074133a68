"""The environment of the processes that tests start."""

from __future__ import annotations

import os


def environment(**extra: str) -> dict[str, str]:
    """This environment without any of our own settings, and `extra`; the tests' machine may have a full disk."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
    return kept | {"RINGFENCE_STORAGE_FULL_PERCENT": "98"} | extra
