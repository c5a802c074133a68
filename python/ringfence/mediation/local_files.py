"""Where a mediation tells the CLI on its machine how to reach and enter it (docs/contracts.md 6)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringfence.trust.verification import Trust


def mediation_file(data: Path) -> Path:
    """Where a mediation says how to reach it."""
    return data / "run" / "mediation.json"


def token_file(data: Path) -> Path:
    """Where a mediation leaves the local token."""
    return data / "run" / "cli.token"


def place_trust(place: Mapping[str, Any]) -> Trust:
    """Whom to believe behind the address that a mediation of this machine wrote down: its own certificate alone."""
    known = place.get("fingerprint")
    return Trust((str(known),) if known else ())
