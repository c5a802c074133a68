"""Handing a mail over to the mail server, told apart by what is certain: it took it, it did not, or nobody knows.

    connect ─► EHLO ─► (STARTTLS) ─► (sign in) ─► MAIL, RCPT … ─► confirm ─► DATA ─► 250
Until DATA every failure means that the server does not have the mail. From the first octet of the text until its answer
a broken connection means neither; such a mail is not sent again.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP

from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.settings import MailSettings

_SMTP = SMTP.clone(cte_type="7bit")
_MAX_SAID = 200


class UnsureError(UnavailableError):
    """The server may have the mail or not."""

    code = "unavailable.unsure"


def hand_over(
    settings: MailSettings,
    message: EmailMessage,
    recipients: Sequence[str],
    confirm: Callable[[], None],
    *,
    is_last: bool,
) -> list[str]:
    """The server has the mail; what it said of recipients that it refused.

    `confirm` is called when everything but the text is said, and may raise. An address that is refused for now fails
    the whole while it is tried again (`is_last` False), so that nobody gets the mail twice. UnavailableError: the
    server does not have it. UnsureError. ConfigurationError: `mail` is not set, or its files cannot be read.
    """
    if settings.host is None:
        raise ConfigurationError("mail.host: is not set, so no mail can be sent")
    where = f"mail server {settings.host}:{settings.port}"
    try:
        server = _connect(settings, settings.host)
        try:
            refused = _address(server, settings.sender, recipients, is_last=is_last)
            confirm()
            _give(server, message)
            return refused
        finally:
            # Whatever becomes of the farewell, what was said before stands.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()
    except smtplib.SMTPResponseException as error:
        raise UnavailableError(f"{where}: {error.smtp_code} {_said(error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise UnavailableError(f"{where}: {_first_line(str(error)) or type(error).__name__}") from None
    except UnsureError as error:
        raise UnsureError(f"{where}: {error.message}") from None


def _connect(settings: MailSettings, host: str) -> smtplib.SMTP:
    password = _password(settings)
    name = socket.gethostname()
    context = _context(settings) if settings.tls != "none" else None
    server: smtplib.SMTP
    if settings.tls == "tls":
        server = smtplib.SMTP_SSL(host, settings.port, name, timeout=settings.timeout_s, context=context)
    else:
        server = smtplib.SMTP(host, settings.port, name, timeout=settings.timeout_s)
    try:
        server.ehlo()
        if settings.tls == "starttls":
            server.starttls(context=context)
            server.ehlo()
        if settings.user is not None:
            server.login(settings.user, password)
    except BaseException:
        server.close()
        raise
    return server


def _address(server: smtplib.SMTP, sender: str, recipients: Sequence[str], *, is_last: bool) -> list[str]:
    """MAIL and RCPT. SMTPResponseException when no recipient is left, or one may be taken later."""
    _expect(server.mail(sender), 250)
    refused: list[tuple[int, str]] = []
    for recipient in recipients:
        code, said = server.rcpt(recipient)
        if code not in (250, 251):
            refused.append((code, f"{recipient}: {_said(said)}"))
    if refused and (len(refused) == len(recipients) or not (is_last or all(code >= 500 for code, _ in refused))):
        raise smtplib.SMTPResponseException(*refused[0])
    return [f"{code} {said}" for code, said in refused]


def _give(server: smtplib.SMTP, message: EmailMessage) -> None:
    octets = message.as_bytes(policy=_SMTP).removesuffix(b"\r\n")
    _expect(server.docmd("DATA"), 354)
    try:
        # A line that begins with a dot gets another one (RFC 5321, 4.5.2).
        server.send(re.sub(rb"(?m)^\.", b"..", octets) + b"\r\n.\r\n")
        answer = server.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise UnsureError(f"went away while it had the mail: {_first_line(str(error))}") from None
    _expect(answer, 250)


def _expect(answer: tuple[int, bytes], code: int) -> None:
    if answer[0] != code:
        raise smtplib.SMTPResponseException(*answer)


def _context(settings: MailSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigurationError(f"mail.ca_file: {settings.ca_file} cannot be used: {error.strerror}") from None


def _password(settings: MailSettings) -> str:
    if settings.password_file is None:
        return ""
    try:
        return settings.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"mail.password_file: {settings.password_file} cannot be read: {error}") from None


def _said(said: bytes | str) -> str:
    return _first_line(said.decode(errors="replace") if isinstance(said, bytes) else said)


def _first_line(text: str) -> str:
    """What a server says is shown to people: one line, of what can be shown."""
    line = "".join(one if one.isprintable() else " " for one in text).strip()
    return line[:_MAX_SAID]
