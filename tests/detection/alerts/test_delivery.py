"""Messages about alerts: each once, grouped, limited, tried again; a channel that fails is itself an alert."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.detection.alerts.receivers import WebhookServer
from tests.detection.alerts.samples import fire, firing, put_channel, second

from ringfence.database.connection import Database
from ringfence.detection.alerts import channel_store, delivery, outbox, reading, store
from ringfence.detection.alerts.alert import CHANNEL_FAILS, Alert
from ringfence.detection.alerts.channel import Channel
from ringfence.detection.alerts.channel_reading import list_channels, read_channel
from ringfence.detection.alerts.delivery import Deliveries, send_due
from ringfence.detection.alerts.reading import AlertFilter
from ringfence.detection.firing import Severity
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.settings import MailSettings

NO_MAIL = MailSettings()


def hook(database: Database, server: WebhookServer, **fields: Any) -> Channel:
    """A channel to it, whose secret it knows."""
    channel, secret = put_channel(database, "webhook", {"url": server.url}, **fields)
    server.secret = secret or server.secret
    return channel


def run(database: Database, channel: Channel, at: float) -> int:
    return send_due(database, NO_MAIL, channel, lambda: second(at))


def bodies(server: WebhookServer) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in server.came]


def number_key(index: int) -> dict[str, str]:
    return {"destination": f"+1210555{index:04}"}


def open_alerts(database: Database, **wanted: Any) -> list[Alert]:
    with database.connection() as connection:
        return reading.find_alerts(connection, AlertFilter(**wanted))


def told(database: Database, alert: Alert) -> list[tuple[str, str]]:
    with database.connection() as connection:
        return [(one.kind, one.words) for one in reading.timeline(connection, alert.alert_id)[1:]]


def test_an_alert_is_told_once_and_its_extension_not_again(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server)
    alert = fire(database)
    assert run(database, channel, 12) == 1
    fire(database, firing(40), now=41)
    fire(database, firing(10), now=42)  # replayed
    assert run(database, channel, 43) == 0
    (body,) = bodies(server)
    assert (body["occasion"], body["count"], body["alerts"][0]["id"]) == ("opened", 1, alert.alert_id)
    assert told(database, alert) == [("sent", "noc: answers 200 OK")]


def test_each_channel_gets_what_it_wants(database: Database, server: WebhookServer) -> None:
    critical = hook(database, server, minimum_severity=Severity.CRITICAL)
    named, _ = put_channel(database, "webhook", {"url": server.url}, name="named", detections=("probing",))
    off, _ = put_channel(database, "webhook", {"url": server.url}, name="off", is_enabled=False)
    fire(database, firing(severity=Severity.WARNING))
    fire(database, firing(detection="probing", severity=Severity.INFO))
    with database.connection() as connection:
        waiting = {one.channel: one.waiting for one in outbox.backlog(connection)}
        busy = [one.name for one in outbox.busy_channels(connection)]
    assert waiting == {"noc": 0, "named": 1, "off": 0}
    assert busy == ["named"]
    assert [run(database, one, 12) for one in (critical, named, off)] == [0, 1, 0]


def test_who_wants_only_what_is_graver_hears_when_it_becomes_so(database: Database, server: WebhookServer) -> None:
    every = hook(database, server)
    grave, _ = put_channel(
        database, "syslog", {"host": "127.0.0.1", "port": 9}, name="grave", minimum_severity=Severity.CRITICAL
    )
    fire(database, firing(severity=Severity.WARNING))
    assert [run(database, one, 12) for one in (every, grave)] == [1, 0]
    fire(database, firing(40), now=41)
    assert [run(database, one, 42) for one in (every, grave)] == [0, 1]


def test_many_keys_within_a_window_are_one_message(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server, group_s=60)
    fire(database, firing(key=number_key(0)))
    assert run(database, channel, 12) == 1  # the first waits for nothing
    for index in range(1, 41):
        fire(database, firing(key=number_key(index)), now=13)
    fire(database, firing(detection="probing"), now=13)
    assert run(database, channel, 14) == 1  # another detection is not held up
    assert run(database, channel, 71) == 0
    assert run(database, channel, 73) == 1
    first, other, many = bodies(server)
    assert (first["count"], other["count"], other["alerts"][0]["detection"]) == (1, 1, "probing")
    assert (many["count"], len(many["alerts"])) == (40, 5)
    assert many["subject"] == "[critical] 40 alerts of flood-one-number"
    assert "destination +12105550001" in many["text"]
    assert "and 35 more" in many["text"]


def test_a_channel_says_no_more_a_minute_than_it_may_and_forgets_nothing(
    database: Database, server: WebhookServer
) -> None:
    channel = hook(database, server, per_minute=3)
    for number in range(8):
        fire(database, firing(detection=f"detection-{number}"))
    assert run(database, channel, 12) == 3
    assert [body["count"] for body in bodies(server)] == [1, 1, 6]
    fire(database, firing(detection="late"), now=13)
    assert run(database, channel, 71) == 0
    assert run(database, channel, 73) == 1
    assert bodies(server)[-1]["alerts"][0]["detection"] == "late"


def test_what_fails_is_tried_again_as_the_same_message(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server)
    server.answers = [500, 503]
    fire(database)
    assert run(database, channel, 12) == 1
    assert run(database, channel, 12.5) == 0
    # While it fails, what else happens waits, and then goes in one message.
    for index in range(3):
        fire(database, firing(key=number_key(index)), now=13)
    assert run(database, channel, 13.1) == 1
    assert run(database, channel, 14) == 0
    assert run(database, channel, 16) == 2
    ids = [delivered for delivered, _ in server.came]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [body["count"] for body in bodies(server)] == [1, 1, 1, 3]


def test_a_channel_that_fails_is_an_alert_of_the_others_until_it_recovers(
    database: Database, server: WebhookServer
) -> None:
    broken = hook(database, server, sends_closing=True)
    with WebhookServer() as other_server:
        other, secret = put_channel(
            database, "webhook", {"url": other_server.url}, name="other", detections=("none",), sends_closing=True
        )
        other_server.secret = secret or ""
        server.answers = [500] * 4
        fire(database)
        at = 12.0
        for pause in (0, 1.1, 2.1, 5.1):
            at += pause
            assert run(database, broken, at) == 1
            run(database, other, at)
        (body,) = bodies(other_server)
        assert body["subject"] == "[critical] Alerts do not get out: channel noc"
        assert "webhook: answers 500 Internal Server Error" in body["text"]
        (fault,) = open_alerts(database, detection=CHANNEL_FAILS, state="open")
        assert fault.is_system
        with database.connection() as connection:
            shown = read_channel(connection, "noc").as_json()
        assert shown["fault"] == "webhook: answers 500 Internal Server Error"
        assert run(database, broken, at + 11) == 1
        run(database, other, at + 11)
        assert [body["occasion"] for body in bodies(other_server)] == ["opened", "closed"]
    assert open_alerts(database, detection=CHANNEL_FAILS, state="open") == []
    assert told(database, fault)[-1] == ("sent", "other: answers 200 OK")
    assert ("closed", "a message got through") in told(database, fault)
    # The broken channel was never told that it is broken.
    assert {body["alerts"][0]["detection"] for body in bodies(server)} == {"flood-one-number"}


def test_a_mediation_that_died_before_it_sent_leaves_the_message_to_the_next(
    database: Database, server: WebhookServer
) -> None:
    channel = hook(database, server)
    fire(database)
    with database.connection() as connection:
        dead = outbox.claim(connection, channel, second(12))
    assert dead is not None
    assert run(database, channel, 60) == 0  # nobody knows yet that it is dead
    assert run(database, channel, 12 + outbox.CLAIMED_FOR.total_seconds()) == 1
    # Should it live after all, it finds that its claim is gone before anything leaves.
    with database.connection() as connection, pytest.raises(ConflictError, match="taken over"):
        outbox.begin(connection, dead, second(200))
    assert len(server.came) == 1


@pytest.mark.parametrize("kind", ["webhook", "syslog"])
def test_a_mediation_that_died_while_it_sent(database: Database, server: WebhookServer, kind: str) -> None:
    """A webhook's receiver can tell a second copy by its id; of syslog nobody knows, so it is not sent again."""
    if kind == "webhook":
        channel = hook(database, server)
    else:
        channel, _ = put_channel(database, "syslog", {"host": "127.0.0.1", "port": 9})
    alert = fire(database)
    with database.connection() as connection:
        dead = outbox.claim(connection, channel, second(12))
        assert dead is not None
        outbox.begin(connection, dead, second(12))
    late = 12 + outbox.sending_for(channel).total_seconds()
    assert run(database, channel, late - 1) == 0
    assert run(database, channel, late) == (1 if kind == "webhook" else 0)
    if kind == "webhook":
        ((delivered, _),) = server.came
        assert delivered.startswith(f"alert-{dead.message_id}-")
        assert told(database, alert) == [("sent", "noc: answers 200 OK")]
    else:
        assert told(database, alert) == [("unsure", "noc: the mediation ended while it was sent")]
    assert run(database, channel, late + 1000) == 0


def test_a_message_is_given_up_after_a_day(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server)
    server.answers = [500] * 2
    alert = fire(database)
    run(database, channel, 12)
    late = 12 + outbox.GIVE_UP_AFTER.total_seconds()
    run(database, channel, late - 1)
    fire(database, firing(late, detection="new"), now=late)
    assert run(database, channel, late + 60) == 1
    assert told(database, alert) == [("given_up", "noc: webhook: answers 500 Internal Server Error")]
    assert bodies(server)[-1]["alerts"][0]["detection"] == "new"


def test_two_mediations_never_send_the_same(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server)
    fire(database)
    with database.connection() as first, database.connection() as second_one:
        held = outbox.claim(first, channel, second(12))
        assert held is not None
        assert outbox.claim(second_one, channel, second(12)) is None
    assert run(database, channel, 13) == 0


def test_secrets_are_shown_once_and_never_again(database: Database, server: WebhookServer) -> None:
    channel, secret = put_channel(database, "webhook", {"url": server.url})
    assert secret is not None
    assert secret.startswith("rfw_")
    _, none = put_channel(database, "webhook", {"url": server.url}, per_minute=5)
    assert none is None, "a change keeps the secret"
    put_channel(
        database, "snmp", {"host": "127.0.0.1", "version": "3", "user": "rf", "auth": "sha", "privacy": "aes128"},
        name="trap", secrets={"auth_key": "authsecret", "privacy_key": "privsecret"},
    )  # fmt: skip
    with database.connection() as connection:
        shown = json.dumps([one.as_json() for one in list_channels(connection)]) + repr(list_channels(connection))
        shown += str(connection.execute("SELECT detail FROM audit").fetchall())
        kept = connection.execute("SELECT secrets FROM alert_channel ORDER BY channel_id").fetchall()
    assert kept == [({"secret": secret},), ({"auth_key": "authsecret", "privacy_key": "privsecret"},)]
    for one in (secret, "authsecret", "privsecret"):
        assert one not in shown
    server.secret = secret
    assert Deliveries(NO_MAIL).test(database, channel.name, "ada").is_sent
    assert (len(server.came), server.forged) == (1, 0)


BAD: tuple[tuple[str, dict[str, Any], dict[str, str], str], ...] = (
    ("fax", {}, {}, "kind: 'fax' is not one of email, syslog, webhook, snmp"),
    ("email", {"recipients": ["ada"]}, {}, "settings.recipients: 'ada' is not one mail address"),
    ("syslog", {"host": "a b"}, {}, "settings.host: must be a name or an address"),
    ("syslog", {"host": "h", "port": 0}, {}, "settings.port: input should be greater than or equal to 1"),
    ("syslog", {"host": "h", "colour": 1}, {}, "settings.colour: a channel of kind syslog has no such setting"),
    ("webhook", {"url": "ftp://x/"}, {}, "settings.url: must be http://HOST/PATH"),
    ("webhook", {"url": "https://u:p@x/"}, {}, "settings.url: must be without user and password"),
    ("snmp", {"host": "h"}, {}, "secrets.community: is needed for these settings"),
    ("snmp", {"host": "h", "version": "3"}, {}, "settings: user is needed with version 3"),
    ("snmp", {"host": "h", "version": "3", "user": "u", "auth": "sha"}, {"auth_key": "short"},
     "secrets.auth_key: must have at least 8 characters"),
    ("email", {"recipients": ["a@example.com"]}, {"password": "x"}, "secrets.password: a channel of kind email"),
)  # fmt: skip


def test_a_bad_setting_is_one_line_that_names_it(database: Database) -> None:
    for kind, settings, secrets, words in BAD:
        with pytest.raises(InvalidInputError) as caught:
            put_channel(database, kind, settings, secrets=secrets)
        assert caught.value.message.startswith(words)
        assert "\n" not in caught.value.message
    with database.connection() as connection:
        assert list_channels(connection) == []


def test_removing_or_switching_off_a_channel_forgets_what_waits_and_its_fault(
    database: Database, server: WebhookServer
) -> None:
    channel = hook(database, server)
    server.answers = [500, 500]
    fire(database)
    run(database, channel, 12)
    run(database, channel, 14)
    assert len(open_alerts(database, detection=CHANNEL_FAILS, state="open")) == 1
    put_channel(database, "webhook", {"url": server.url}, is_enabled=False)
    assert open_alerts(database, detection=CHANNEL_FAILS, state="open") == []
    put_channel(database, "webhook", {"url": server.url})
    assert run(database, channel, 60) == 0
    with database.connection() as connection:
        channel_store.remove_channel(connection, "noc", "ada", second(70))
        with pytest.raises(NotFoundError, match="channel 'noc'"):
            channel_store.remove_channel(connection, "noc", "ada", second(70))
    Deliveries(NO_MAIL).start_due(database)
    delivery.purge(database)
    assert server.answers == []


def test_messages_are_forgotten_without_being_sent_again(database: Database, server: WebhookServer) -> None:
    channel = hook(database, server)
    fire(database)
    run(database, channel, 12)
    later = second(13) + outbox.KEPT + timedelta(days=1)
    with database.connection() as connection:
        store.purge(connection, later)
        assert outbox.busy_channels(connection) == []
