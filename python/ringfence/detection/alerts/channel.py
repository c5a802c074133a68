"""Channels: how alerts reach people and other systems, and what each kind wants to know. Pure.

Settings are shown to whoever may see channels; secrets never are. A bad one is refused by one line that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ringfence.detection.alerts.alert import SEVERITIES, Alert, rank_of
from ringfence.detection.firing import Severity
from ringfence.errors import InvalidInputError
from ringfence.settings import MAIL_ADDRESS

Kind = Literal["email", "syslog", "webhook", "snmp"]
KINDS: tuple[Kind, ...] = ("email", "syslog", "webhook", "snmp")
MAX_CHANNELS = 50
MAX_DETECTIONS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
# RFC 3414, 11.2: what is shorter can be guessed.
_SHORTEST_KEY = 8

Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, Field(min_length=1, max_length=253)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("host", check_fields=False)
    @classmethod
    def _is_host(cls, value: str) -> str:
        try:
            ip_address(value)
        except ValueError:
            if not _HOST_NAME.fullmatch(value):
                raise ValueError("must be a name or an address") from None
        return value

    @field_validator("ca_file", check_fields=False)
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path on the mediation")
        return value


class EmailSettings(_Settings):
    """Mail through the mail server of the configuration (`mail.host` …), which reports use too."""

    recipients: Annotated[list[Annotated[str, Field(max_length=254)]], Field(min_length=1, max_length=50)]

    @field_validator("recipients")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for address in value:
            if not MAIL_ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not one mail address such as ada@example.com")
        return value


class SyslogSettings(_Settings):
    """Syslog of RFC 5424: over UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425)."""

    host: Host
    port: Port = 514
    transport: Literal["udp", "tcp", "tls"] = "udp"
    facility: Annotated[int, Field(ge=0, le=23)] = 16
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _only_tls_has_authorities(self) -> Self:
        if self.ca_file is not None and self.transport != "tls":
            raise ValueError("ca_file is for transport tls")
        return self


class WebhookSettings(_Settings):
    """A POST of JSON, signed."""

    url: Annotated[str, Field(max_length=2000)]
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url or not value.isprintable() or " " in value:
            raise ValueError("must be http://HOST/PATH or https://HOST/PATH")
        if parts.username is not None:
            raise ValueError("must be without user and password: the signature says who sends")
        return value


class SnmpSettings(_Settings):
    """Traps of SNMPv2c, or of v3 with authentication and privacy. `engine_id` is the sender's, for v3."""

    host: Host
    port: Port = 162
    version: Literal["2c", "3"] = "2c"
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    auth: Literal["none", "md5", "sha", "sha256", "sha512"] = "none"
    privacy: Literal["none", "aes128", "aes256"] = "none"
    engine_id: Annotated[str, Field(pattern=r"^[0-9a-f]{10,64}$")] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.version == "3" and self.user is None:
            raise ValueError("user is needed with version 3")
        if self.version == "2c" and (self.user, self.auth, self.privacy) != (None, "none", "none"):
            raise ValueError("user, auth and privacy are for version 3")
        if self.privacy != "none" and self.auth == "none":
            raise ValueError("privacy needs auth")
        return self


AnySettings = EmailSettings | SyslogSettings | WebhookSettings | SnmpSettings
_MODELS: dict[Kind, type[AnySettings]] = {
    "email": EmailSettings,
    "syslog": SyslogSettings,
    "webhook": WebhookSettings,
    "snmp": SnmpSettings,
}
# Secrets that a person gives; a webhook's is made here, and shown once.
GIVEN_SECRETS: dict[Kind, tuple[str, ...]] = {
    "email": (), "syslog": (), "webhook": (), "snmp": ("community", "auth_key", "privacy_key"),
}  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """One. `group_s`: after a message about a detection, further alerts of it wait so long and become one message."""

    channel_id: int
    name: str
    kind: Kind
    settings: AnySettings
    minimum_severity: Severity = Severity.INFO
    detections: tuple[str, ...] = ()
    """Only these; empty: all. What is about alerts themselves is told in any case."""
    is_enabled: bool = True
    sends_closing: bool = False
    per_minute: int = 10
    group_s: int = 60
    failing_since: datetime | None = None
    fault: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Filled only where a message is sent."""

    def wants(self, alert: Alert) -> bool:
        """Whether it is told of an alert."""
        if alert.is_system:
            return alert.key.get("channel") != self.name
        is_named = not self.detections or alert.detection in self.detections
        return is_named and rank_of(alert.severity) >= rank_of(self.minimum_severity)

    def as_json(self) -> dict[str, Any]:
        """Everything but the secrets."""
        return {
            "name": self.name,
            "kind": self.kind,
            "settings": self.settings.model_dump(mode="json", exclude_none=True),
            "minimum_severity": self.minimum_severity.value,
            "detections": list(self.detections),
            "enabled": self.is_enabled,
            "sends_closing": self.sends_closing,
            "per_minute": self.per_minute,
            "group_s": self.group_s,
            "failing_since": self.failing_since.isoformat() if self.failing_since else None,
            "fault": self.fault,
        }


def parse_settings(kind: str, values: Mapping[str, Any]) -> tuple[Kind, AnySettings]:
    """A kind and its settings. InvalidInputError, one line that names the field and never repeats a value of it."""
    known = next((one for one in KINDS if one == kind), None)
    if known is None:
        raise InvalidInputError(f"kind: {kind!r} is not one of {', '.join(KINDS)}")
    try:
        return known, _MODELS[known].model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = ".".join(["settings", *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise InvalidInputError(f"{name}: a channel of kind {known} has no such setting") from None
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{name}: {message[0].lower()}{message[1:]}") from None


def check(channel: Channel) -> None:
    """InvalidInputError names what cannot be."""
    if not _NAME.fullmatch(channel.name):
        raise InvalidInputError(
            f"name: {channel.name!r} must be 1 to 64 letters, digits, dots, dashes or spaces, none at an end"
        )
    if channel.minimum_severity not in SEVERITIES:
        raise InvalidInputError(f"minimum_severity: must be one of {', '.join(SEVERITIES)}")
    if len(channel.detections) > MAX_DETECTIONS or any(not 1 <= len(one) <= 200 for one in channel.detections):
        raise InvalidInputError(f"detections: must be at most {MAX_DETECTIONS} names of 1 to 200 characters")
    if not 1 <= channel.per_minute <= 600:
        raise InvalidInputError(f"per_minute: {channel.per_minute} must be from 1 to 600")
    if not 0 <= channel.group_s <= 3600:
        raise InvalidInputError(f"group_s: {channel.group_s} must be from 0 to 3600 seconds")


def check_secrets(settings: AnySettings, kind: Kind, secrets: Mapping[str, str]) -> None:
    """InvalidInputError names a secret that is missing, unknown or too short."""
    for name, value in secrets.items():
        if name not in (*GIVEN_SECRETS[kind], *(("secret",) if kind == "webhook" else ())):
            raise InvalidInputError(f"secrets.{name}: a channel of kind {kind} has no such secret")
        if not 1 <= len(value) <= 255 or not value.isprintable():
            raise InvalidInputError(f"secrets.{name}: must be 1 to 255 printable characters")
    if not isinstance(settings, SnmpSettings):
        return
    wanted = {
        "community": settings.version == "2c",
        "auth_key": settings.auth != "none",
        "privacy_key": settings.privacy != "none",
    }
    for name, is_wanted in wanted.items():
        if is_wanted and not secrets.get(name):
            raise InvalidInputError(f"secrets.{name}: is needed for these settings")
        if is_wanted and name != "community" and len(secrets[name]) < _SHORTEST_KEY:
            raise InvalidInputError(f"secrets.{name}: must have at least {_SHORTEST_KEY} characters")
