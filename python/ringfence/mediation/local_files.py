"""Where a mediation tells the CLI on its machine how to reach and enter it (docs/contracts.md 6)."""

from __future__ import annotations

from pathlib import Path


def mediation_file(data: Path) -> Path:
    """Where a mediation says how to reach it."""
    return data / "run" / "mediation.json"


def token_file(data: Path) -> Path:
    """Where a mediation leaves the local token."""
    return data / "run" / "cli.token"
