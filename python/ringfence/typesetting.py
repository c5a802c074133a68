"""Printed pages by Typst, whose wheel brings compiler and fonts: the same on every machine.

What is printed comes as JSON in the input `document`, so nothing of it is read as markup.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typst


def typeset_pdf(template: Path, document: dict[str, Any]) -> bytes:
    """A template's pages with a document, as PDF; about a second."""
    return _compile(template, document, format="pdf")


def typeset_png(template: Path, document: dict[str, Any], pixels_per_point: float = 2.0) -> bytes:
    """A template's single page as a picture."""
    return _compile(template, document, format="png", ppi=72 * pixels_per_point)


def _compile(template: Path, document: dict[str, Any], **how: Any) -> bytes:
    octets = typst.compile(
        str(template),
        sys_inputs={"document": json.dumps(document, ensure_ascii=False)},
        ignore_system_fonts=True,
        **how,
    )
    assert isinstance(octets, bytes)  # noqa: S101 - without an output file the compiler gives octets, a page's alone
    return octets
