"""Whether every library is pinned with its hashes, and named in the SBOM: `python deploy/audit_locks.py`.

It asks no database of known weaknesses: SECURITY.md says how to run the public tools that do.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from sbom import ROOT, render

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def faults_of_python(name: str, lock: str) -> list[str]:
    """What a requirements file leaves open. Pure."""
    logical = re.sub(r"\\\n\s*", " ", lock)
    faults = []
    for line in logical.splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        pinned = _PINNED.match(text)
        if pinned is None:
            faults.append(f"{name}: {text.split()[0]} is not pinned to a version")
        elif not _HASH.search(text):
            faults.append(f"{name}: {pinned[1]} {pinned[2]} has no hash")
    return faults


def faults_of_rust(lock: str) -> list[str]:
    """What Cargo.lock leaves open: a crate from elsewhere than the registry, or without its checksum. Pure."""
    faults = []
    for package in tomllib.loads(lock)["package"]:
        source = package.get("source")
        words = f"Cargo.lock: {package['name']} {package['version']}"
        if source is not None and source != _REGISTRY:
            faults.append(f"{words} comes from {source}")
        elif source is not None and not re.fullmatch(r"[0-9a-f]{64}", package.get("checksum", "")):
            faults.append(f"{words} has no checksum")
    return faults


def faults_of_sbom(sbom: str, runtime: str, cargo: str) -> list[str]:
    """Libraries that are pinned and not named in the SBOM. Pure."""
    named = {component["bom-ref"] for component in json.loads(sbom)["components"]}
    pinned = {
        f"pkg:pypi/{match[1].lower().replace('_', '-')}@{match[2]}"
        for line in runtime.splitlines()
        if (match := _PINNED.match(line))
    }
    pinned |= {
        f"pkg:cargo/{one['name']}@{one['version']}" for one in tomllib.loads(cargo)["package"] if "source" in one
    }
    return [f"SBOM: {one} is missing" for one in sorted(pinned - named)]


def audit(root: Path) -> list[str]:
    """Every fault of the tree below `root`."""
    locks = {file.name: file.read_text(encoding="utf-8") for file in sorted((root / "requirements").glob("*.lock"))}
    cargo = (root / "Cargo.lock").read_text(encoding="utf-8")
    faults = [fault for name, lock in locks.items() for fault in faults_of_python(name, lock)]
    return [*faults, *faults_of_rust(cargo), *faults_of_sbom(render(root), locks["runtime.lock"], cargo)]


if __name__ == "__main__":
    found = audit(ROOT)
    print("\n".join(found) or "Every library is pinned with its hashes, and the SBOM names each.")
    sys.exit(bool(found))
