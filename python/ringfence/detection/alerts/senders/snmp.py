"""Alerts as SNMP traps, v2c and v3 (USM), with the objects of `deploy/snmp/RINGFENCE-MIB.txt`.

A trap has no answer: that it was handed to the network is all that can be known. A receiver of v3 knows the sender by
its engine id, and refuses what is older than it saw: the id is the channel's own, boots and time are made of the clock,
so that they grow over restarts and whichever mediation sends. Nothing is kept on disk.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ringfence.detection.alerts.alert import SEVERITIES
from ringfence.detection.alerts.channel import Channel, SnmpSettings
from ringfence.detection.alerts.message import Message
from ringfence.detection.alerts.senders import Confirm
from ringfence.errors import UnavailableError

# RFC 5612's number for documents; see docs/alerts.md.
ROOT = "1.3.6.1.4.1.32473.4213"
TRAPS = {"opened": f"{ROOT}.0.1", "closed": f"{ROOT}.0.2", "test": f"{ROOT}.0.3"}
OBJECTS = {
    name: f"{ROOT}.1.{number}.0"
    for number, name in enumerate(
        ("message", "severity", "detection", "key", "count", "alert", "value", "threshold", "text"), start=1
    )
}
MAX_TEXT = 255
_MOST = 2**32 - 1
_ENGINE_FORMAT = "80007ed904"  # 32473 with the high bit, then text of the administrator's (RFC 3411, SnmpEngineID)
_BOOT_LASTS = 2**30  # snmpEngineTime ends at 2^31 - 1


def send(channel: Channel, message: Message, confirm: Confirm) -> str:
    """The network has it."""
    settings = channel.settings
    assert isinstance(settings, SnmpSettings)  # noqa: S101 - by its kind
    where = f"{settings.host}:{settings.port}"
    from pysnmp.error import PySnmpError

    try:
        asyncio.run(_send(channel, settings, message, confirm))
    except (PySnmpError, OSError) as error:
        words = "".join(one if one.isprintable() else " " for one in str(error))[:200].strip()
        raise UnavailableError(f"SNMP {where}: {words or type(error).__name__}") from None
    return f"handed to the network for {where}; a trap has no answer"


def engine_id(channel: Channel) -> str:
    """The sender's engine id of a channel for v3, in hex: what the receiver must be told beside user and keys."""
    settings = channel.settings
    assert isinstance(settings, SnmpSettings)  # noqa: S101 - by its kind
    return settings.engine_id or _ENGINE_FORMAT + f"ringfence-{channel.channel_id}".encode().hex()


async def _send(channel: Channel, settings: SnmpSettings, message: Message, confirm: Confirm) -> None:
    from pysnmp.hlapi.v3arch import asyncio as hlapi

    engine = hlapi.SnmpEngine()
    try:
        if settings.version == "3":
            _become(engine, bytes.fromhex(engine_id(channel)), int(time.time()))
        target = hlapi.Udp6TransportTarget if ":" in settings.host else hlapi.UdpTransportTarget
        transport = await target.create((settings.host, settings.port))
        notification = hlapi.NotificationType(hlapi.ObjectIdentity(TRAPS[message.occasion])).add_varbinds(
            *((OBJECTS[name], value) for name, value in _values(message).items())
        )
        confirm()
        await hlapi.send_notification(
            engine, _credentials(channel, settings), transport, hlapi.ContextData(), "trap", notification,
            lookupMib=True,
        )  # fmt: skip
    finally:
        engine.close_dispatcher()


def _become(engine: Any, own_id: bytes, now: int) -> None:
    """Give an engine id, boots and time. Not with its constructor, which keeps boots in a folder all may write to."""
    builder = engine.get_mib_builder()
    names = ("snmpEngineID", "snmpEngineBoots", "snmpEngineTime")
    known, boots, uptime = builder.import_symbols("__SNMP-FRAMEWORK-MIB", *names)
    known.syntax = known.syntax.clone(own_id)
    engine.snmpEngineID = known.syntax
    boots.syntax = boots.syntax.clone(1 + now // _BOOT_LASTS)
    uptime.syntax = uptime.syntax.clone(now % _BOOT_LASTS)


def _credentials(channel: Channel, settings: SnmpSettings) -> Any:
    from pysnmp.hlapi.v3arch import asyncio as hlapi

    if settings.version == "2c":
        return hlapi.CommunityData(channel.secrets["community"], mpModel=1)  # noqa: S508 - its administrator chose v2c
    auth = {
        "none": hlapi.USM_AUTH_NONE, "md5": hlapi.USM_AUTH_HMAC96_MD5, "sha": hlapi.USM_AUTH_HMAC96_SHA,
        "sha256": hlapi.USM_AUTH_HMAC192_SHA256, "sha512": hlapi.USM_AUTH_HMAC384_SHA512,
    }  # fmt: skip
    privacy = {
        "none": hlapi.USM_PRIV_NONE, "aes128": hlapi.USM_PRIV_CFB128_AES, "aes256": hlapi.USM_PRIV_CFB256_AES,
    }  # fmt: skip
    return hlapi.UsmUserData(
        settings.user,
        authKey=channel.secrets["auth_key"] if settings.auth != "none" else None,
        privKey=channel.secrets["privacy_key"] if settings.privacy != "none" else None,
        authProtocol=auth[settings.auth],
        privProtocol=privacy[settings.privacy],
    )


def _values(message: Message) -> dict[str, Any]:
    """The objects of a trap, in the MIB's order."""
    from pysnmp.proto.rfc1902 import Gauge32, Integer32, OctetString

    first = message.alerts[0] if message.alerts else None
    texts = {
        "message": message.message_id,
        "detection": message.detection,
        "key": first.key_text if first else "",
        "value": f"{first.value:g}" if first else "",
        "threshold": f"{first.threshold:g}" if first else "",
        "text": " ".join([message.subject, *message.lines[1:]]) if first else message.lines[0],
    }
    values: dict[str, Any] = {name: OctetString(_octets(text)) for name, text in texts.items()}
    values |= {
        "severity": Integer32(SEVERITIES.index(message.severity) + 1),
        "count": Gauge32(message.count),
        "alert": Gauge32(min(first.alert_id if first else 0, _MOST)),
    }
    return {name: values[name] for name in OBJECTS}


def _octets(text: str) -> bytes:
    """UTF-8 of what can be shown, cut to what a receiver keeps."""
    line = "".join(one if one.isprintable() else " " for one in text)
    return line.encode()[:MAX_TEXT].decode(errors="ignore").encode()
