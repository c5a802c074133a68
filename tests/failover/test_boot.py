"""What starts at boot: the old pair is kept from it, the new one made to (R18, R21), with systemd's own program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.service.test_service_command import install, root

from ringfence.availability.failover.node import Node
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.availability.standby import Standby, become
from ringfence.errors import ForbiddenError
from ringfence.service.manager import Systemd
from ringfence.service.units import unit_named
from ringfence.settings import Settings

__all__ = ["root"]  # a fixture
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="installing services needs root"),
    pytest.mark.skipif(not shutil.which("systemctl"), reason="systemctl is not installed"),
]
UP = "ringfence-up.service"


def test_a_node_of_systemd_is_enabled_and_disabled_at_boot(root: Path) -> None:
    install(root, "up")
    node = Node(Settings(data=unit_named("ringfence-up").data), root=root)
    assert node.enable() == f"{UP} enabled at boot"
    assert Systemd(root).states([UP])[0].is_enabled
    assert node.disable() == f"{UP} disabled at boot"
    assert not Systemd(root).states([UP])[0].is_enabled
    assert node.enable() == f"{UP} enabled at boot", "when the roles are swapped again"


def test_a_node_in_another_folder_is_not_systemds(root: Path, tmp_path: Path) -> None:
    install(root, "up")
    node = Node(Settings(data=tmp_path), root=root)
    assert node.units == []
    assert node.enable() == "not run by systemd: see that `ringfence up` is started at boot"
    assert node.stop() == "was not running"


def test_root_leaves_the_folder_of_a_service_to_its_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    become(Settings(data=tmp_path), Standby("backup", "http://127.0.0.1:1"))
    with pytest.raises(ForbiddenError, match=r"belongs to user .*: run as that user"):
        Failover(Settings(data=tmp_path), Options(), lambda: {}).plan()
