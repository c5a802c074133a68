"""Channels: how alerts get out, set and tested by administrators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Administrator, Analyst
from ringfence.detection.alerts import channel_store, outbox
from ringfence.detection.alerts.channel import Channel, parse_settings
from ringfence.detection.alerts.channel_reading import list_channels as read_channels
from ringfence.detection.alerts.channel_reading import read_channel
from ringfence.detection.alerts.senders.snmp import engine_id
from ringfence.detection.firing import Severity

router = APIRouter(prefix="/alert_channels", tags=["detection"])

Name = Annotated[str, Path(min_length=1, max_length=64)]
Secret = Annotated[str, Field(max_length=255)]


class ChannelBody(BaseModel):
    """What a channel is. `settings` are those of its kind; secrets that are not given stay as they are.

    `renew_secret`: a webhook gets a new secret, which the answer shows once.
    """

    model_config = ConfigDict(extra="forbid")
    kind: Annotated[str, Field(max_length=32)]
    settings: dict[str, Any]
    secrets: dict[Annotated[str, Field(max_length=32)], Secret] = {}
    minimum_severity: Severity = Severity.INFO
    detections: Annotated[list[str], Field(max_length=1000)] = []
    enabled: bool = True
    sends_closing: bool = False
    per_minute: int = 10
    group_s: int = 60
    renew_secret: bool = False


class Tested(BaseModel):
    """What the receiver of a test message said, or why it could not be sent."""

    sent: bool
    words: str


def _shown(channel: Channel) -> dict[str, Any]:
    values = channel.as_json()
    return values | {"engine_id": engine_id(channel)} if channel.kind == "snmp" else values


@router.get("")
def list_channels(identity: Analyst, database: CurrentDatabase) -> list[dict[str, Any]]:
    """All, with what waits for each."""
    with database.connection() as connection:
        channels = read_channels(connection)
        backlog = {one.channel: one for one in outbox.backlog(connection)}
    return [
        _shown(one) | {"waiting": backlog[one.name].waiting, "messages": backlog[one.name].messages} for one in channels
    ]


@router.get("/{name}")
def show_channel(name: Name, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """One, without its secrets."""
    with database.connection() as connection:
        return _shown(read_channel(connection, name))


@router.put("/{name}")
def set_channel(name: Name, body: ChannelBody, identity: Administrator, database: CurrentDatabase) -> dict[str, Any]:
    """Add a channel or replace the one of its name. `secret` is a webhook's new one, shown now and never again."""
    kind, settings = parse_settings(body.kind, body.settings)
    channel = Channel(
        0, name, kind, settings, body.minimum_severity, tuple(body.detections), body.enabled, body.sends_closing,
        body.per_minute, body.group_s,
    )  # fmt: skip
    with database.connection() as connection:
        kept = channel_store.set_channel(
            connection, channel, body.secrets, identity.name, datetime.now(UTC), renew_secret=body.renew_secret
        )
    return _shown(kept.channel) | {"secret": kept.secret}


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def remove_channel(name: Name, identity: Administrator, database: CurrentDatabase) -> None:
    """Tell it nothing more."""
    with database.connection() as connection:
        channel_store.remove_channel(connection, name, identity.name, datetime.now(UTC))


@router.post("/{name}/test")
def test_channel(name: Name, identity: Administrator, process: CurrentProcess) -> Tested:
    """Send a test message now."""
    tested = process.deliveries.test(process.database, name, identity.name)
    return Tested(sent=tested.is_sent, words=tested.words)
