"""Channels set and removed. Secrets are kept beside the settings, and nothing that shows a channel reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts.audit import record
from ringfence.accounts.credentials import new_secret
from ringfence.detection.alerts import outbox
from ringfence.detection.alerts.alert import CHANNEL_FAILS, rank_of
from ringfence.detection.alerts.channel import MAX_CHANNELS, Channel, check, check_secrets
from ringfence.detection.alerts.channel_reading import lock_channel, read_channel, with_secrets
from ringfence.detection.alerts.store import close_fault
from ringfence.errors import ConflictError, InvalidInputError

_SECRET_PREFIX = "rfw_"  # noqa: S105 - what a webhook's secret begins with, for leak scanners
_PUT = """
INSERT INTO alert_channel (name, kind, minimum_severity, detections, is_enabled, sends_closing, per_minute, group_s,
                           settings, secrets, set_at)
VALUES (%(name)s, %(kind)s, %(minimum_severity)s, %(detections)s, %(is_enabled)s, %(sends_closing)s, %(per_minute)s,
        %(group_s)s, %(settings)s, %(secrets)s, %(now)s)
ON CONFLICT (name) DO UPDATE
SET minimum_severity = excluded.minimum_severity, detections = excluded.detections,
    is_enabled = excluded.is_enabled, sends_closing = excluded.sends_closing, per_minute = excluded.per_minute,
    group_s = excluded.group_s, settings = excluded.settings, secrets = excluded.secrets, set_at = excluded.set_at
"""


@dataclass(frozen=True)
class Set:
    """A channel as it is kept; `secret` is a webhook's new one, to be shown now and never again."""

    channel: Channel
    secret: str | None

    def as_json(self) -> dict[str, Any]:
        """The channel, and the secret where one was made."""
        return self.channel.as_json() | {"secret": self.secret}


def set_channel(
    connection: Connection[Any],
    channel: Channel,
    secrets: Mapping[str, str],
    actor: str,
    now: datetime,
    *,
    renew_secret: bool = False,
) -> Set:
    """Add a channel, or replace the one of its name, whose kind and secrets that are not given stay.

    What waits for it is tried at once with the new settings. InvalidInputError names what cannot be.
    """
    check(channel)
    known = lock_channel(connection, channel.name)
    kept: dict[str, str] = {}
    if known is None:
        (count,) = connection.execute("SELECT count(*) FROM alert_channel").fetchone() or (0,)
        if count >= MAX_CHANNELS:
            raise ConflictError(f"name: there are {MAX_CHANNELS} channels already; remove one first")
    else:
        if known.kind != channel.kind:
            raise InvalidInputError(f"kind: channel {channel.name!r} is of kind {known.kind}; remove it first")
        kept = dict(with_secrets(connection, known).secrets)
    if channel.kind == "webhook" and "secret" in secrets:
        raise InvalidInputError("secrets.secret: is made here and shown once; ask for a new one with renew_secret")
    fresh = new_secret(_SECRET_PREFIX) if channel.kind == "webhook" and (renew_secret or not kept) else None
    kept |= dict(secrets) | ({"secret": fresh} if fresh else {})
    check_secrets(channel.settings, channel.kind, kept)
    values = vars(channel) | {
        "minimum_severity": rank_of(channel.minimum_severity),
        "detections": list(channel.detections),
        "settings": Jsonb(channel.settings.model_dump(mode="json", exclude_none=True)),
        "secrets": Jsonb(kept),
        "now": now,
    }
    connection.execute(_PUT, values)
    stored = read_channel(connection, channel.name)
    if stored.is_enabled:
        outbox.retry_now(connection, stored, now)
    else:
        outbox.forget(connection, stored, now)
        _forget_fault(connection, stored, "the channel was switched off", now)
    detail = channel.as_json() | {"secrets_set": sorted(secrets), "secret_made": fresh is not None}
    record(connection, actor, "alert_channel.set", channel.name, detail)
    return Set(read_channel(connection, channel.name), fresh)


def remove_channel(connection: Connection[Any], name: str, actor: str, now: datetime) -> None:
    """Tell it nothing more; what waits for it is forgotten. NotFoundError."""
    lock_channel(connection, name)  # before the alerts' own lock, as whoever sends does
    channel = read_channel(connection, name)
    _forget_fault(connection, channel, "the channel was removed", now)
    connection.execute("DELETE FROM alert_channel WHERE channel_id = %s", [channel.channel_id])
    record(connection, actor, "alert_channel.remove", name, {"kind": channel.kind})


def _forget_fault(connection: Connection[Any], channel: Channel, words: str, now: datetime) -> None:
    close_fault(connection, CHANNEL_FAILS, {"channel": channel.name}, words, now)
    connection.execute(
        "UPDATE alert_channel SET failing_since = NULL, fault = NULL WHERE channel_id = %s", [channel.channel_id]
    )
