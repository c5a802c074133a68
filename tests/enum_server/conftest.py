"""A server for one test: started with what the test asks, stopped after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.enum_server.exchange import Server

from ringfence._native import EnumServer


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server; keyword arguments are further fields of its configuration (docs/contracts.md 5)."""
    servers: list[EnumServer] = []

    def _start(**configuration: Any) -> Server:
        configuration = {"listen": ["127.0.0.1:0"], "apex": ["e164.internal"], **configuration}
        native = EnumServer(json.dumps(configuration))
        servers.append(native)
        return Server(native)

    yield _start
    for native in servers:
        native.stop()
