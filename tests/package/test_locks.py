"""Every library is pinned with its hashes; what is not is named."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def load() -> Any:
    """deploy/ is no package: its scripts run by themselves."""
    spec = importlib.util.spec_from_file_location("audit_locks", ROOT / "deploy" / "audit_locks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def test_the_locks_of_this_tree_leave_nothing_open() -> None:
    assert load().audit(ROOT) == []


def test_what_is_left_open_is_named() -> None:
    locks = load()
    hashed = f"good==1.0 \\\n    --hash=sha256:{'a' * 64}\n"
    assert locks.faults_of_python("x.lock", hashed) == []
    assert locks.faults_of_python("x.lock", hashed + "loose>=2\nbare==3 \\\n    --hash=md5:12\n") == [
        "x.lock: loose>=2 is not pinned to a version",
        "x.lock: bare 3 has no hash",
    ]
    cargo = '[[package]]\nname = "g"\nversion = "1.0"\nsource = "git+https://example.com/g"\n'
    assert locks.faults_of_rust(cargo) == ["Cargo.lock: g 1.0 comes from git+https://example.com/g"]
    assert locks.faults_of_sbom(json.dumps({"components": []}), hashed, cargo) == [
        "SBOM: pkg:cargo/g@1.0 is missing",
        "SBOM: pkg:pypi/good@1.0 is missing",
    ]
