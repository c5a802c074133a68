"""Fixtures of the edge: a misbehaving mediation behind real HTTP, and a real ENUM server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.edge.partners import FakeMediation, open_server, wait_until

from ringfence._native import EnumServer


@pytest.fixture
def mediation() -> Iterator[FakeMediation]:
    """A mediation on loopback, behind real HTTP."""
    fake = FakeMediation()
    listener = socket.create_server(("127.0.0.1", 0))
    fake.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(fake.build(), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started, "the mediation starts")
        yield fake
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def enum_server(tmp_path: Path) -> Iterator[EnumServer]:
    """A real ENUM server with its journal in the test's folder."""
    server = open_server(tmp_path)
    try:
        yield server
    finally:
        server.stop()
