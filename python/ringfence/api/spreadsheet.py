"""CSV that is safe to open in a spreadsheet.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return may be run as a formula (CWE-1236), and what a
caller puts into a From header ends up in these cells. Such a cell gets an apostrophe in front; a plus and digits alone,
as in every telephone number, is left as it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_PLAIN_NUMBER = re.compile(r"\+?[0-9]+")


def csv_line(values: Iterable[object]) -> str:
    """One line of RFC 4180, with its CRLF."""
    line = io.StringIO()
    csv.writer(line).writerow([_safe(value) for value in values])
    return line.getvalue()


def _safe(value: object) -> object:
    if not isinstance(value, str) or not _FORMULA.match(value) or _PLAIN_NUMBER.fullmatch(value):
        return value
    return f"'{value}"
