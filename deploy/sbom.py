"""What the packages are made of: a CycloneDX 1.6 document from the lock files, without the network.

`python deploy/sbom.py FILE`. Components are the wheels of requirements/runtime.lock and the crates of Cargo.lock, each
with the hashes that the lock names; our own crates are part of the application itself. A scanner (Dependency-Track,
grype, osv-scanner) reads it.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components_of_python(lock: str) -> list[dict[str, Any]]:
    """Every distribution that a requirements file with hashes pins. Pure."""
    found = list(_REQUIREMENT.finditer(lock))
    ends = [match.start() for match in found[1:]] + [len(lock)]
    return [
        _component("pypi", match[1].lower().replace("_", "-"), match[2], _HASH.findall(lock[match.end() : end]))
        for match, end in zip(found, ends, strict=True)
    ]


def components_of_rust(lock: str) -> list[dict[str, Any]]:
    """Every crate that comes from a registry. Pure."""
    packages = tomllib.loads(lock)["package"]
    return [
        _component("cargo", package["name"], package["version"], [package["checksum"]])
        for package in packages
        if "checksum" in package
    ]


def document(version: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole document; the same locks give the same text. Pure."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "ringfence",
                "name": "ringfence",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
        "dependencies": [{"ref": "ringfence", "dependsOn": sorted(component["bom-ref"] for component in components)}],
    }


def _component(kind: str, name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    address = f"pkg:{kind}/{name}@{version}"
    # A lock names all files of a release, for every system: then they are properties, not the hashes of this one.
    many = {"properties": [{"name": "lock:sha256", "value": value} for value in sorted(hashes)]}
    one = {"hashes": [{"alg": "SHA-256", "content": value} for value in hashes]}
    held = one if len(hashes) == 1 else many
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address} | held


def render(root: Path) -> str:
    """The document of the tree below `root`."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    components = [
        *components_of_python((root / "requirements" / "runtime.lock").read_text(encoding="utf-8")),
        *components_of_rust((root / "Cargo.lock").read_text(encoding="utf-8")),
    ]
    return json.dumps(document(version, components), indent=1) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(ROOT), encoding="utf-8")
