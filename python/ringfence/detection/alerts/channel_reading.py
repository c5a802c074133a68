"""Channels as they are in the database. Secrets are read by `with_secrets` alone, which setting and sending call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from ringfence.detection.alerts.alert import SEVERITIES
from ringfence.detection.alerts.channel import Channel, parse_settings
from ringfence.errors import NotFoundError

_READ = (
    "SELECT channel_id, name, kind, minimum_severity, detections, is_enabled, sends_closing, per_minute, group_s,"
    " settings, failing_since, fault FROM alert_channel"
)


def list_channels(connection: Connection[Any]) -> list[Channel]:
    """All, by name."""
    return _all(connection, f"{_READ} ORDER BY lower(name), name", {})


def read_channel(connection: Connection[Any], name: str) -> Channel:
    """One. NotFoundError."""
    found = _all(connection, f"{_READ} WHERE name = %(name)s", {"name": name})
    if not found:
        raise NotFoundError(f"channel {name!r}: there is none of this name")
    return found[0]


def with_secrets(connection: Connection[Any], channel: Channel) -> Channel:
    """The same with what sending needs. NotFoundError when it was removed meanwhile."""
    row = connection.execute("SELECT secrets FROM alert_channel WHERE channel_id = %s", [channel.channel_id]).fetchone()
    if row is None:
        raise NotFoundError(f"channel {channel.name!r}: was removed")
    return replace(channel, secrets=row[0])


def lock_channel(connection: Connection[Any], name: str) -> Channel | None:
    """One, which nobody else changes until the transaction ends."""
    return next(iter(_all(connection, f"{_READ} WHERE name = %(name)s FOR NO KEY UPDATE", {"name": name})), None)


def channel_of(row: Mapping[str, Any]) -> Channel:
    """A row as a channel, without its secrets."""
    kind, settings = parse_settings(row["kind"], row["settings"])
    read = {
        "kind": kind,
        "settings": settings,
        "minimum_severity": SEVERITIES[row["minimum_severity"] - 1],
        "detections": tuple(row["detections"]),
    }
    return Channel(**{**row, **read})


def _all(connection: Connection[Any], query: str, values: Mapping[str, Any]) -> list[Channel]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [channel_of(row) for row in cursor.execute(query.encode(), values)]
