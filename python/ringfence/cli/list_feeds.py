"""`ringfence list feed`: lists fed from a URL."""

from __future__ import annotations

import typer


def add_to(group: typer.Typer) -> None:
    """Add the commands to `ringfence list`."""
