"""What a process knows of itself and its machine, as it tells others: integers only, so that anybody can read them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from ringfence.log import recent_errors

WELL_AFTER_S = 600  # R21: still up after ten minutes
DISK_FULL = 0.02
DISK_NEARLY_FULL = 0.10


class ProcessFacts:
    """Of this process, with the disk that its data folder is on."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._started_us = time.time_ns() // 1000

    def read(self) -> dict[str, int]:
        """`started_us` (since 1970), `errors_30m` (logged), `disk_free_bytes` and `disk_total_bytes` (0: not known)."""
        facts = {"started_us": self._started_us, "errors_30m": recent_errors()}
        try:
            disk = os.statvfs(self._data)
        except OSError:
            return facts | {"disk_free_bytes": 0, "disk_total_bytes": 0}
        return facts | {
            "disk_free_bytes": disk.f_bavail * disk.f_frsize,
            "disk_total_bytes": disk.f_blocks * disk.f_frsize,
        }


def fault_of(facts: Mapping[str, int]) -> str | None:
    """What of these facts is no longer well; None: nothing. Pure."""
    share = _free_share(facts)
    return None if share is None or share >= DISK_FULL else f"its disk is full ({share:.1%} free)"


def notes_on(facts: Mapping[str, int], now_us: int) -> list[str]:
    """What of these facts a person should know while all is still well. Pure."""
    notes = []
    started_us = facts.get("started_us", 0)
    if started_us and now_us - started_us < WELL_AFTER_S * 1_000_000:
        notes.append(f"up for {in_words((now_us - started_us) / 1e6)} only")
    if errors := facts.get("errors_30m", 0):
        notes.append(errors_in_words(errors))
    share = _free_share(facts)
    if share is not None and DISK_FULL <= share < DISK_NEARLY_FULL:
        notes.append(f"its disk is nearly full ({share:.1%} free)")
    return notes


def errors_in_words(errors: int) -> str:
    """`2 errors logged within 30 minutes`."""
    return f"{errors} error{'s' if errors > 1 else ''} logged within 30 minutes"


def in_words(seconds: float) -> str:
    """`40 s`, `3 min`, `5 h`; what is negative (a stepped clock) is 0 s."""
    seconds = max(seconds, 0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"


def _free_share(facts: Mapping[str, int]) -> float | None:
    total = facts.get("disk_total_bytes", 0)
    return facts.get("disk_free_bytes", 0) / total if total > 0 else None
