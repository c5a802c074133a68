"""Each kind of channel against a real receiver on loopback."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.detection.alerts.receivers import SyslogServer, TrapReceiver, WebhookServer, snmptrapd
from tests.detection.alerts.samples import NOON, TARGET, fire, firing
from tests.reports.conftest import mail_settings
from tests.reports.mail_server import MailServer

from ringfence.database.connection import Database
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.channel import Channel, parse_settings
from ringfence.detection.alerts.message import Message, make_test, message_of
from ringfence.detection.alerts.senders import send
from ringfence.detection.alerts.senders.snmp import ROOT, engine_id
from ringfence.detection.firing import Severity
from ringfence.errors import ConfigurationError, ConflictError, RingfenceError, UnavailableError
from ringfence.settings import MailSettings

MIBS = Path(__file__).parents[3] / "deploy" / "snmp"
HOSTILE = 'ev"il]\\\r\nBcc: x@example.com\x1b[2J'
# PRI, VERSION, TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID, STRUCTURED-DATA, MSG (RFC 5424, 6).
SYSLOG = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48})"
    r" ([\x21-\x7e]{1,128})"
    r' ([\x21-\x7e]{1,32}) (\[alert@32473(?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*\]) \ufeff(.*)',
)


@pytest.fixture
def alert(database: Database) -> Alert:
    """A flood."""
    return fire(database)


@pytest.fixture
def message(alert: Alert) -> Message:
    """About it."""
    return message_of("alert-7-1", "opened", [alert], 1, NOON)


def channel(kind: str, settings: dict[str, Any], **secrets: str) -> Channel:
    known, parsed = parse_settings(kind, settings)
    return Channel(1, "noc", known, parsed, secrets=secrets)


def hand(to: Channel, message: Message, mail: MailSettings | None = None) -> tuple[str, int]:
    """What the receiver said, and how often it was confirmed."""
    confirmed: list[None] = []
    said = send(to, message, mail or MailSettings(), lambda: confirmed.append(None), is_last=False)
    return said, len(confirmed)


def values_of(data: str) -> dict[str, str]:
    found = re.findall(r' ([a-z]+)="((?:[^"\\\]]|\\["\\\]])*)"', data)
    return {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in found}


def test_mail_goes_through_the_mail_server_of_the_configuration(
    tmp_path: Path, database: Database, message: Message
) -> None:
    with MailServer(tmp_path) as server:
        to = channel("email", {"recipients": ["noc@example.com"]})
        assert hand(to, message, mail_settings(server)) == ("taken by 127.0.0.1", 1)
        hostile = fire(database, firing(key={"source": HOSTILE}))
        hand(to, message_of("alert-8-1", "opened", [hostile], 1, NOON), mail_settings(server))
    first, second = server.mails
    assert first.recipients == ("noc@example.com",)
    assert first.message["Subject"] == f"[critical] flood-one-number: destination {TARGET}"
    assert first.message["Message-ID"] == "<alert-7-1@example.com>"
    assert first.message["X-Priority"] == "1 (highest)"
    assert f"101 within 10 s, above the threshold of 100, for destination {TARGET}." in first.message.get_content()
    assert "only reports: no call was blocked" in first.message.get_content()
    assert second.message["Bcc"] is None
    assert "\x1b" not in second.octets.decode()
    with pytest.raises(ConfigurationError, match=r"^mail\.host: is not set"):
        hand(to, message)


def test_syslog_over_udp_is_rfc_5424(database: Database, message: Message) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        to = channel("syslog", {"host": "127.0.0.1", "port": receiver.getsockname()[1], "facility": 4})
        said, confirmed = hand(to, message)
        assert (said.split(";")[1], confirmed) == (" UDP has no answer", 1)
        parsed = SYSLOG.fullmatch(receiver.recv(65536).decode())
        assert parsed is not None
        priority, at, _, application, _, kind, data, text = parsed.groups()
        assert (priority, at, application, kind) == (str(4 * 8 + 2), "2026-11-20T12:00:00.000Z", "ringfence", "ALERT")
        assert values_of(data) == {
            "id": "alert-7-1", "occasion": "opened", "severity": "critical", "count": "1", "alert": "1",
            "detection": "flood-one-number", "key": f"destination {TARGET}", "value": "101", "threshold": "100",
        }  # fmt: skip
        assert text.startswith(f"[critical] flood-one-number: destination {TARGET} 101 within 10 s")
        hostile = fire(database, firing(key={"source": HOSTILE}, severity=Severity.INFO))
        hand(to, message_of("alert-8-1", "closed", [hostile], 1, NOON))
        parsed = SYSLOG.fullmatch(receiver.recv(65536).decode())
        assert parsed is not None, "what a caller sent does not break the frame"
        assert values_of(parsed[7])["key"] == 'source ev"il]\\  Bcc: x@example.com [2J'
        assert parsed[1] == str(4 * 8 + 6)


def test_syslog_over_tcp_counts_octets(message: Message) -> None:
    with SyslogServer() as server:
        to = channel("syslog", {"host": "127.0.0.1", "port": server.port, "transport": "tcp"})
        assert hand(to, message) == (f"sent to syslog 127.0.0.1:{server.port} (tcp)", 1)
        hand(to, make_test("test-1", NOON))
        first, test = (server.messages.get(timeout=20).decode() for _ in range(2))
    assert SYSLOG.fullmatch(first)
    parsed = SYSLOG.fullmatch(test)
    assert parsed is not None
    assert values_of(parsed[7]) == {"id": "test-1", "occasion": "test", "severity": "info", "count": "0"}
    with pytest.raises(UnavailableError, match=r"\(tcp\): Connection refused"):
        hand(to, message)


def test_syslog_over_tls_proves_the_receiver(tmp_path: Path, message: Message) -> None:
    with MailServer(tmp_path, "tls"):  # makes a certificate for 127.0.0.1
        pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with SyslogServer(context) as server:
        settings = {"host": "127.0.0.1", "port": server.port, "transport": "tls"}
        to = channel("syslog", settings | {"ca_file": str(tmp_path / "certificate.pem")})
        assert hand(to, message)[1] == 1
        assert SYSLOG.fullmatch(server.messages.get(timeout=20).decode())
        with pytest.raises(UnavailableError, match=r"certificate verify failed"):
            hand(channel("syslog", settings), message)
        with pytest.raises(ConfigurationError, match=r"^settings\.ca_file: "):
            hand(channel("syslog", settings | {"ca_file": str(tmp_path / "none")}), message)


def test_a_webhook_is_signed_and_its_answer_told(message: Message) -> None:
    with WebhookServer() as server:
        server.secret = "rfw_right"
        to = channel("webhook", {"url": server.url}, secret="rfw_right")
        assert hand(to, message) == ("answers 200 OK", 1)
        ((delivery, body),) = server.came
        sent = json.loads(body)
        assert (delivery, sent["id"], sent["severity"], sent["count"]) == ("alert-7-1", "alert-7-1", "critical", 1)
        assert (sent["alerts"][0]["key"], sent["alerts"][0]["numbers"]) == ({"destination": TARGET}, [TARGET])
        server.answers = [503, 302, 404]
        for words in ("503 Service Unavailable", "302 Found", "404 Not Found"):
            with pytest.raises(UnavailableError, match=re.escape(f"webhook: answers {words}")):
                hand(to, message)
        assert len(server.came) == 4, "a redirect is not followed"
        hand(channel("webhook", {"url": server.url}, secret="rfw_wrong"), message)
        assert (len(server.came), server.forged) == (4, 1)
    with pytest.raises(UnavailableError, match=r"^webhook: "):
        hand(to, message)


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrapReceiver]:
    """One snmptrapd for both versions."""
    own = engine_id(channel("snmp", {"host": "127.0.0.1", "version": "3", "user": "rf"}))
    configuration = (
        "authCommunity log netwatch\n"
        f"createUser -e 0x{own} rf SHA-256 authsecret AES privsecret\n"
        "authUser log rf priv\n"
    )
    with snmptrapd(tmp_path_factory.mktemp("snmptrapd"), configuration, MIBS) as receiver:
        yield receiver


def test_traps_of_version_2c(traps: TrapReceiver, message: Message) -> None:
    to = channel("snmp", {"host": "127.0.0.1", "port": traps.port}, community="netwatch")
    assert hand(to, message) == (f"handed to the network for 127.0.0.1:{traps.port}; a trap has no answer", 1)
    line = traps.wait_for("STRING: alert-7-1")
    assert f".1.3.6.1.6.3.1.1.4.1.0 = OID: .{ROOT}.0.1" in line
    assert f".{ROOT}.1.4.0 = STRING: destination {TARGET}" in line
    # The MIB is read: the severity's number has its word.
    assert f".{ROOT}.1.2.0 = INTEGER: critical(3)" in line
    assert f".{ROOT}.1.6.0 = Gauge32: 1" in line


def test_traps_of_version_3_with_authentication_and_privacy(traps: TrapReceiver, message: Message) -> None:
    settings = {"host": "127.0.0.1", "port": traps.port, "version": "3", "user": "rf", "auth": "sha256",
                "privacy": "aes128"}  # fmt: skip
    keys = {"auth_key": "authsecret", "privacy_key": "privsecret"}
    wrong = channel("snmp", settings, **(keys | {"auth_key": "anothersecret"}))
    hand(wrong, make_test("test-wrong", NOON))
    # Two processes, one after the other: boots and time go on growing.
    for number in (1, 2):
        hand(channel("snmp", settings, **keys), make_test(f"test-v3-{number}", NOON))
        assert f".{ROOT}.0.3" in traps.wait_for(f"STRING: test-v3-{number}")
    assert not any("test-wrong" in line for line in traps.lines)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("syslog", {"host": "127.0.0.1", "port": 9, "transport": "udp"}),
        ("webhook", {"url": "http://127.0.0.1:9/"}),
        ("snmp", {"host": "127.0.0.1", "port": 9}),
    ],
)
def test_who_lost_the_claim_sends_nothing(message: Message, kind: str, settings: dict[str, Any]) -> None:
    def refuse() -> None:
        raise ConflictError("taken over")

    to = channel(kind, settings, secret="x", community="x")
    with pytest.raises(RingfenceError, match="taken over"):
        send(to, message, MailSettings(), refuse, is_last=False)
