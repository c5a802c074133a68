"""A whole Ringfence for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.system.running_node import RunningNode, running_node


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    """`ringfence up` on picked ports in a temporary folder, stopped and removed afterwards."""
    pytest.importorskip("ringfence._native", reason="the Rust extension is not built: make setup")
    with running_node() as running:
        yield running
