"""A firing: one key of one detection passed its threshold. What windows report, and containment and alerts act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Severity(StrEnum):
    """How much an operator must care; the words of alerts and their channels."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Mode(StrEnum):
    """What a deployed detection may do; report only unless an operator says otherwise."""

    REPORT = "report"
    CONTAIN = "contain"


Dataset = Literal["enum", "sip"]


@dataclass(frozen=True)
class Firing:
    """One key of one detection passed its threshold; times are those of the calls, not of the clock."""

    detection: str
    """Name of the definition."""
    definition_version: int
    dataset: Dataset
    key: Mapping[str, str]
    """What was counted for, such as `{"destination": "+12105550100"}` or `{"site": "hq"}`; numbers in E.164."""
    started_at: datetime
    """Time of the first call in the window."""
    at: datetime
    """Time of the call that passed the threshold."""
    value: float
    threshold: float
    window_s: int
    severity: Severity
    mode: Mode
    numbers: tuple[str, ...] = field(default=())
    """Patterns that containment may list, most frequent first; empty if the detection has nothing to list."""

    @property
    def key_text(self) -> str:
        """The key in one line, such as `destination +12105550100`; equal keys have equal texts."""
        return ", ".join(f"{name} {value}" for name, value in sorted(self.key.items()))
