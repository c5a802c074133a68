"""Alerts as a signed POST of JSON.

    Ringfence-Delivery: alert-17                      the message's id, the same for every attempt
    Ringfence-Signature: t=1795876331,v1=5257a8…      HMAC-SHA256 of `t` + "." + the body, with the channel's secret
A receiver keeps the ids that it has seen, so that a second copy does nothing; and refuses an old `t`. Any 2xx within
`timeout_s` means taken. Redirects are not followed: the body would go where nobody pointed it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import time

import httpx

from ringfence.detection.alerts.channel import Channel, WebhookSettings
from ringfence.detection.alerts.message import Message
from ringfence.detection.alerts.senders import Confirm
from ringfence.errors import ConfigurationError, UnavailableError

_MAX_SAID = 200


def send(channel: Channel, message: Message, confirm: Confirm) -> str:
    """The receiver answered 2xx."""
    settings = channel.settings
    assert isinstance(settings, WebhookSettings)  # noqa: S101 - by its kind
    body = json.dumps(message.as_json(), ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ringfence",
        "Ringfence-Delivery": message.message_id,
        "Ringfence-Signature": sign(channel.secrets["secret"], body, int(time.time())),
    }
    with httpx.Client(timeout=settings.timeout_s, follow_redirects=False, trust_env=False,
                      verify=_context(settings)) as client:  # fmt: skip
        confirm()
        try:
            with client.stream("POST", settings.url, content=body, headers=headers) as response:
                said = f"{response.status_code} {response.reason_phrase}".strip()
                is_taken = response.is_success
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Whether it arrived or not: the same message may come again, for its id says that it is the same.
            raise UnavailableError(f"webhook: {_line(str(error)) or type(error).__name__}") from None
    if not is_taken:
        raise UnavailableError(f"webhook: answers {_line(said)}")
    return f"answers {_line(said)}"


def sign(secret: str, body: bytes, at: int) -> str:
    """The header's value; `at` is Unix time."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _context(settings: WebhookSettings) -> ssl.SSLContext | bool:
    if settings.url.startswith("http:"):
        return False  # no TLS: the authorities need not be read
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigurationError(f"settings.ca_file: {settings.ca_file} cannot be used: {error.strerror}") from None


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text).strip()[:_MAX_SAID]
