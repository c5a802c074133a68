"""Runs every conformance test against Ringfence and against NSD.

`DIFFERENCES` is the table of what NSD does otherwise, and why ours is meant so. The NSD run of a test that stands
there must fail (a strict xfail): a difference that is gone is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.targets import Target, nsd, nsd_program, ringfence

DIFFERENCES: dict[str, str] = {}


@pytest.fixture(scope="session")
def ringfence_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Our server."""
    with ringfence(tmp_path_factory.mktemp("ringfence-conformance")) as target:
        yield target


@pytest.fixture(scope="session")
def nsd_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """NSD, where it is installed."""
    if nsd_program() is None:
        pytest.skip("needs the Debian package nsd (apt-get install nsd)")
    with nsd(tmp_path_factory.mktemp("nsd-conformance")) as target:
        yield target


@pytest.fixture(params=["ringfence", "nsd"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each server in turn; alive before the test and after it."""
    name = getattr(request.node, "originalname", request.node.name)
    if request.param == "nsd" and name in DIFFERENCES:
        request.applymarker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))
    server: Target = request.getfixturevalue(f"{request.param}_target")
    yield server
    assert server.is_alive(), f"{server.name} no longer answers"
