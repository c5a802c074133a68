"""A database with devices and calls, written through ingest as in life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.ingest.conftest import AddDevice, add_device, ingest
from tests.ingest.samples import NOON, upload

from ringfence.database.connection import Database
from ringfence.mediation.ingest.store import Ingest

__all__ = ["AddCalls", "add_calls", "add_device", "add_rule", "ingest"]

AddCalls = Callable[..., None]
AddRule = Callable[[str], int]


@pytest.fixture
def add_calls(ingest: Ingest, add_device: AddDevice) -> AddCalls:
    """`add_calls([{...}, ...], device="enum-1", stream=0)`: one more batch of a stream, fields as in `samples`."""
    devices: dict[str, int] = {}
    received: dict[tuple[str, int], int] = {}

    def add(
        events: Sequence[dict[str, Any]],
        device: str = "enum-1",
        stream: int = 0,
        now: datetime = NOON + timedelta(hours=12),
    ) -> None:
        if device not in devices:
            devices[device] = add_device(device)
        first = received.get((device, stream), 0) + 1
        received[device, stream] = ingest.accept(devices[device], "enum", 1, stream, upload(events, first), now)

    return add


@pytest.fixture
def add_rule(database: Database) -> AddRule:
    """Registers a rule's name; its id."""

    def add(name: str) -> int:
        with database.connection() as connection:
            row = connection.execute("INSERT INTO policy_rule (name) VALUES (%s) RETURNING rule_id", [name]).fetchone()
        assert row is not None
        return int(row[0])

    return add
