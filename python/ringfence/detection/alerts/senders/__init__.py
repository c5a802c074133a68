"""One module for each kind of channel; each hands a message over, or says what is certain about it.

    send(channel, message, confirm) -> what the receiver said
`confirm` is called when all but the message itself is done, and may raise. UnavailableError: the receiver does not have
it, trying again may help. UnsureError: nobody knows. ConfigurationError names the setting that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ringfence.detection.alerts.channel import Channel
from ringfence.detection.alerts.message import Message
from ringfence.settings import MailSettings

Confirm = Callable[[], None]


def send(channel: Channel, message: Message, mail: MailSettings, confirm: Confirm, *, is_last: bool) -> str:
    """Hand a message over; what its receiver said, in one line. Libraries are loaded with the first message."""
    module = import_module(f"ringfence.detection.alerts.senders.{channel.kind}")
    if channel.kind == "email":
        return str(module.send(channel, message, mail, confirm, is_last=is_last))
    return str(module.send(channel, message, confirm))
