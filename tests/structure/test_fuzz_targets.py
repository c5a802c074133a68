"""Every fuzz target is built, run by `make fuzz`, and has inputs to begin with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = {file.stem for file in (ROOT / "fuzz" / "targets").glob("*.rs")}


def test_every_target_is_built() -> None:
    manifest = tomllib.loads((ROOT / "fuzz" / "Cargo.toml").read_text(encoding="utf-8"))
    assert {binary["name"] for binary in manifest["bin"]} == TARGETS


def test_make_fuzz_runs_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    named = re.search(r"^FUZZ_TARGETS := (.+)$", makefile, re.MULTILINE)
    assert named is not None
    assert set(named[1].split()) == TARGETS


def test_every_target_has_seeds() -> None:
    """libFuzzer refuses to start on a folder that is not there."""
    seeds = {folder.name for folder in (ROOT / "fuzz" / "seeds").iterdir() if any(folder.iterdir())}
    assert seeds == TARGETS
