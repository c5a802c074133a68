"""The record as PDF, by Typst, whose wheel brings compiler and fonts: the same pages on every machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typst

_TEMPLATE = Path(__file__).parent / "record.typ"


def print_pdf(document: dict[str, Any]) -> bytes:
    """A document of `build_document` as PDF; about a second."""
    pages = typst.compile(
        str(_TEMPLATE),
        format="pdf",
        sys_inputs={"document": json.dumps(document, ensure_ascii=False)},
        ignore_system_fonts=True,
    )
    assert isinstance(pages, bytes)  # noqa: S101 - without an output file the compiler gives octets
    return pages
