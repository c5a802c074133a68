"""Every kind of attack there is a model of, named as the catalogue's detection that finds it, with its pace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from ringfence.detection.attacks import flooding, fraud, outage, scanning, spoofing
from ringfence.detection.attacks.call import Generate, ModelCall, Pace, Scene
from ringfence.errors import NotFoundError

# What has to see a call for the attack to show: the question of the SBC, or the call itself.
Sees = Literal["enum", "sip"]


@dataclass(frozen=True)
class Kind:
    """One kind. `natural`: as it happens in life; `trial`: quick enough to be watched."""

    name: str
    """Label of its calls, and name of the catalogue's detection that finds them."""
    words: str
    sees: Sees
    natural: Pace
    trial: Pace
    generate: Generate

    def calls(self, scene: Scene, seed: int, pace: Pace | None = None) -> Iterator[ModelCall]:
        """Its calls in the order in which they begin; the same for the same arguments."""
        # Text seeds are spread by SHA-512, alike in every release of Python.
        randomness = Random(f"{self.name} {scene.site} {seed}")  # noqa: S311 - traffic, not secrets
        yield from self.generate(scene, pace or self.natural, randomness)


KINDS: tuple[Kind, ...] = (
    Kind("tdos-number", "telephony denial of service against one number, sources rotating", "enum",
         Pace(50, 120), Pace(200, 15), flooding.number_flood),
    Kind("tdos-device", "telephony denial of service on one trunk: all its numbers, each a little", "enum",
         Pace(100, 120), Pace(200, 15), flooding.trunk_flood),
    Kind("tdos-site", "telephony denial of service against a site through all its edges", "enum",
         Pace(100, 120), Pace(200, 15), flooding.site_flood),
    Kind("harassing-caller", "one person rings another again and again", "enum",
         Pace(1 / 45, 900), Pace(2, 20), flooding.harassing_caller),
    Kind("robocall-dialer", "one dialer calls many numbers in no order, mostly short", "sip",
         Pace(0.5, 1800), Pace(20, 30), scanning.robocalls),
    Kind("wangiri", "numbers abroad ring once at many, and some call back", "sip",
         Pace(2, 300), Pace(20, 20), fraud.one_ring),
    Kind("irsf", "stolen extensions call premium numbers abroad", "sip",
         Pace(0.2, 600), Pace(10, 60), fraud.revenue_share_fraud),
    Kind("pbx-off-hours", "one extension calls abroad outside business hours", "enum",
         Pace(0.2, 600), Pace(5, 20), fraud.hacked_extension),
    Kind("toll-free-pumping", "robots that stay in the menu of a toll-free number", "enum",
         Pace(1, 900), Pace(20, 20), fraud.toll_free_pumping),
    Kind("war-dialling", "one source calls number after number", "enum",
         Pace(1, 300), Pace(10, 20), scanning.war_dialling),
    Kind("short-call-burst", "one source, calls that end within three seconds", "sip",
         Pace(0.5, 600), Pace(10, 20), scanning.short_calls),
    Kind("spoofed-own-number", "calls from outside that show one of the own numbers", "sip",
         Pace(0.2, 300), Pace(5, 20), spoofing.own_number),
    Kind("neighbour-spoofing", "sources of the destination's own exchange", "enum",
         Pace(0.2, 600), Pace(10, 20), spoofing.neighbour),
    Kind("invalid-source", "sources that no numbering plan has", "enum",
         Pace(0.5, 300), Pace(10, 20), spoofing.invalid_source),
    Kind("do-not-originate", "a source that only ever receives calls", "enum",
         Pace(0.1, 600), Pace(5, 20), spoofing.do_not_originate),
    Kind("anonymous-flood", "calls without a number, to one destination", "enum",
         Pace(10, 120), Pace(50, 15), flooding.anonymous_flood),
    Kind("voicemail-probing", "one source tries mailboxes: short calls to the voice mail", "sip",
         Pace(0.1, 600), Pace(2, 40), scanning.voicemail_probing),
    Kind("asr-drop", "calls stop being answered", "sip",
         Pace(1, 2400), Pace(10, 60), outage.answer_drop),
    Kind("device-silent", "an edge sees no more calls", "enum",
         Pace(1, 2400), Pace(10, 60), outage.device_silent),
)  # fmt: skip


def kind_of(name: str) -> Kind:
    """By its name. Raises NotFoundError that names all."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise NotFoundError(f"attack {name!r}: there is none; one of {', '.join(kind.name for kind in KINDS)}")
