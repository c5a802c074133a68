"""Detections in their modes, attacks that were found, and numbers that containment has listed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from tests.console.seed import add_calls

from ringfence.detection import episodes, store
from ringfence.detection.alerts.store import open_or_extend
from ringfence.detection.firing import Firing, Mode, Severity
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import first_site
from ringfence.policy import dynamic
from ringfence.policy.rules import Policy
from ringfence.policy.versions import commit_policy, install_version
from ringfence.vocabulary import Direction

LIST = "under-attack"
ATTACKED = "+12105550107"
CALLERS = ("+12145550134", "+12145550135")


def seed_detections(connection: Connection[Any], now: datetime) -> None:
    """A flood that is contained, a caller that is reported, and a list of the policy for both."""
    policy = Policy.model_validate(
        {
            "lists": {LIST: {"dynamic": True}},
            "rules": [{"name": "attack", "destinations": [f"list:{LIST}"], "action": "terminate"}],
        }
    )
    version = commit_policy(connection, policy, first_site(connection), "ada", "List under attack").version.version
    install_version(connection, version, "ada")
    store.deploy(connection, "tdos-number", "ada", now - timedelta(days=2), Mode.CONTAIN)
    store.deploy(connection, "harassing-caller", "ada", now - timedelta(days=9), Mode.REPORT)
    flood = add_attack(connection, now - timedelta(minutes=4), "tdos-number", {"destination": ATTACKED}, 412, 100)
    until = now + timedelta(minutes=26)
    dynamic.add_entry(connection, first_site(connection), LIST, ATTACKED, "detection tdos-number", now,
                      lasts=until - now)  # fmt: skip
    episodes.record_listing(connection, flood, LIST, ATTACKED, now - timedelta(minutes=4), until)
    episodes.record_outcome(connection, flood, 1, {})
    for hours, caller in zip((3, 20), CALLERS, strict=True):
        key = {"source": caller, "destination": "+12105550122"}
        add_attack(connection, now - timedelta(hours=hours), "harassing-caller", key, 9, 7)


def seed_flood(connection: Connection[Any], at: datetime, calls: int) -> None:
    """Recorded questions about one number, a few milliseconds apart, each from another caller."""
    device, _ = register_device(connection, "enum-flood", "enum", None, "ada")
    connection.execute(
        "INSERT INTO device_stream (device_id, journal_id, stream, last_sequence) VALUES (%s, 7, 0, 0)",
        (device.device_id,),
    )
    to = {"destination": int(ATTACKED), "direction": Direction.INBOUND}
    add_calls(
        connection,
        [
            {"time": at + timedelta(milliseconds=20 * number), "source": 12145550000 + number, **to}
            for number in range(calls)
        ],
    )


def add_attack(
    connection: Connection[Any], at: datetime, name: str, key: dict[str, str], value: float, threshold: float
) -> int:
    """An episode with its alert; the episode's id."""
    definition = store.read_detection(connection, name).definition
    firing = Firing(
        name, 1, definition.dataset, key, at - timedelta(seconds=8), at, value, threshold, definition.window_s,
        Severity.CRITICAL if name.startswith("tdos") else Severity.WARNING, Mode.REPORT,
    )  # fmt: skip
    open_or_extend(connection, firing, at, quiet_s=definition.cool_down_s)
    return episodes.open_episode(connection, firing, at + timedelta(seconds=40), definition.cool_down_s, at)
