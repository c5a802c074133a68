"""Kamailio's own ENUM client (module `enum`) against the ENUM server: it takes the NAPTR and goes on as it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.acceptance.lab.kamailio.running import missing_packages

ROOT = Path(__file__).parents[2]
NUMBERS = {
    "+12105550123": "sip:+12105550123@allow.e164.internal",
    "+19005550100": "sip:+19005550100@terminate.e164.internal",
    "+12105550100": "sip:+12105550199@redirect.e164.internal",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the module asks port 53 of a machine made for it")
def test_kamailios_enum_module_follows_each_decision(tmp_path: Path) -> None:
    if missing := missing_packages():
        pytest.skip(f"needs the Debian packages {', '.join(missing)} (apt-get install {' '.join(missing)})")
    said = subprocess.run(
        [
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            sys.executable,
            "-m",
            "tests.sbc.enum_module_host",
            str(tmp_path),
            *NUMBERS,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)])},
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == NUMBERS
