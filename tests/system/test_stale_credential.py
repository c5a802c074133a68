"""The database is emptied while the ENUM server's folder stays: `ringfence up` registers its own device anew."""

from __future__ import annotations

import pytest
from tests.system.running_node import RunningNode, eventually

from ringfence.database.cluster import remove_cluster


@pytest.mark.slow
def test_up_registers_its_device_anew_when_the_database_was_emptied(node: RunningNode) -> None:
    node.decide("+19005550100")
    eventually(lambda: len(node.events()) == 1, "the call is stored", 20)
    assert node.stop() == 0
    remove_cluster(node.data)
    node.start()
    log = (node.data / "log" / "up.log").read_text(encoding="utf-8")
    assert log.count(" up.device_registered_anew ") == 1
    node.decide("+19005550101")
    # The journal still has the first one: the empty database gets both.
    eventually(lambda: len(node.events()) == 2, "both calls are stored", 20)
