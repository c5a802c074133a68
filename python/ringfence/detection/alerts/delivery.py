"""Messages sent: the leader looks what is due, a thread of each channel sends it, so that no channel waits for another.

    claim ─► read the alerts ─► sender up to its last step ─► begin ─► last step ─► end: sent, failed, unsure
Detection waits for none of it. A channel that failed twice in a row is itself an alert, told on the other channels;
the first message that gets through closes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import Any

import psycopg
import structlog

from ringfence.accounts.audit import record
from ringfence.database.connection import Database
from ringfence.detection.alerts import evidence, outbox, reading, store
from ringfence.detection.alerts.alert import CHANNEL_FAILS
from ringfence.detection.alerts.channel import Channel
from ringfence.detection.alerts.channel_reading import lock_channel, read_channel, with_secrets
from ringfence.detection.alerts.message import MAX_NAMED, Message, make_test, message_of
from ringfence.detection.alerts.outbox import Claim, MessageState
from ringfence.detection.alerts.senders import send
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.reports.smtp import UnsureError
from ringfence.settings import MailSettings

FAILS_AFTER = 2  # attempts in a row
log = structlog.get_logger()
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Tested:
    """What the receiver of a test message said, or why it could not be sent."""

    is_sent: bool
    words: str


class Deliveries:
    """Sends what is due and collects evidence, in threads of its own."""

    def __init__(self, mail: MailSettings) -> None:
        self._mail = mail
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def start_due(self, database: Database) -> None:
        """Begin with every channel for which something waits, and with evidence that is due."""
        with database.connection() as connection:
            channels = outbox.busy_channels(connection)
            is_evidence_due = evidence.is_due(connection, _now())
        for channel in channels:
            self._start(f"channel {channel.name}", partial(send_due, database, self._mail, channel))
        if is_evidence_due:
            self._start("evidence", lambda: evidence.collect_due(database, _now()))

    def test(self, database: Database, name: str, actor: str) -> Tested:
        """Send a test message now; what became of it. NotFoundError."""
        with database.connection() as connection:
            channel = with_secrets(connection, read_channel(connection, name))
            record(connection, actor, "alert_channel.test", name)
        message = make_test(f"test-{token_hex(8)}", _now())
        try:
            said = send(channel, message, self._mail, lambda: None, is_last=True)
        except RingfenceError as error:
            return Tested(False, error.message)
        with database.connection() as connection:
            _recovered(connection, channel, _now())
        return Tested(True, said)

    def _start(self, name: str, work: Callable[[], Any]) -> None:
        with self._lock:
            if name in self._busy:
                return
            self._busy.add(name)
        threading.Thread(target=self._run, args=(name, work), name=f"alerts: {name}", daemon=True).start()

    def _run(self, name: str, work: Callable[[], Any]) -> None:
        try:
            work()
        except (psycopg.Error, RingfenceError) as error:
            log.warning("alerts.stopped", work=name, error=str(error).strip().split("\n")[0])
        finally:
            with self._lock:
                self._busy.discard(name)


def _now() -> datetime:
    return datetime.now(UTC)


def send_due(database: Database, mail: MailSettings, channel: Channel, clock: Clock = _now) -> int:
    """Send what is due for a channel, one message after the other; how many attempts were made."""
    attempts = 0
    while True:
        with database.connection() as connection:
            held = outbox.claim(connection, channel, clock())
        if held is None:
            return attempts
        attempts += 1
        _attempt(database, mail, held, clock)


def _attempt(database: Database, mail: MailSettings, held: Claim, clock: Clock) -> None:
    """One attempt. What goes wrong is kept with the message and its channel."""
    is_last = clock() >= held.made_at + outbox.GIVE_UP_AFTER
    try:
        channel, message = _prepare(database, held)
        said = send(channel, message, mail, lambda: _begin(database, held, clock), is_last=is_last)
    except UnsureError as error:
        _end(database, held, clock(), "unsure", error.message)
    except RingfenceError as error:
        _end(database, held, clock(), "failed", error.message)
    except Exception:
        log.exception("alerts.broke", channel=held.channel.name, message=held.message_id)
        why = "an unexpected error happened; the mediation's log has the details"
        _end(database, held, clock(), "failed", why)
    else:
        _end(database, held, clock(), "sent", said)


def _prepare(database: Database, held: Claim) -> tuple[Channel, Message]:
    with database.connection() as connection:
        channel = with_secrets(connection, held.channel)
        numbers = outbox.alerts_of(connection, held.message_id)
        alerts = [reading.read_alert(connection, number) for number in numbers[::-1][:MAX_NAMED]]
    if not alerts:
        raise NotFoundError("its alerts were removed")
    # The time makes it another than that of a database restored from a backup, which gives out the same numbers.
    message_id = f"alert-{held.message_id}-{int(held.made_at.timestamp())}"
    return channel, message_of(message_id, held.occasion, alerts, len(numbers), held.made_at)


def _begin(database: Database, held: Claim, clock: Clock) -> None:
    with database.connection() as connection:
        outbox.begin(connection, held, clock())


def _end(database: Database, held: Claim, now: datetime, state: MessageState, note: str) -> None:
    """In one transaction: how it went, whether the channel fails, the alert about that."""
    fields = {"channel": held.channel.name, "message": held.message_id, "attempts": held.attempts}
    with database.connection() as connection:
        # The channel before its messages, as everywhere, so that nobody waits for each other.
        lock_channel(connection, held.channel.name)
        if not outbox.end(connection, held, state, now, note):
            return
        if state == "sent":
            _recovered(connection, held.channel, now)
        else:
            _failed(connection, held, note, now)
    if state == "sent":
        log.info("alerts.sent", **fields)
    else:
        log.warning("alerts.failed", **fields, state=state, error=note)


def _failed(connection: psycopg.Connection[Any], held: Claim, note: str, now: datetime) -> None:
    connection.execute(
        "UPDATE alert_channel SET failing_since = coalesce(failing_since, %s), fault = %s WHERE channel_id = %s",
        [now, note[:500], held.channel.channel_id],
    )
    if held.attempts >= FAILS_AFTER:
        store.open_fault(connection, CHANNEL_FAILS, {"channel": held.channel.name}, note, now)


def _recovered(connection: psycopg.Connection[Any], channel: Channel, now: datetime) -> None:
    well = connection.execute(
        "UPDATE alert_channel SET failing_since = NULL, fault = NULL"
        " WHERE channel_id = %s AND failing_since IS NOT NULL",
        [channel.channel_id],
    )
    if well.rowcount:
        store.close_fault(connection, CHANNEL_FAILS, {"channel": channel.name}, "a message got through", now)


def purge(database: Database) -> None:
    """Forget what is kept long enough."""
    with database.connection() as connection:
        store.purge(connection, _now())
