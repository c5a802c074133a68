"""The record as PDF, the same pages on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.typesetting import typeset_pdf

_TEMPLATE = Path(__file__).parent / "record.typ"


def print_pdf(document: dict[str, Any]) -> bytes:
    """A document of `build_document` as PDF; about a second."""
    return typeset_pdf(_TEMPLATE, document)
