"""Firings and channels as tests want them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence.database.connection import Database
from ringfence.detection.alerts import channel_store, store
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.channel import Channel, parse_settings
from ringfence.detection.firing import Firing, Mode, Severity

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TARGET = "+12105550100"


def second(number: float) -> datetime:
    """Seconds after noon."""
    return NOON + timedelta(seconds=number)


def firing(at: float = 10, **fields: Any) -> Firing:
    """A flood against one destination that passed 100 calls in 10 s, at so many seconds after noon."""
    known: dict[str, Any] = {
        "detection": "flood-one-number", "definition_version": 3, "dataset": "enum", "key": {"destination": TARGET},
        "started_at": second(at - 10), "at": second(at), "value": 101.0, "threshold": 100.0, "window_s": 10,
        "severity": Severity.CRITICAL, "mode": Mode.REPORT, "numbers": (TARGET,),
    }  # fmt: skip
    return Firing(**known | fields)


def fire(database: Database, one: Firing | None = None, now: float = 11, **more: Any) -> Alert:
    """Open or extend, in a transaction of its own."""
    with database.connection() as connection:
        return store.open_or_extend(connection, one or firing(), second(now), **more)


def put_channel(
    database: Database, kind: str, settings: dict[str, Any], name: str = "noc", **fields: Any
) -> tuple[Channel, str | None]:
    """Set a channel; it and, of a webhook, its secret. Without grouping unless asked for."""
    secrets = fields.pop("secrets", {})
    known, parsed = parse_settings(kind, settings)
    channel = Channel(0, name, known, parsed, **{"group_s": 0} | fields)
    with database.connection() as connection:
        kept = channel_store.set_channel(connection, channel, secrets, "ada", NOON)
    return kept.channel, kept.secret
