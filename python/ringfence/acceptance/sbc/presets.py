"""How SBCs of a make treat their ENUM servers: figures of the makers' documents; a site may have changed each."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from ringfence.errors import InvalidInputError

SERVFAIL, REFUSED = 2, 5
_LEAST_PATIENCE_S = 1.0


@dataclass(frozen=True)
class Preset:
    """Distribution, patience and memory of one make. Times in seconds.

    A question goes to a server, again after each of `retransmit_s`, doubled, until `timeout_s` is over; then it has
    failed there once. `rest_s`: not asked so long after a failure. After `failures` in a row: out of service for
    `out_of_service_s`. Then one failure puts it out again until `good_answers` have come. RCODEs in `faults` count as
    failures. At the turn of a server that is not in service, the `skip_to` one is asked.
    """

    name: str
    title: str
    distribution: Literal["round_robin", "hunt"] = "round_robin"
    retransmit_s: float = 0.25
    retransmit_max_s: float = 4.0
    timeout_s: float = 11.0
    rest_s: float = 30.0
    failures: int = 5
    out_of_service_s: float = 600.0
    good_answers: int = 0
    faults: frozenset[int] = frozenset()
    skip_to: Literal["first", "next"] = "first"
    all_down: Literal["proceed", "fail"] = "proceed"

    def __post_init__(self) -> None:
        """InvalidInputError names the field: figures with which no state machine is meant."""
        for name in ("retransmit_s", "retransmit_max_s", "timeout_s"):
            if not 0.001 <= getattr(self, name) <= 3600:
                raise InvalidInputError(f"{name}: {getattr(self, name)!r} must be from 0.001 to 3600 seconds")
        for name in ("rest_s", "out_of_service_s"):
            if not 0 <= getattr(self, name) <= 604_800:
                raise InvalidInputError(f"{name}: {getattr(self, name)!r} must be from 0 to 604800 seconds")
        if not 1 <= self.failures <= 32:
            raise InvalidInputError(f"failures: {self.failures!r} must be from 1 to 32")

    def waits(self) -> tuple[float, ...]:
        """Seconds to wait after each sending to one server; their sum is `timeout_s`."""
        waits: list[float] = []
        left, step = self.timeout_s, self.retransmit_s
        while left > 1e-9:
            waits.append(min(step, left))
            left -= waits[-1]
            step = min(step * 2, max(self.retransmit_max_s, self.retransmit_s))
        return tuple(waits)

    def scaled(self, factor: float) -> Preset:
        """The same with shorter times, for a lab that shall not take half an hour.

        The patience with one server stays a second at least: a busy machine is slow, not dead.
        """
        return replace(
            self,
            timeout_s=min(self.timeout_s, max(self.timeout_s * factor, _LEAST_PATIENCE_S)),
            rest_s=self.rest_s * factor,
            out_of_service_s=self.out_of_service_s * factor,
        )


# Oracle: reference figures of "ENUM configuration" 8.1; a call fails there when all servers are out, unless the local
# policy has a further route. The functional system test demands that route, so there are both.
_ORACLE = Preset("oracle", "Oracle SBC, with a further route in the local policy")
# Ribbon: queryRetryTimer 4000 ms; ARS black-listing after 3 failures for 180 s, white-listing after 2 responses.
_RIBBON = Preset(
    "ribbon",
    "Ribbon SBC Core with an ENUM ARS profile",
    retransmit_s=4.0,
    timeout_s=4.0,
    rest_s=0.0,
    failures=3,
    out_of_service_s=180.0,
    good_answers=2,
    faults=frozenset({SERVFAIL, REFUSED}),
    skip_to="next",
)
# The SBC of the lab: `lab.kamailio.enum_client`.
_KAMAILIO = Preset(
    "kamailio",
    "Kamailio with the ENUM script of deploy/sbc",
    retransmit_s=0.25,
    timeout_s=0.25,
    rest_s=0.0,
    failures=2,
    out_of_service_s=1.0,
    faults=frozenset({1, SERVFAIL, 4, REFUSED}),
    skip_to="next",
)
PRESETS = {
    preset.name: preset
    for preset in (
        _ORACLE,
        replace(_ORACLE, name="oracle-strict", title="Oracle SBC without a further route", all_down="fail"),
        replace(_ORACLE, name="oracle-hunt", title="Oracle SBC, query method hunt", distribution="hunt"),
        _RIBBON,
        replace(_RIBBON, name="ribbon-sequence", title="Ribbon SBC Core, load distribution sequence",
                distribution="hunt"),
        _KAMAILIO,
    )
}  # fmt: skip


def preset_named(name: str, **changes: float | int | str | None) -> Preset:
    """A preset with some figures as this site has them. InvalidInputError: no such preset, or figure out of range."""
    if name not in PRESETS:
        raise InvalidInputError(f"preset: {name!r} is not known; expected one of {', '.join(PRESETS)}")
    known = {field.name for field in fields(Preset)}
    given = {field: value for field, value in changes.items() if value is not None and field in known}
    return replace(PRESETS[name], **given)  # type: ignore[arg-type]
