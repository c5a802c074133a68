"""The applications of the browser tests, forked from one process that has them loaded (`tests.console.serve`)."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(database_url: str, data: Path, storage: str = "{}") -> Iterator[str]:
    """The address of an application on a free port of loopback; `storage` is the settings' section as JSON."""
    begun = _ask({"url": database_url, "data": str(data), "storage": json.loads(storage)})
    try:
        assert begun["address"], "the application did not start"
        yield begun["address"]
    finally:
        _ask({"end": begun["process"]})


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    process = _warm()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "the process of the applications has ended"
    answer: dict[str, Any] = json.loads(line)
    return answer


@cache
def _warm() -> subprocess.Popen[str]:
    """Starts with the first application and ends with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.console.serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)])},
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()
