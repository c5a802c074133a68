"""Alerts by mail, through the mail server that reports use (`reports/smtp.py` says what is certain when)."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from ringfence.detection.alerts.alert import SEVERITIES
from ringfence.detection.alerts.channel import Channel, EmailSettings
from ringfence.detection.alerts.message import Message
from ringfence.detection.alerts.senders import Confirm
from ringfence.reports.smtp import hand_over
from ringfence.settings import MailSettings

_POLICY = SMTP.clone(cte_type="7bit")
_PRIORITIES = ("5 (lowest)", "3 (normal)", "1 (highest)")
_SUBJECT = 200


def send(channel: Channel, message: Message, mail: MailSettings, confirm: Confirm, *, is_last: bool) -> str:
    """The server has it; which addresses it refused."""
    assert isinstance(channel.settings, EmailSettings)  # noqa: S101 - by its kind
    recipients = channel.settings.recipients
    refused = hand_over(mail, write(message, mail.sender, recipients), recipients, confirm, is_last=is_last)
    return f"refused: {'; '.join(refused)}" if refused else f"taken by {mail.host}"


def write(message: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """The mail, plain text: whatever a caller put into a number stays a letter among letters."""
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = _line(message.subject)[:_SUBJECT]
    mail["From"] = formataddr(("Ringfence", sender))
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(message.made_at)
    # The same for every attempt, so that a second copy shows as the same.
    mail["Message-ID"] = f"<{message.message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Priority"] = _PRIORITIES[SEVERITIES.index(message.severity)]
    mail.set_content("\n\n".join(_line(line) for line in message.lines) + "\n")
    return mail


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
