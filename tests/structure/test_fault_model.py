"""Every fault of docs/fault-model.md, and every line of the failover procedure, names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("document", "first_column", "least"),
    [("docs/fault-model.md", "Fault", 25), ("docs/operations/availability.md", "Line", 20)],
)
def test_every_row_names_a_test_that_exists(document: str, first_column: str, least: int) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    table = re.search(rf"^\| {first_column} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"{document} has no table that begins with {first_column}"
    rows = table[1].splitlines()
    assert len(rows) >= least
    for row in rows:
        named = re.search(r"\| `(tests/\S+\.py)`(?: `(\w+)`)? \|$", row)
        assert named, row
        code = (ROOT / named[1]).read_text(encoding="utf-8")
        assert named[2] is None or f"def {named[2]}(" in code, f"{named[2]} is not in {named[1]}"
