"""The outbox: which channel is to be told of what, and each message's way to it.

    tell (in the alert's transaction) ─► waits ─► claim: one message of all that waits ─► begin ─► end: sent
                                           ▲                  ▲                                 ├─► failed, due again
                                           └── group, rate    └─────────────────────────────────┘   … given up
A message is claimed as a report's run is: each claim counts its attempts up, and every later step asks for its own
count. What happens to one whose mediation is gone:

| state when it died | what is certain | what is done |
|---|---|---|
| claimed | nothing left | claimed again after CLAIMED_FOR |
| sending | a webhook's receiver can tell by the message's id | a webhook's is sent again, with the same id |
| sending | of mail, syslog, trap nobody knows | it is not sent again: `unsure`, and the alert's timeline says so |

A channel that fails has one message on its way; what else waits goes together in the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import dict_row

from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.channel import Channel, EmailSettings, WebhookSettings
from ringfence.detection.alerts.channel_reading import list_channels
from ringfence.errors import ConflictError

Occasion = Literal["opened", "closed"]
MessageState = Literal["claimed", "sending", "failed", "sent", "unsure", "given_up"]

CLAIMED_FOR = timedelta(seconds=90)  # longer than any sender takes up to its first octet
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 10, 30, 60))  # the last for all that follow
GIVE_UP_AFTER = timedelta(hours=24)
KEPT = timedelta(days=30)  # messages that have ended
_MINUTE = timedelta(minutes=1)
_NOTE = 500


@dataclass(frozen=True)
class Claim:
    """The right to make this attempt of a message, and no other."""

    channel: Channel
    message_id: int
    occasion: Occasion
    attempts: int
    made_at: datetime


@dataclass(frozen=True)
class Backlog:
    """What waits for a channel and what became of its messages of the last 30 days."""

    channel: str
    waiting: int
    oldest: datetime | None
    messages: dict[str, int]


def tell(connection: Connection[Any], alert: Alert, occasion: Occasion, now: datetime) -> None:
    """Put it down for every channel that wants to know. Of a closing hears who heard of the opening."""
    for channel in list_channels(connection):
        if not channel.is_enabled or not channel.wants(alert) or (occasion == "closed" and not channel.sends_closing):
            continue
        connection.execute(
            """
            INSERT INTO alert_delivery (channel_id, alert_id, occasion, made_at)
            SELECT %(channel)s, %(alert)s, %(occasion)s, %(now)s
            WHERE %(occasion)s = 'opened' OR EXISTS (SELECT FROM alert_delivery WHERE channel_id = %(channel)s
                                                     AND alert_id = %(alert)s AND occasion = 'opened')
            ON CONFLICT DO NOTHING
            """,
            {"channel": channel.channel_id, "alert": alert.alert_id, "occasion": occasion, "now": now},
        )


def busy_channels(connection: Connection[Any]) -> list[Channel]:
    """Enabled channels for which something waits or is on its way."""
    busy = {
        row[0]
        for row in connection.execute(
            """
            SELECT DISTINCT channel_id FROM alert_delivery WHERE message_id IS NULL
            UNION SELECT channel_id FROM alert_message WHERE state IN ('claimed', 'sending', 'failed')
            """
        )
    }
    return [one for one in list_channels(connection) if one.channel_id in busy and one.is_enabled] if busy else []


def claim(connection: Connection[Any], channel: Channel, now: datetime) -> Claim | None:
    """The next attempt for a channel; None: nothing is due, or another mediation is at it."""
    locked = connection.execute(
        "SELECT FROM alert_channel WHERE channel_id = %s AND is_enabled FOR NO KEY UPDATE SKIP LOCKED",
        [channel.channel_id],
    )
    if locked.rowcount == 0:
        return None
    for message in _open_messages(connection, channel):
        if _is_held(channel, message, now):
            if message["state"] == "sending":
                continue  # whoever sends it is at its last step, or dead: nothing need wait for that
            return None
        if message["state"] == "sending" and channel.kind != "webhook":
            _drop(connection, channel, message, "unsure", now, "the mediation ended while it was sent")
        elif message["state"] == "failed" and message["made_at"] + GIVE_UP_AFTER < now:
            _drop(connection, channel, message, "given_up", now, message["note"])
        else:
            attempts = message["attempts"] + 1
            connection.execute(
                "UPDATE alert_message SET state = 'claimed', attempts = %s, changed_at = %s WHERE message_id = %s",
                [attempts, now, message["message_id"]],
            )
            return Claim(channel, message["message_id"], message["occasion"], attempts, message["made_at"])
    return _claim_new(connection, channel, now)


def begin(connection: Connection[Any], held: Claim, now: datetime) -> None:
    """What follows cannot be taken back. ConflictError: the claim is another's meanwhile, or the channel is gone."""
    moved = connection.execute(
        "UPDATE alert_message SET state = 'sending', changed_at = %s"
        " WHERE message_id = %s AND attempts = %s AND state = 'claimed'",
        [now, held.message_id, held.attempts],
    )
    if moved.rowcount == 0:
        raise ConflictError(f"channel {held.channel.name!r}: message {held.message_id} was taken over")


def end(connection: Connection[Any], held: Claim, state: MessageState, now: datetime, note: str | None) -> bool:
    """Keep how it went; False: the claim is another's meanwhile."""
    wait = RETRY_AFTER[min(held.attempts, len(RETRY_AFTER)) - 1]
    moved = connection.execute(
        """
        UPDATE alert_message SET state = %s, changed_at = %s, due_at = %s, note = %s
        WHERE message_id = %s AND attempts = %s AND state IN ('claimed', 'sending', 'unsure')
        """,
        [state, now, now + wait, note[:_NOTE] if note else None, held.message_id, held.attempts],
    )
    if moved.rowcount == 1:
        _tell_timeline(connection, held.message_id, state, held.channel.name, note, now)
    return moved.rowcount == 1


def alerts_of(connection: Connection[Any], message_id: int) -> list[int]:
    """Of which alerts a message is, the newest first."""
    query = "SELECT alert_id FROM alert_delivery WHERE message_id = %s ORDER BY alert_id DESC"
    return [row[0] for row in connection.execute(query, [message_id])]


def retry_now(connection: Connection[Any], channel: Channel, now: datetime) -> None:
    """What failed is tried again at once: its channel was set anew."""
    query = "UPDATE alert_message SET due_at = %s WHERE channel_id = %s AND state = 'failed'"
    connection.execute(query, [now, channel.channel_id])


def forget(connection: Connection[Any], channel: Channel, now: datetime) -> None:
    """Nothing more is told to a channel that was switched off."""
    connection.execute("DELETE FROM alert_delivery WHERE channel_id = %s AND message_id IS NULL", [channel.channel_id])
    connection.execute(
        "UPDATE alert_message SET state = 'given_up', changed_at = %s WHERE channel_id = %s AND state = 'failed'",
        [now, channel.channel_id],
    )


def backlog(connection: Connection[Any]) -> list[Backlog]:
    """Of every channel."""
    found = []
    for channel in list_channels(connection):
        waiting, oldest = connection.execute(
            """
            SELECT count(*), min(delivery.made_at)
            FROM alert_delivery AS delivery LEFT JOIN alert_message AS message USING (message_id)
            WHERE delivery.channel_id = %s
              AND (message_id IS NULL OR message.state IN ('claimed', 'sending', 'failed'))
            """,
            [channel.channel_id],
        ).fetchone() or (0, None)
        query = "SELECT state, count(*) FROM alert_message WHERE channel_id = %s GROUP BY state"
        messages = {state: int(count) for state, count in connection.execute(query, [channel.channel_id])}
        found.append(Backlog(channel.name, int(waiting), oldest, messages))
    return found


def purge(connection: Connection[Any], now: datetime) -> None:
    """Forget messages that ended long ago."""
    connection.execute(
        "DELETE FROM alert_message WHERE changed_at < %s AND state IN ('sent', 'unsure', 'given_up')", [now - KEPT]
    )


def sending_for(channel: Channel) -> timedelta:
    """Longer than the last step of sending can take."""
    if isinstance(channel.settings, EmailSettings):
        return timedelta(minutes=12)  # `mail.timeout_s` is at most 600
    if isinstance(channel.settings, WebhookSettings):
        return timedelta(seconds=4 * channel.settings.timeout_s + 20)  # connect, write, read
    return timedelta(minutes=1)


def _open_messages(connection: Connection[Any], channel: Channel) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM alert_message WHERE channel_id = %s AND state IN ('claimed', 'sending', 'failed')"
            " ORDER BY message_id",
            [channel.channel_id],
        ).fetchall()


def _is_held(channel: Channel, message: dict[str, Any], now: datetime) -> bool:
    """Whether somebody is at it, or it is not due."""
    held_until: dict[str, datetime] = {
        "claimed": message["changed_at"] + CLAIMED_FOR,
        "sending": message["changed_at"] + sending_for(channel),
        "failed": message["due_at"],
    }
    return now < held_until[message["state"]]


def _claim_new(connection: Connection[Any], channel: Channel, now: datetime) -> Claim | None:
    """A message of what waits and is ready, unless the channel has had its messages of this minute."""
    recent = _recent(connection, channel, now)
    left = channel.per_minute - sum(1 for _, _, made_at in recent if made_at > now - _MINUTE)
    ready = [
        (detection, occasion)
        for detection, occasion in _waiting(connection, channel)
        if not any(
            (detection, occasion) == (was, when) and made_at + timedelta(seconds=channel.group_s) > now
            for was, when, made_at in recent
        )
    ]
    if left <= 0 or not ready:
        return None
    occasion = ready[0][1]
    # The last message of the minute takes all that is ready: a channel never falls behind for good.
    together = [one for one, when in ready if when == occasion]
    detections = together if left == 1 else together[:1]
    return _make(connection, channel, occasion, detections, now)


def _recent(connection: Connection[Any], channel: Channel, now: datetime) -> list[tuple[str, str, datetime]]:
    since = now - max(_MINUTE, timedelta(seconds=channel.group_s))
    query = "SELECT detection, occasion, made_at FROM alert_message WHERE channel_id = %s AND made_at > %s"
    return [(row[0], row[1], row[2]) for row in connection.execute(query, [channel.channel_id, since])]


def _waiting(connection: Connection[Any], channel: Channel) -> list[tuple[str, Occasion]]:
    """Detections and occasions that wait, the one that waits longest first."""
    rows = connection.execute(
        """
        SELECT detection, occasion FROM alert_delivery AS delivery JOIN alert USING (alert_id)
        WHERE channel_id = %s AND message_id IS NULL GROUP BY 1, 2 ORDER BY min(made_at), occasion = 'closed', detection
        """,
        [channel.channel_id],
    )
    return [(row[0], row[1]) for row in rows]


def _make(
    connection: Connection[Any], channel: Channel, occasion: Occasion, detections: Sequence[str], now: datetime
) -> Claim:
    name = detections[0] if len(detections) == 1 else ""
    row = connection.execute(
        """
        INSERT INTO alert_message (channel_id, detection, occasion, state, attempts, made_at, changed_at, due_at)
        VALUES (%s, %s, %s, 'claimed', 1, %s, %s, %s) RETURNING message_id
        """,
        [channel.channel_id, name, occasion, now, now, now],
    ).fetchone()
    message_id = int(row[0]) if row else 0
    connection.execute(
        """
        UPDATE alert_delivery SET message_id = %s
        WHERE channel_id = %s AND message_id IS NULL AND occasion = %s
          AND alert_id IN (SELECT alert_id FROM alert WHERE detection = ANY(%s))
        """,
        [message_id, channel.channel_id, occasion, list(detections)],
    )
    return Claim(channel, message_id, occasion, 1, now)


def _drop(
    connection: Connection[Any],
    channel: Channel,
    message: dict[str, Any],
    state: MessageState,
    now: datetime,
    note: str | None,
) -> None:
    connection.execute(
        "UPDATE alert_message SET state = %s, changed_at = %s, note = %s WHERE message_id = %s",
        [state, now, note, message["message_id"]],
    )
    _tell_timeline(connection, message["message_id"], state, channel.name, note, now)


def _tell_timeline(
    connection: Connection[Any], message_id: int, state: MessageState, channel: str, note: str | None, now: datetime
) -> None:
    """What became of a message is part of what happened to its alerts, once that is certain."""
    if state in ("claimed", "sending", "failed"):
        return
    connection.execute(
        """
        INSERT INTO alert_event (alert_id, at, actor, kind, words)
        SELECT alert_id, %s, 'ringfence', %s, %s FROM alert_delivery WHERE message_id = %s
        """,
        [now, state, f"{channel}: {note}" if note else channel, message_id],
    )
