"""A database with calls as ingest writes them, and receivers on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.analytics.conftest import add_calls
from tests.detection.alerts.receivers import WebhookServer
from tests.ingest.conftest import add_device, ingest

__all__ = ["add_calls", "add_device", "ingest"]


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    """A receiver of webhooks."""
    with WebhookServer() as server:
        yield server
