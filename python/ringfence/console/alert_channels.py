"""The page of channels: how alerts get out, whether they do, adding one, testing one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from nicegui import run, ui

from ringfence.console.address import iso
from ringfence.console.alerts import REFRESH_S, SEVERITY_CHOICES
from ringfence.console.forms import Fields, FormDialog, area_field, attempt, check, confirm, entry_field
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.detection.alerts import channel_store, outbox
from ringfence.detection.alerts.channel import (
    GIVEN_SECRETS,
    Channel,
    EmailSettings,
    Kind,
    WebhookSettings,
    parse_settings,
)
from ringfence.detection.alerts.channel_reading import list_channels
from ringfence.detection.alerts.delivery import Deliveries
from ringfence.detection.alerts.outbox import Backlog
from ringfence.detection.alerts.senders.snmp import engine_id
from ringfence.detection.firing import Severity
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Role

KIND_WORDS: dict[Kind, str] = {
    "email": "E-mail", "syslog": "Syslog", "webhook": "Webhook", "snmp": "SNMP trap",
}  # fmt: skip
_ICONS: dict[Kind, str] = {"email": "mail", "syslog": "receipt_long", "webhook": "webhook", "snmp": "settings_ethernet"}
_TRANSPORTS = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
_VERSIONS = {"2c": "v2c", "3": "v3"}
_AUTHS = {"sha256": "SHA-256", "sha512": "SHA-512", "sha": "SHA-1", "md5": "MD5", "none": "None"}
_PRIVACIES = {"aes128": "AES-128", "aes256": "AES-256", "none": "None"}
_WANTS = {Severity.INFO: "all", Severity.WARNING: "warning and above", Severity.CRITICAL: "critical only"}
_SECRET_WORDS = {"community": "Community", "auth_key": "Authentication key", "privacy_key": "Privacy key"}
Listed = list[tuple[Channel, Backlog]]
Refresh = Callable[[], Awaitable[None]]


@page("/alerts/channels", "Channels", "campaign", Role.ANALYST, group="/alerts")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


@dataclass(frozen=True)
class _Filled:
    """A form as a channel and the secrets that were typed."""

    channel: Channel
    secrets: dict[str, str]


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shown: Listed | None = None
        self.may = view.session.may(Role.ADMINISTRATOR)
        with Tag("div", classes="page-head"):
            heading("Channels for alerts")
            if self.may:
                for kind, words in KIND_WORDS.items():
                    button(words, partial(ask_channel, view, kind, None, self._refresh), icon="add",
                           aria_label=f"Add a channel: {words}")  # fmt: skip
        self.region = Region("stack")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            listed = await self.view.session.act(Role.ANALYST, _list)
            if listed == self.shown and self.region.state != "failed":
                return
            self.shown = listed
            if not listed:
                self.region.empty("Alerts are shown here only", "Add a channel, so that they reach people and other "
                                  "systems too.", "campaign")  # fmt: skip
                return
            with self.region.content(), Tag("div", classes="channel-cards"):
                for channel, backlog in listed:
                    self._lay_out(channel, backlog)

        await load(self.region, answer, self._refresh)

    def _lay_out(self, channel: Channel, backlog: Backlog) -> None:
        with Tag("section", classes="card stack", aria_label=channel.name):
            with Tag("div", classes="line"):
                ui.icon(_ICONS[channel.kind]).props("aria-hidden=true")
                Tag("h2", channel.name)
                Tag("span", classes="space")
                words, colour = _state(channel)
                Tag("span", words, classes=f"pill {colour}")
            if channel.fault:
                with Tag("div", classes="error", role="status"):
                    Tag("span", f"{channel.fault} – since ")
                    moment(iso(channel.failing_since) if channel.failing_since else None)
            with Tag("dl", classes="facts"):
                for name, value in _facts(channel, backlog):
                    Tag("dt", name)
                    Tag("dd", value)
            if self.may:
                with Tag("div", classes="line"):
                    button("Send a test", partial(self._test, channel), icon="send", classes="small",
                           aria_label=f"Send a test through {channel.name}")  # fmt: skip
                    button("Edit", partial(ask_channel, self.view, channel.kind, channel, self._refresh), icon="edit",
                           classes="quiet small", aria_label=f"Edit {channel.name}")  # fmt: skip
                    button("", partial(self._remove, channel), icon="delete_outline", classes="quiet icon-only small",
                           aria_label=f"Remove {channel.name}")  # fmt: skip

    async def _test(self, channel: Channel) -> None:
        session = self.view.session

        async def work() -> None:
            await session.act(Role.ADMINISTRATOR, lambda connection: None)
            self.view.say(f"{channel.name}: a test is being sent.")
            deliveries = Deliveries(session.settings.mail)
            tested = await run.io_bound(deliveries.test, session.database, channel.name, session.identity.name)
            if tested is not None:
                self.view.say(f"{channel.name}: {tested.words}", is_fault=not tested.is_sent)
            await self._refresh()

        await attempt(self.view, work)

    def _remove(self, channel: Channel) -> None:
        session = self.view.session

        async def remove() -> None:
            await session.act(
                Role.ADMINISTRATOR, channel_store.remove_channel, channel.name, session.identity.name, datetime.now(UTC)
            )
            await self._refresh()

        confirm(self.view, f"Remove channel {channel.name}?", "Nothing more is told through it; what waits for it is "
                "forgotten.", "Remove", remove)  # fmt: skip


def ask_channel(view: View, kind: Kind, known: Channel | None, refresh: Refresh) -> None:
    """A form for a new channel, or for what is to be changed of one."""

    async def put(fields: Fields) -> None:
        filled = _filled(kind, fields, known)
        session = view.session
        kept = await session.act(
            Role.ADMINISTRATOR, channel_store.set_channel, filled.channel, filled.secrets, session.identity.name,
            datetime.now(UTC), renew_secret="renew" in fields,
        )  # fmt: skip
        await refresh()
        if kept.secret:
            _show_secret(view, kept.channel.name, kept.secret)

    title = f"{KIND_WORDS[kind]}: {known.name}" if known else f"Add a channel: {KIND_WORDS[kind]}"
    dialog = FormDialog(view, title, "Keep it", put, classes="wide")
    values = known.settings.model_dump(mode="json") if known else {}
    with dialog.body:
        if known is None:
            entry_field("Name", "", name="name", required=True, autofocus=True)
        _lay_out_settings(view, kind, values)
        for name in GIVEN_SECRETS[kind]:
            hint = "Left empty, it stays as it is" if known else ""
            entry_field(_SECRET_WORDS[name], "", name=name, type="password", hint=hint)
        with Tag("div", classes="pair-fields"):
            shown = known or Channel(0, "", kind, EmailSettings(recipients=["a@example.com"]))
            severity = shown.minimum_severity.value if shown.minimum_severity is not Severity.INFO else ""
            Choice("Severity", SEVERITY_CHOICES, severity, ignore, name="severity")
            entry_field("Detections", ", ".join(shown.detections), name="detections", placeholder="all")
            entry_field("Most messages a minute", str(shown.per_minute), name="per_minute", inputmode="numeric",
                        hint="The last one takes all that waits")  # fmt: skip
            entry_field("Group within seconds", str(shown.group_s), name="group_s", inputmode="numeric",
                        hint="Further alerts of a detection are one message")  # fmt: skip
        with Tag("div", classes="checks"):
            check("Enabled", name="enabled", is_on=shown.is_enabled)
            check("Say too when an alert is closed", name="closing", is_on=shown.sends_closing)
            if kind == "webhook" and known is not None:
                check("Make a new secret", name="renew")


def _lay_out_settings(view: View, kind: Kind, values: dict[str, Any]) -> None:
    if kind == "email":
        if view.session.settings.mail.host is None:
            Tag("p", "No mail server is set up yet (mail.host in the configuration): sending fails until it is.",
                classes="muted")  # fmt: skip
        area_field("To", "\n".join(values.get("recipients", ())), name="recipients", placeholder="noc@example.com",
                   hint="One address a line", rows=3)  # fmt: skip
        return
    if kind == "webhook":
        entry_field("URL", values.get("url", ""), name="url", placeholder="https://alerts.example.com/ringfence")
        return
    with Tag("div", classes="pair-fields"):
        entry_field("Host", values.get("host", ""), name="host", placeholder="192.0.2.10")
        entry_field("Port", str(values.get("port", 514 if kind == "syslog" else 162)), name="port", inputmode="numeric")
        if kind == "syslog":
            Choice("Transport", _TRANSPORTS, values.get("transport", "udp"), ignore, name="transport")
            entry_field("Facility", str(values.get("facility", 16)), name="facility", inputmode="numeric",
                        hint="0 to 23; 16 is local0")  # fmt: skip
        else:
            Choice("Version", _VERSIONS, values.get("version", "2c"), ignore, name="version")
            entry_field("User", values.get("user") or "", name="user", placeholder="v3")
            Choice("Authentication", _AUTHS, values.get("auth", "none"), ignore, name="auth")
            Choice("Privacy", _PRIVACIES, values.get("privacy", "none"), ignore, name="privacy")
    if kind == "syslog":
        entry_field("Authorities for TLS", values.get("ca_file") or "", name="ca_file",
                    placeholder="the system's", hint="A PEM file on the mediation")  # fmt: skip


def _filled(kind: Kind, fields: Fields, known: Channel | None) -> _Filled:
    names = {"email": ("recipients",), "webhook": ("url",), "syslog": ("host", "port", "transport", "facility",
             "ca_file"), "snmp": ("host", "port", "version", "user", "auth", "privacy")}  # fmt: skip
    # What the form does not show stays.
    values: dict[str, Any] = known.settings.model_dump(mode="json", exclude_none=True) if known else {}
    for name in names[kind]:
        text = fields.get(name, "").strip()
        values.pop(name, None)
        if text:
            values[name] = text.replace(",", " ").split() if name == "recipients" else text
    _, settings = parse_settings(kind, values)
    channel = Channel(
        0,
        known.name if known else fields.get("name", "").strip(),
        kind,
        settings,
        Severity(fields.get("severity") or "info"),
        tuple(one.strip() for one in fields.get("detections", "").split(",") if one.strip()),
        "enabled" in fields,
        "closing" in fields,
        _whole("per_minute", fields),
        _whole("group_s", fields),
    )
    return _Filled(channel, {name: fields[name] for name in GIVEN_SECRETS[kind] if fields.get(name)})


def _whole(name: str, fields: Fields) -> int:
    text = fields.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise InvalidInputError(f"{name}: {text!r} is not a whole number")
    return int(text)


def _show_secret(view: View, name: str, secret: str) -> None:
    with view.layer:
        dialog = ui.dialog().props("persistent")
    with dialog, Tag("div", classes="dialog", role="document"):
        Tag("h1", f"The secret of {name}")
        Tag("p", "It signs what is sent, so that the receiver can tell who sends. It is shown only now.")
        Tag("code", secret, classes="secret mono", data_testid="secret")
        with Tag("div", classes="row-end"):
            button("Copy", lambda: ui.clipboard.write(secret), icon="content_copy")
            button("Done", dialog.close, classes="primary")
    dialog.open()


def _state(channel: Channel) -> tuple[str, str]:
    if not channel.is_enabled:
        return "Off", "none"
    return ("Fails", "red") if channel.failing_since else ("On", "green")


def _facts(channel: Channel, backlog: Backlog) -> list[tuple[str, str]]:
    settings = channel.settings
    if isinstance(settings, EmailSettings):
        place = ", ".join(settings.recipients)
    elif isinstance(settings, WebhookSettings):
        place = settings.url
    else:
        place = f"{settings.host}:{settings.port}"
    said = {state: count for state, count in backlog.messages.items() if state in ("sent", "unsure", "given_up")}
    found = [
        (KIND_WORDS[channel.kind], place),
        ("Wants", f"{_WANTS[channel.minimum_severity]}, "
                  f"of {', '.join(channel.detections) or 'every detection'}"),
        ("Messages", ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in said.items()) or "none yet"),
    ]  # fmt: skip
    if channel.kind == "snmp" and getattr(settings, "version", "") == "3":
        found.append(("Engine id", f"0x{engine_id(channel)}"))
    if backlog.waiting:
        found.append(("Waiting", f"{backlog.waiting:,} alerts"))
    return found


def _list(connection: psycopg.Connection) -> Listed:
    backlog = {one.channel: one for one in outbox.backlog(connection)}
    return [(channel, backlog[channel.name]) for channel in list_channels(connection)]
