"""What a case is: its words, for plan and record, and its steps, which judge by what they see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence.acceptance.run import Run


@dataclass(frozen=True)
class Case:
    """One case of the functional system test. `steps` puts a result for each subject into the run."""

    id: str
    title: str
    purpose: str
    procedure: tuple[str, ...]
    expected: str
    steps: Callable[[Run], None]
    needs_servers: int = 1
    needs_probes: bool = False
