"""Which ENUM server an SBC asks next: round robin or hunt, time-out state, out of service, return. Pure.

                 failure                     failures in a row
    in service ──────────► resting ──────────────────────────────► out of service
        ▲                     │ rest is over        ▲                    │ out_of_service_s are over
        │◄────────────────────┘                     │ failure            ▼
        └────────────────── good_answers ────────── on probation (only where a preset has good_answers)

A state is a value; each step takes one and `now` (seconds of any clock that only goes forward) and gives the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ringfence.acceptance.sbc.presets import Preset

Condition = Literal["in_service", "resting", "out_of_service", "probation"]


@dataclass(frozen=True)
class ServerState:
    """What the SBC remembers of one server. `until`: when it may be asked again, of those that may not."""

    condition: Condition = "in_service"
    failures: int = 0
    until: float = 0.0
    good_answers: int = 0

    @property
    def is_asked(self) -> bool:
        """Whether calls may go there."""
        return self.condition in ("in_service", "probation")


@dataclass(frozen=True)
class Distribution:
    """All servers in the order of the configuration, and whose turn it is."""

    servers: tuple[ServerState, ...]
    turn: int = 0


def initial(count: int) -> Distribution:
    """All in service, the first is the first."""
    return Distribution((ServerState(),) * count)


def at(state: Distribution, preset: Preset, now: float) -> Distribution:
    """The state once time has come to `now`: whose rest or ban is over may be asked again."""
    return replace(state, servers=tuple(_wake(server, preset, now) for server in state.servers))


def begin_call(state: Distribution, preset: Preset, now: float) -> tuple[Distribution, tuple[int, ...]]:
    """Servers that this call asks, one after the other until one answers; empty when all are out."""
    state = at(state, preset, now)
    able = [number for number, server in enumerate(state.servers) if server.is_asked]
    if not able:
        return state, ()
    if preset.distribution == "hunt":
        return state, tuple(able)
    turn = state.turn
    state = replace(state, turn=turn + 1)
    if preset.skip_to == "next":
        start = turn % len(able)
    else:
        mine = turn % len(state.servers)
        start = able.index(mine) if mine in able else 0
    return state, tuple(able[start:] + able[:start])


def answered(state: Distribution, preset: Preset, server: int) -> Distribution:
    """A server has answered: what it failed before is forgotten, and on probation it comes nearer to service."""
    before = state.servers[server]
    good = before.good_answers + 1
    if before.condition == "probation" and good < preset.good_answers:
        return _put(state, server, replace(before, good_answers=good))
    return _put(state, server, ServerState())


def failed(state: Distribution, preset: Preset, server: int, now: float) -> Distribution:
    """A server did not answer in time, was not there, or answered with a fault that this make counts."""
    before = state.servers[server]
    failures = before.failures + 1
    if failures >= preset.failures or before.condition == "probation":
        return _put(state, server, ServerState("out_of_service", 0, now + preset.out_of_service_s))
    if preset.rest_s > 0:
        return _put(state, server, ServerState("resting", failures, now + preset.rest_s))
    return _put(state, server, ServerState("in_service", failures))


def _wake(server: ServerState, preset: Preset, now: float) -> ServerState:
    if server.is_asked or now < server.until:
        return server
    if server.condition == "out_of_service" and preset.good_answers:
        return ServerState("probation")
    return ServerState("in_service", server.failures)


def _put(state: Distribution, server: int, value: ServerState) -> Distribution:
    return replace(state, servers=(*state.servers[:server], value, *state.servers[server + 1 :]))
