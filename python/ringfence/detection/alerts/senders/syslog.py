"""Alerts as syslog of RFC 5424, over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1) or TLS (RFC 5425).

Syslog has no answer. Over UDP a message that was handed to the network is all that can be known; over TCP and TLS that
this end's system took it, and that the connection was closed in order. An error after the first octet means neither.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from contextlib import suppress

from ringfence.detection.alerts.channel import Channel, SyslogSettings
from ringfence.detection.alerts.message import Message
from ringfence.detection.alerts.senders import Confirm
from ringfence.detection.firing import Severity
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.reports.smtp import UnsureError

TIMEOUT_S = 10.0
# What every receiver takes (RFC 5424, 6.1), and more than which a datagram may be cut.
MAX_OCTETS = 2048
# The number that RFC 5612 sets aside for documents: the project has none of its own yet (docs/alerts.md).
ENTERPRISE = 32473
_SEVERITIES = {Severity.INFO: 6, Severity.WARNING: 4, Severity.CRITICAL: 2}
_SHUT = re.compile(r'(["\\\]])')


def send(channel: Channel, message: Message, confirm: Confirm) -> str:
    """The network, or the peer's system, has it."""
    settings = channel.settings
    assert isinstance(settings, SyslogSettings)  # noqa: S101 - by its kind
    where = f"syslog {settings.host}:{settings.port} ({settings.transport})"
    octets = write(message, settings.facility)
    try:
        if settings.transport == "udp":
            _send_datagram(settings, octets, confirm)
            return f"handed to the network for {where}; UDP has no answer"
        stream = _connect(settings)
    except OSError as error:
        raise UnavailableError(f"{where}: {_why(error)}") from None
    with stream:
        confirm()
        try:
            stream.sendall(b"%d %b" % (len(octets), octets))
            _close(stream)
        except OSError as error:
            raise UnsureError(f"{where}: the connection broke while it was sent: {_why(error)}") from None
    return f"sent to {where}"


def write(message: Message, facility: int) -> bytes:
    """One message: HEADER, STRUCTURED-DATA, MSG with its byte order mark (RFC 5424, 6)."""
    priority = facility * 8 + _SEVERITIES[message.severity]
    at = message.made_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = re.sub(r"[^\x21-\x7e]", "-", socket.gethostname())[:255] or "-"
    fields = {"id": message.message_id, "occasion": message.occasion, "severity": message.severity.value,
              "count": str(message.count)}  # fmt: skip
    if message.alerts:
        first = message.alerts[0]
        fields |= {"alert": str(first.alert_id), "detection": first.detection, "key": first.key_text,
                   "value": f"{first.value:g}", "threshold": f"{first.threshold:g}"}  # fmt: skip
    data = "".join(f' {name}="{_parameter(value)}"' for name, value in fields.items())
    head = f"<{priority}>1 {at} {host} ringfence {os.getpid()} ALERT [alert@{ENTERPRISE}{data}] "
    text = " ".join("".join(one if one.isprintable() else " " for one in line) for line in _said(message))
    octets = head.encode() + b"\xef\xbb\xbf" + text.encode()
    return octets[:MAX_OCTETS].decode(errors="ignore").encode()


def _said(message: Message) -> list[str]:
    return [message.subject, *message.lines[1:]] if message.alerts else message.lines


def _parameter(value: str) -> str:
    """PARAM-VALUE with its three characters escaped (RFC 5424, 6.3.3), on one line and not too long."""
    return _SHUT.sub(r"\\\1", "".join(one if one.isprintable() else " " for one in value)[:200])


def _send_datagram(settings: SyslogSettings, octets: bytes, confirm: Confirm) -> None:
    family, kind, number, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, number) as datagram:
        datagram.connect(address)
        confirm()
        datagram.send(octets)


def _connect(settings: SyslogSettings) -> socket.socket:
    stream = socket.create_connection((settings.host, settings.port), TIMEOUT_S)
    if settings.transport == "tcp":
        return stream
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        stream.close()
        raise ConfigurationError(f"settings.ca_file: {settings.ca_file} cannot be used: {error.strerror}") from None
    try:
        return context.wrap_socket(stream, server_hostname=settings.host)
    except BaseException:
        stream.close()
        raise


def _close(stream: socket.socket) -> None:
    """Say that nothing more comes, and wait for the peer to close: then it has read everything. A peer that keeps the
    connection open is not waited for long: it took the octets, and syslog has no other answer."""
    stream.settimeout(1.0)
    with suppress(TimeoutError, ssl.SSLEOFError):
        if isinstance(stream, ssl.SSLSocket):
            stream.unwrap()
        else:
            stream.shutdown(socket.SHUT_WR)
            while stream.recv(1024):
                pass


def _why(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).strip()
