"""A whole Ringfence for each module that asks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.running_node import RunningNode

from ringfence.database.cluster import remove_cluster


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    """`ringfence up` on picked ports in a temporary folder, stopped and removed afterwards."""
    pytest.importorskip("ringfence._native", reason="the Rust extension is not built: make setup")
    folder = Path(tempfile.mkdtemp(prefix="ringfence-node-"))
    folder.chmod(0o755)
    running = RunningNode(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        remove_cluster(running.data)
        shutil.rmtree(folder, ignore_errors=True)
