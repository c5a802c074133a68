"""Every fault of docs/fault-model.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_fault_names_a_test_that_exists() -> None:
    document = (ROOT / "docs" / "fault-model.md").read_text(encoding="utf-8")
    rows = [line for line in document.splitlines() if re.match(r"\| (?!Fault |-)", line)]
    assert len(rows) > 10
    for row in rows:
        named = re.search(r"\| `(tests/\S+\.py)`(?: `(\w+)`)? \|$", row)
        assert named, row
        text = (ROOT / named[1]).read_text(encoding="utf-8")
        assert named[2] is None or f"def {named[2]}(" in text, f"{named[2]} is not in {named[1]}"
