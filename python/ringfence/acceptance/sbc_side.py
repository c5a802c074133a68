"""The SBC of a site as a run sees it: it places a call and tells what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ringfence.acceptance.plan import Location, Numbers, split_address
from ringfence.acceptance.sbc.emulator import SbcEmulator
from ringfence.acceptance.sbc.presets import Preset


@dataclass(frozen=True)
class SeenCall:
    """One call as the SBC saw it. `server`: the ENUM server that decided; None: none did, or the SBC does not say."""

    source: str
    destination: str
    action: str
    number: str
    server: str | None
    took_ms: float
    detail: str = ""


class SbcSide(Protocol):
    """An SBC under test."""

    title: str
    preset: Preset
    makes_calls: bool  # whether SIP flows that a probe can see

    def call(self, source: str, destination: str) -> SeenCall:
        """Place one call."""


PlaceLegs = Callable[[str, str, str], None]


class EmulatedSbc:
    """The emulator as the SBC of a site; `legs(action, source, number)` lets the call's SIP flow where there is any."""

    def __init__(self, emulator: SbcEmulator, names: Sequence[str], legs: PlaceLegs | None = None) -> None:
        self._emulator = emulator
        self._names = tuple(names)
        self._legs = legs
        self.preset = emulator.preset
        self.title = f"SBC emulator, preset {self.preset.name}"
        self.makes_calls = legs is not None

    def call(self, source: str, destination: str) -> SeenCall:
        """Ask, decide, and play the call's SIP."""
        call = self._emulator.call(source, destination)
        if self._legs is not None:
            self._legs(call.action, source, call.number or destination)
        asked = ", ".join(f"{self._names[attempt.server]} {attempt.result}" for attempt in call.attempts)
        server = self._names[call.server] if call.server is not None else None
        return SeenCall(source, destination, call.action, call.number, server, call.took_ms, asked or call.why)


def emulated(location: Location, apex: str, scale: float, legs: PlaceLegs | None = None) -> EmulatedSbc:
    """The emulator with the plan's preset, its times scaled."""
    preset = location.sbc.behaviour()
    emulator = SbcEmulator(
        [split_address(server.address) for server in location.enum_servers],
        apex,
        preset.scaled(scale) if scale != 1 else preset,
        bind=location.sbc.address or None,
    )
    return EmulatedSbc(emulator, [server.name for server in location.enum_servers], legs)


def ask_alone(location: Location, server: int, apex: str, source: str, destination: str) -> SeenCall:
    """One question to one ENUM server, by an SBC that knows only this one, with little patience."""
    chosen = location.enum_servers[server]
    preset = location.sbc.behaviour()
    quick = Preset(preset.name, preset.title, retransmit_s=0.5, timeout_s=2.0, rest_s=0, faults=frozenset())
    sbc = SbcEmulator([split_address(chosen.address)], apex, quick, bind=location.sbc.address or None)
    call = sbc.call(source, destination)
    (attempt,) = call.attempts
    detail = f"{attempt.result}, RCODE {attempt.rcode}, {attempt.regexp or 'no NAPTR'}, TTL {attempt.ttl}"
    is_answered = attempt.result in ("answer", "no record")
    return SeenCall(source, destination, call.action if is_answered else "no answer", call.number,
                    chosen.name if is_answered else None, call.took_ms, detail)  # fmt: skip


def expected_of(numbers: Numbers) -> dict[str, tuple[str, str]]:
    """What the test's policy makes of each test number: destination → (action, number where the call goes)."""
    return {
        numbers.allowed: ("allow", numbers.allowed),
        numbers.terminated: ("terminate", ""),
        numbers.redirected: ("redirect", numbers.target),
    }
