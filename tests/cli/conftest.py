"""The command as people run it: a process of its own, on the data folder of a running mediation."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from tests import warm
from tests.environment import environment
from tests.mediation_server import RunningMediation

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_ringfence(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `ringfence`; whatever happens, it never shows a traceback."""
    done = warm.run(arguments, stdin, environment(**extra), 180)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def ringfence(mediation: RunningMediation) -> Run:
    """`ringfence(*arguments)` on the data folder of a running mediation."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run_ringfence(*arguments, stdin=stdin, RINGFENCE_DATA=str(mediation.settings.data))

    return run
