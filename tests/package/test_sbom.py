"""The list of what is in the packages: nothing that a lock pins is missing, each thing once, with a hash."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("sbom") / "ringfence.cdx.json"
    subprocess.run([sys.executable, ROOT / "deploy" / "sbom.py", file], check=True)
    tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return tree


def named(sbom: dict[str, Any], kind: str) -> set[str]:
    return {one["name"] for one in sbom["components"] if one["purl"].startswith(f"pkg:{kind}/")}


def test_every_distribution_of_the_lock_is_in_it(sbom: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "runtime.lock").read_text(encoding="utf-8")
    pinned = [line.split("==")[0] for line in lock.splitlines() if "==" in line]
    plain = {re.sub(r"\[.*\]", "", name).strip().lower().replace("_", "-") for name in pinned}
    assert len(plain) > 40
    assert named(sbom, "pypi") == plain


def test_every_crate_of_the_lock_that_is_not_ours_is_in_it(sbom: dict[str, Any]) -> None:
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    assert named(sbom, "cargo") == {one["name"] for one in packages if not one["name"].startswith("ringfence-")}


def test_each_component_stands_once_and_has_a_hash(sbom: dict[str, Any]) -> None:
    references = [one["bom-ref"] for one in sbom["components"]]
    assert len(references) == len(set(references))
    for one in sbom["components"]:
        values = [entry["content"] for entry in one.get("hashes", [])]
        values += [entry["value"] for entry in one.get("properties", [])]
        assert values, one["bom-ref"]
        assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in values), one["bom-ref"]


def test_it_says_what_it_is_about(sbom: dict[str, Any]) -> None:
    from ringfence import __version__

    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["version"] == __version__
    assert sbom["dependencies"][0]["dependsOn"] == [one["bom-ref"] for one in sbom["components"]]
