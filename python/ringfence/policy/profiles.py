"""SBC profiles that come with the product: how each kind of SBC wants the answers written.

An operator names one per SBC (`sbcs: [{name: edge-1, network: 192.0.2.1, profile: oracle}]`); `compile` puts those
in use, and the operator's own `profiles`, into the document (docs/contracts.md 4). Every value holds to what all known
clients read: one NAPTR, delimiter `!` three times and last, no space, no backslash but one `\\1`, one-character flag.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

NoOpinion = Literal["nodata", "nxdomain", "allow"]

ALLOW = r"!^(.*)$!sip:\1@allow.{host}!"
TERMINATE = r"!^(.*)$!sip:\1@terminate.{host}!"
REDIRECT = "!^.*$!sip:{target}@redirect.{host}!"


@dataclass(frozen=True)
class Profile:
    """How answers are written. `{host}` is `host`, or without one the ENUM zone that was asked."""

    allow: str = ALLOW
    terminate: str = TERMINATE
    redirect: str = REDIRECT
    service: str = "E2U+sip"
    host: str | None = None
    no_opinion: NoOpinion = "nodata"

    def as_document(self) -> dict[str, Any]:
        """The profile as it stands in the document."""
        return asdict(self)


@dataclass(frozen=True)
class BuiltIn:
    """A profile of the product: whose it is and what it rests on."""

    title: str
    profile: Profile
    why: str


DEFAULT = Profile()

BUILT_IN: dict[str, BuiltIn] = {
    "oracle": BuiltIn(
        "Oracle / Acme Packet SBC",
        DEFAULT,
        "takes both service forms; the host picks the session agent; not-found never makes it change server",
    ),
    "ribbon": BuiltIn(
        "Ribbon SBC Core", DEFAULT, "of several records with one order and preference it uses the first: one is sent"
    ),
    "audiocodes": BuiltIn(
        "AudioCodes Mediant", DEFAULT, "Call Setup Rules test `enum.found exists` and read `enum.result.url`"
    ),
    "cisco": BuiltIn(
        "Cisco CUBE / IOS", Profile(service="sip+E2U"), "IOS matches the older service `sip+E2U` only (document 110417)"
    ),
    "kamailio": BuiltIn(
        "Kamailio", DEFAULT, "service of exactly seven characters, no escapes; NODATA lets the script go on"
    ),
    "opensips": BuiltIn("OpenSIPS", DEFAULT, "flag `u`, service `E2U+sip`, delimiter `!`"),
    "asterisk": BuiltIn(
        "Asterisk", DEFAULT, "the regexp ends with its delimiter; `E2U+` all in one case; at least seven characters"
    ),
    "freeswitch": BuiltIn(
        "FreeSWITCH", DEFAULT, "no space in the regexp; every backslash becomes `$`, which `\\1` survives"
    ),
}
